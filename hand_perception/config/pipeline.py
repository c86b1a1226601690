"""Settings of the whole pipeline, with ROS or without."""

from dataclasses import dataclass

from hand_perception.config.actions import ActionSettings
from hand_perception.config.hands import HandSettings
from hand_perception.config.motion import MotionSettings


@dataclass(frozen=True, kw_only=True)
class PipelineSettings(ActionSettings, MotionSettings, HandSettings):
    """What the pipeline needs to know: hands, how they move, what they do."""
