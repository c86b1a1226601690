"""Joints of a robot hand from the keypoints of a hand, by dex-retargeting (an optional extra).

dex-retargeting (MIT licence, github.com/dexsuite/dex-retargeting) minimises the difference between
vectors of our 21 keypoints and vectors between links of the robot hand; its configuration files
say which. Here its input is put into the axes that it expects, and its output is kept from
jumping.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import yaml

from hand_perception import optional
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import ConfigError
from hand_perception.geometry import rotation_from_axis_angle
from hand_perception.teleop.observation import HandObservation
from hand_perception.teleop.vectors import as_quaternion, vector_from_quaternion

#: The axes in which dex-retargeting wants keypoints, for both sides: x out of the palm, z towards
#: the fingers (its OPERATOR2MANO after its wrist frame); from our wrist frame, x towards the
#: fingers, z out of the back of the hand.
_RETARGETING_FROM_WRIST: Final = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
_INSTALL: Final = (
    'install it with: pip install dex_retargeting six (its version 0.5 needs Python below 3.13 '
    'and numpy 2, and forgets to ask for six), or leave left_hand_config and right_hand_config '
    'empty'
)


class Retargeter(Protocol):
    """What turns keypoints into joints of a robot hand."""

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the joints, in the order of ``joints``."""
        ...

    def joints(self, hand: HandObservation) -> tuple[float, ...] | None:
        """Radians (or metres of a sliding joint); None for a hand without keypoints."""
        ...

    def restart(self) -> None:
        """Forget earlier hands."""
        ...


class DexRetargeter:
    """dex-retargeting with one configuration: one robot hand of one side."""

    def __init__(self, retargeting: Any) -> None:
        """Wrap a ``dex_retargeting.seq_retarget.SeqRetargeting``."""
        self._retargeting = retargeting
        self._indices = np.asarray(retargeting.optimizer.target_link_human_indices, np.int64)
        if self._indices.min() < 0 or self._indices.max() >= NUM_JOINTS:
            raise ConfigError(
                f'target_link_human_indices must be 0 to {NUM_JOINTS - 1}, our keypoints, got '
                f'{self._indices.tolist()}'
            )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the joints, as in the URDF."""
        return tuple(self._retargeting.joint_names)

    def joints(self, hand: HandObservation) -> tuple[float, ...] | None:
        """Retarget one hand; None when it has no keypoints."""
        if hand.keypoints is None:
            return None
        points = retargeting_points(hand.keypoints, hand)
        if self._indices.ndim == 1:  # positions of links
            reference = points[self._indices]
        else:  # vectors between links
            reference = points[self._indices[1]] - points[self._indices[0]]
        return tuple(self._retargeting.retarget(reference).tolist())

    def restart(self) -> None:
        """Forget what its low pass filter remembers of earlier hands."""
        if self._retargeting.filter is not None:
            self._retargeting.filter.reset()


def retargeting_points(keypoints: DoubleArray, hand: HandObservation) -> DoubleArray:
    """Put (21, 3) keypoints into the axes of dex-retargeting, origin in the wrist."""
    frame_from_wrist = rotation_from_axis_angle(
        np.array(vector_from_quaternion(as_quaternion(hand.quaternion)))
    )
    in_wrist = (keypoints - keypoints[0]) @ frame_from_wrist  # (21, 3)
    points: DoubleArray = in_wrist @ _RETARGETING_FROM_WRIST.T
    return points


def load_retargeter(config_path: str, *, urdf_dir: str = '') -> DexRetargeter:
    """Read a configuration file of dex-retargeting and build what it describes.

    Args:
        config_path: YAML file with the mapping ``retargeting``.
        urdf_dir: folder that a relative ``urdf_path`` starts from; empty: that of the file.

    Raises:
        ConfigError: the file or its URDF is missing or does not fit.
        MissingPackageError: dex_retargeting is not installed.
    """
    path = Path(config_path).expanduser()
    if not path.is_file():
        raise ConfigError(
            f'{path} does not exist; give the YAML file of your robot hand for dex-retargeting '
            '(its package brings some in dex_retargeting/configs/teleop)'
        )
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is not a YAML file: {error}') from error
    options = content.get('retargeting') if isinstance(content, dict) else None
    if not isinstance(options, dict) or not isinstance(options.get('urdf_path'), str):
        raise ConfigError(
            f'{path} must have a mapping "retargeting" with an "urdf_path", see '
            'docs/teleoperation.md'
        )
    folder = Path(urdf_dir).expanduser() if urdf_dir else path.parent
    urdf = (folder / options['urdf_path']).absolute()
    if not urdf.is_file():
        raise ConfigError(
            f'URDF of the robot hand not found: {urdf} (urdf_path of {path}); set hand_urdf_dir '
            'to the folder that urdf_path starts from'
        )
    module = optional.require(
        'dex_retargeting.retargeting_config', purpose='retargeting to a robot hand',
        install=_INSTALL,
    )  # fmt: skip
    try:
        config = module.RetargetingConfig.from_dict(dict(options, urdf_path=str(urdf)))
        return DexRetargeter(config.build())
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ConfigError(
            f'dex-retargeting cannot use {path} with {urdf}: {type(error).__name__}: {error}'
        ) from error


class RobotHand:
    """A robot hand that follows a hand, no joint faster than a limit."""

    def __init__(
        self, retargeter: Retargeter, *, max_speed: float, needs_places: bool = True
    ) -> None:
        """Follow with these joints.

        Args:
            retargeter: says where the joints should be.
            max_speed: greatest change per second of a joint.
            needs_places: do not move before it is known where the joints really are; False:
                where nobody says it, they begin where the hand has them.
        """
        self._retargeter = retargeter
        self._max_speed = max_speed
        self._needs_places = needs_places
        self._wanted: tuple[float, ...] | None = None
        self._places: tuple[float, ...] | None = None
        self._stamp_ns = -1
        self.joint_names = retargeter.joint_names

    @property
    def waits_for_places(self) -> bool:
        """Whether it cannot follow, because nobody has said where its joints are."""
        return self._needs_places and self._places is None

    def set_places(self, places: Mapping[str, float]) -> None:
        """Take where the joints really are; those of other robots in it do not matter.

        Joints that are not finite (drivers tell NaN before they know) are not taken.
        """
        if self._wanted is None and all(
            math.isfinite(places.get(name, math.nan)) for name in self.joint_names
        ):
            self._places = tuple(places[name] for name in self.joint_names)

    def release(self) -> None:
        """Stop following: the hand keeps its joints."""
        self._wanted = None
        self._retargeter.restart()

    def follow(self, hand: HandObservation, seconds: float) -> tuple[float, ...] | None:
        """Give the joints for a usable hand, one step after the last ones; None: send nothing."""
        if self.waits_for_places:
            return None
        if hand.stamp_ns != self._stamp_ns or self._wanted is None:
            self._stamp_ns = hand.stamp_ns
            joints = self._retargeter.joints(hand)
            # Not finite: the optimiser failed; the joints stay where they are.
            if joints is not None and np.isfinite(joints).all():
                self._wanted = joints
        if self._wanted is None:
            return None
        if self._places is None:
            self._places = self._wanted
        step = self._max_speed * seconds
        self._places = tuple(
            place + min(max(wanted - place, -step), step)
            for place, wanted in zip(self._places, self._wanted, strict=True)
        )
        return self._places
