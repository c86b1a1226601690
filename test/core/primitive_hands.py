"""Hands with true joints, as the tracker would hand them to the recogniser of primitives."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, Frame
from hand_perception.pipeline.primitives import PrimitiveRecogniser
from hand_perception.synthetic.scene import Scene, SceneSpec
from hand_perception.synthetic.scripts import SCRIPTS

CAMERA = Camera.assumed(4, 3)
IMAGE = np.zeros((3, 4, 3), np.uint8)  # nobody looks at it


@dataclass
class TrueHand:
    """What the recogniser reads of a ``datatypes.Hand``."""

    keypoints_3d: Any
    is_right: bool = True
    track_id: int = 1
    confidence: float = 1.0
    handedness_score: float = 1.0


def image_at(stamp_s):
    """An image with a stamp."""
    return Frame(
        image=IMAGE, is_rgb=True, stamp_ns=round(stamp_s * 1e9), frame_id='eyes', camera=CAMERA
    )


def scripted_scene(script, **looks):
    """A scene whose hands follow a script at its natural pace."""
    return Scene(SceneSpec(script=script, duration_s=SCRIPTS[script].duration_s, **looks))


def true_hands(truth, **changes):
    """The true hands of an image, each on a track of its own."""
    return [
        TrueHand(
            keypoints_3d=hand.keypoints_3d, is_right=hand.is_right, track_id=1 + hand.is_right,
            **changes,
        )
        for hand in truth
    ]  # fmt: skip


def tell_all(stamps_s, hands, **settings):
    """Run images through a fresh recogniser; give (left, right) of each."""
    recogniser = PrimitiveRecogniser.load(PipelineSettings(**settings))
    state = recogniser.new_state()
    return [
        recogniser.step(state, image_at(stamp), of_image).actions
        for stamp, of_image in zip(stamps_s, hands, strict=True)
    ]
