"""How the two hands move: as scripted, swaying, repeating, so that a looped clip has no jump."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.geometry import rotation_from_axis_angle
from hand_perception.synthetic.poses import POSE_SHAPES, hand_pose
from hand_perception.synthetic.routes import Route
from hand_perception.synthetic.scripts import Moment, Step, moment_at

#: How far a waving hand goes to each side: metres along the palm's width, radians in the wrist.
_WAVE_SHIFT_M: Final = 0.03
_WAVE_TURN_RAD: Final = 0.3
#: A hand that follows a route sways about once in this time, seconds.
_SWAY_S: Final = 5.0
#: An elbow follows the hand of a route by this share of its way.
_ELBOW_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HandMotion:
    """What makes one person's hand move its own way; drawn once from a seed.

    Attributes:
        is_right: side.
        steps: what it does.
        centre: (3,) metres, camera axes, where the middle knuckle is on average.
        sway: (3,) metres, how far it moves each way.
        phases: (6,) radians: of three movements and three turns.
        turns: (3,) radians, how far the hand rolls, bends and tilts each way.
        roll: radians, average roll about the forearm; positive lifts the thumb.
        elbow: (3,) metres, camera axes.
        route: where else it goes; None for a hand that stays where it works.
    """

    is_right: bool
    steps: tuple[Step, ...]
    centre: DoubleArray
    sway: DoubleArray
    phases: DoubleArray
    turns: DoubleArray
    roll: float
    elbow: DoubleArray
    route: Route | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandState:
    """A hand at one moment.

    Attributes:
        is_right: side.
        hand_pose: (15, 3) axis-angle of the mirrored-to-right hand, radians.
        camera_from_hand: (3, 3) rotation from the axes of the flat hand of that side.
        centre: (3,) metres, camera axes, of the middle knuckle.
        elbow: (3,) metres, camera axes.
        primitive: what it shows (``actions.PRIMITIVES``); empty between primitives.
    """

    is_right: bool
    hand_pose: DoubleArray
    camera_from_hand: DoubleArray
    centre: DoubleArray
    elbow: DoubleArray
    primitive: str = ''


def draw_motion(
    rng: np.random.Generator, steps: tuple[Step, ...], *, is_right: bool
) -> HandMotion:
    """Draw the motion of one hand of a person who looks down at a table."""
    side = 1.0 if is_right else -1.0
    jitter = rng.uniform(-1, 1, 3) * (0.008, 0.008, 0.015)
    return HandMotion(
        is_right=is_right,
        steps=steps,
        centre=np.array([side * 0.115, 0.02 if is_right else 0.035, 0.45]) + jitter,
        sway=np.array([0.025, 0.03, 0.075]) * rng.uniform(0.9, 1.1, 3),
        phases=rng.uniform(-0.4, 0.4, 6) + (0.0 if is_right else 2.0),
        turns=np.array([0.30, 0.22, 0.14]) * rng.uniform(0.9, 1.1, 3),
        roll=float(rng.uniform(0.05, 0.2)),
        elbow=np.array([side * 0.27, 0.40, 0.30]) + rng.uniform(-0.02, 0.02, 3),
    )


def vary_motion(rng: np.random.Generator, motion: HandMotion, variety: float) -> HandMotion:
    """Let a hand work elsewhere, turned otherwise, and begin anywhere on its way.

    Args:
        rng: where the randomness comes from.
        motion: what :func:`draw_motion` drew.
        variety: 0 leaves it, 1 strays up to 6 cm to the sides and 8 cm in depth, and 40 degrees.
    """
    side = 1.0 if motion.is_right else -1.0
    shift = variety * rng.uniform(-1, 1, 3) * (0.06, 0.05, 0.08)
    elbow = 0.5 * shift + variety * rng.uniform(-1, 1, 3) * (0.08, 0.05, 0.05)
    bends = 1 + variety * rng.uniform(-0.3, 0.6, 3)
    return dataclasses.replace(
        motion,
        centre=motion.centre + shift + (0.02 * side * variety, 0.0, 0.0),
        phases=motion.phases + variety * rng.uniform(-np.pi, np.pi, 6),
        turns=motion.turns * bends,
        roll=motion.roll + variety * float(rng.uniform(-0.4, 0.7)),
        elbow=motion.elbow + elbow,
    )


def hand_at(motion: HandMotion, time_s: float, *, duration_s: float) -> HandState:
    """Give a hand at a time of a motion that repeats after its duration."""
    share = time_s / duration_s
    moment = moment_at(motion.steps, share, duration_s=duration_s)
    side = 1.0 if motion.is_right else -1.0
    # Whole numbers of swings: the end meets the beginning.
    swings = np.array([1, 2, 1, 1, 2, 3])
    centre, elbow = motion.centre, motion.elbow
    if motion.route is None:
        swing = np.sin(2 * np.pi * share * swings + motion.phases)
    else:
        at = motion.route.at(time_s)
        offset = at.offset * (side, 1.0, 1.0)
        centre, elbow = centre + offset, elbow + _ELBOW_SHARE * offset
        swings = swings * max(1, round(duration_s / _SWAY_S))
        swing = at.life * np.sin(2 * np.pi * share * swings + motion.phases)
    centre = centre + motion.sway * swing[:3]
    to_arm = _unit(elbow - centre)
    # Back of the hand towards the camera, as far as the forearm's direction lets it.
    back = -centre
    back = _unit(back - to_arm * (back @ to_arm))
    x_axis = to_arm if motion.is_right else -to_arm  # flat right hand: fingers -x; left: +x
    base = np.stack([x_axis, back, np.cross(x_axis, back)], 1)
    centre = centre + _WAVE_SHIFT_M * moment.waving * base[:, 2]
    roll, bend, tilt = motion.turns * swing[3:]
    tilt += _WAVE_TURN_RAD * moment.waving
    local = rotation_from_axis_angle(
        np.array(
            [
                [side * (motion.roll + roll), 0.0, 0.0],
                [0.0, 0.0, side * (bend - 0.15)],
                [0.0, side * tilt, 0.0],
            ]
        )
    )
    return HandState(
        is_right=motion.is_right,
        hand_pose=_pose_at(moment),
        camera_from_hand=base @ local[0] @ local[1] @ local[2],
        centre=centre,
        elbow=elbow,
        primitive=moment.primitive,
    )


def _pose_at(moment: Moment) -> DoubleArray:
    before, after = _named_pose(moment.before), _named_pose(moment.after)
    return before + moment.blend * (after - before)


@cache
def _named_pose(name: str) -> DoubleArray:
    return hand_pose(POSE_SHAPES[name])


def _unit(vector: DoubleArray) -> DoubleArray:
    return vector / np.linalg.norm(vector)
