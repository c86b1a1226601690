"""Recorded runs of a teleoperation, made of numbers: everything in them is known."""

import dataclasses

import numpy as np

from hand_perception.evaluation.teleop_records import (
    HandMessages,
    Poses,
    StateChange,
    TeleopRecord,
)
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import State

SECOND = 1_000_000_000
START_NS = 1_000 * SECOND
SETTINGS = TeleopSettings(rate_hz=50.0, clutch='button', dead_man='button')
AGE_NS = 50_000_000
UNIT = (0.0, 0.0, 0.0, 1.0)
#: Pressed, engaged, lost and disengaged at these seconds.
PRESSED_S, ENGAGED_S, LOST_S, DISENGAGED_S, END_S = 1.0, 2.0, 8.0, 8.3, 10.0


def at(seconds):
    return START_NS + np.round(np.asarray(seconds) * SECOND).astype(np.int64)


def poses(seconds, positions, quaternions=None):
    turns = np.tile(UNIT, (len(positions), 1)) if quaternions is None else quaternions
    return Poses(times_ns=at(seconds), positions=np.asarray(positions), quaternions=turns)


def hand_position(seconds):
    """A hand that swings slowly, metres in the camera: at most 0.06 m/s."""
    angle = np.asarray(seconds)[:, None] * (0.7, 0.5, 0.6) + (0.0, 1.0, 2.0)
    return np.array([0.1, 0.0, 0.45]) + 0.05 * np.sin(angle)


def true_hand():
    """The true wrist at 15 images per second."""
    seconds = np.arange(0, END_S, 1 / 15)
    return poses(seconds, hand_position(seconds))


def arm_position(seconds, *, lag_s=0.0):
    """Where the default axis map takes the arm: x ahead is z, y left is -x, z up is -y."""
    hand = hand_position(np.asarray(seconds) - lag_s)
    return np.stack([hand[:, 2], -hand[:, 0], -hand[:, 1]], 1) + (0.0, 0.1, 0.4)


def run(*, lag_s=0.0, **changes):
    """A run with one engagement that ends in a loss; the arm follows ``lag_s`` late."""
    images = np.arange(0, END_S, 1 / 15)
    tracked = images < LOST_S
    commands = np.arange(ENGAGED_S + 0.02, LOST_S - 0.05, 0.02)
    everywhere = np.arange(0, END_S, 0.02)
    driven = np.clip(everywhere, ENGAGED_S, LOST_S - 0.05)
    buttons = np.arange(0, END_S, 0.05)
    record = TeleopRecord(
        images_ns=at(images),
        hands=HandMessages(
            stamps_ns=at(images),
            published_ns=at(images) + AGE_NS,
            is_tracked=tracked,
            positions=np.where(tracked[:, None], hand_position(images), np.nan),
        ),
        targets=poses(commands, arm_position(commands, lag_s=lag_s)),
        arm=poses(everywhere, arm_position(driven, lag_s=lag_s)),
        gripper_ns=at(commands),
        gripper=np.zeros(len(commands)),
        states=(
            StateChange(at_ns=0, state=State.IDLE, reason=''),
            StateChange(at_ns=int(at(PRESSED_S)), state=State.WAITING, reason='hold still'),
            StateChange(at_ns=int(at(ENGAGED_S)), state=State.ENGAGED, reason=''),
            StateChange(at_ns=int(at(LOST_S)), state=State.HOLDING, reason='not tracked'),
            StateChange(at_ns=int(at(DISENGAGED_S)), state=State.DISENGAGED, reason='lost'),
        ),
        button_ns=at(buttons),
        is_button_down=buttons >= PRESSED_S,
    )
    return dataclasses.replace(record, **changes)
