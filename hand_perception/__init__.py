"""Metric 3D hands from egocentric images; joins the generated messages and this source tree."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
