"""Every setting once: default, range, sentence, live or not.

ROS parameter descriptors, the YAML files in ``config/``, command line flags and the tables in
``docs/`` are made from these dataclasses by :mod:`hand_perception.settings_files` and
:mod:`hand_perception.ros.params`.
"""

from hand_perception.config.nodes import (
    PerceptionSettings,
    RecorderSettings,
    VideoSourceSettings,
)
from hand_perception.config.pipeline import PipelineSettings

__all__ = ['PerceptionSettings', 'PipelineSettings', 'RecorderSettings', 'VideoSourceSettings']
