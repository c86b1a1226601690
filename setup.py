"""Install the part that needs no ROS: pip install . (settings in setup.cfg)."""

from setuptools import setup

setup()
