"""Hands a little later than their image: where they will be if they go on as they do.

Constant velocity and constant turn. A slow hand is not moved ahead at all: its measured velocity
is mostly noise, and looking ahead would only make it tremble.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from hand_perception.datatypes import Camera, Hand
from hand_perception.models.hand_model import HandModel
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.repose import Pose, pose_hands
from hand_perception.pipeline.smooth import Motion, SmoothingState

#: Speed from which a hand is moved all the way ahead, m/s; below, less and less.
FULL_SPEED_M_S: Final = 0.5
#: The same for turns, rad/s.
FULL_TURN_RAD_S: Final = 2.0


def look_ahead(
    model: HandModel,
    state: SmoothingState,
    camera: Camera,
    hands: Sequence[Hand],
    stamp_ns: int,
    *,
    image_ns: int,
    longest_s: float,
) -> tuple[int, tuple[Hand, ...]]:
    """Move the hands of the last image on to a later time.

    Args:
        model: that the hands are made of.
        state: of the smoother, after that image.
        camera: of that image.
        hands: of that image, as published.
        stamp_ns: the later time.
        image_ns: stamp of that image.
        longest_s: farthest that is looked ahead.

    Returns:
        The time that was reached, at most ``longest_s`` after the image, and the hands then,
        marked as predicted. Hands that the smoother did not see in that image are left out: what
        it knows of them is of another time.
    """
    reached_ns = min(max(stamp_ns, image_ns), image_ns + round(longest_s * 1e9))
    known = [
        hand
        for hand in hands
        if (motion := state.motions.get(hand.track_id)) and motion.stamp_ns == image_ns
    ]
    if not known:
        return reached_ns, ()
    poses = [_ahead(state.motions[hand.track_id], reached_ns) for hand in known]
    moved = pose_hands(model, camera, known, poses)
    return reached_ns, tuple(replace(hand, is_predicted=True) for hand in moved)


def _ahead(motion: Motion, stamp_ns: int) -> Pose:
    seconds = (stamp_ns - motion.stamp_ns) * 1e-9
    speed, turn_speed = (float(np.linalg.norm(v)) for v in (motion.velocity, motion.turn))
    way = motion.velocity * (seconds * faded_share(speed, FULL_SPEED_M_S))
    turn = motion.turn * (seconds * faded_share(turn_speed, FULL_TURN_RAD_S))
    rotations = motion.pose.rotations.copy()
    rotations[0] = quaternions.turned(rotations[0], turn)
    return replace(motion.pose, wrist=motion.pose.wrist + way, rotations=rotations)


def faded_share(speed: float, full: float) -> float:
    """Give 0 at rest to 1 from the full speed, without a step."""
    share = min(speed / full, 1.0)
    return share * share * (3 - 2 * share)
