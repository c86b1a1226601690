"""The bones of a hand in the layout the pose fit works in: five fingers of four frames each.

Fingers are in keypoint order (thumb, index, middle, ring, little). The frames of a finger are the
palm's and those of its three joints; each carries one bone: wrist to base joint, then base joint
to finger tip. All five palm frames are one, the root's.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.models.hand_arrays import RestPose

NUM_FINGERS, NUM_FRAMES = 5, 4
#: First of the three joints of thumb, index, middle, ring and little finger among MANO's 16.
FIRST_JOINTS: Final = (13, 1, 4, 10, 7)
_FINGER_JOINTS: Final = np.array(FIRST_JOINTS)[:, None] + np.arange(3)  # (5, 3)

#: What a frame carries, in the order of ``Skeleton.carried``.
BONE, HINGE, NEXT_HINGE, NEXT_PALMAR = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkOffsets:
    """Where landmarks lie against the joints of the hand model, as shares of the palm's length.

    The palm's length is that from the wrist to the middle knuckle, and so is the direction.

    Attributes:
        wrist: how much nearer to the knuckles the wrist's landmark lies.
        knuckles: how much farther on the four fingers' knuckles lie.
    """

    wrist: float = 0.0
    knuckles: float = 0.0


#: Landmarks are the joints and tips of the model themselves.
EXACT_LANDMARKS: Final = LandmarkOffsets()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """A flat right hand.

    Attributes:
        wrist: (3,) metres, hand model frame.
        bones: (5, 4, 3) metres, from the start of each bone to its end.
        wrist_offset: (3,) metres, from the wrist to its landmark; carried by the palm.
        offsets: (5, 4, 3) metres, from the ends of the bones to their landmarks; carried with
            the bone.
        carried: (5, 4, 4, 3) per frame: unit direction of the bone (in the palm: from landmark to
            landmark), hinge of the frame's own joint, hinge of the next joint, and the unit
            direction into which the next bone moves when it bends. Zero where there is none
            (own hinge of the palm, next of the last).
    """

    wrist: DoubleArray
    bones: DoubleArray
    wrist_offset: DoubleArray
    offsets: DoubleArray
    carried: DoubleArray

    @classmethod
    def from_rest(cls, rest: RestPose, landmarks: LandmarkOffsets = EXACT_LANDMARKS) -> 'Skeleton':
        """Take bones and hinges from the flat hand.

        Fingers bend towards the palm (-y in the hand model frame); the thumb bends across it,
        towards the base of the little finger.
        """
        joints = rest.joints[_FINGER_JOINTS]  # (5, 3, 3)
        wrist = np.broadcast_to(rest.joints[0], (NUM_FINGERS, 1, 3))
        points = np.concatenate([wrist, joints, rest.tips[:, None]], 1)  # (5, 5, 3)
        bones = np.diff(points, axis=1)
        along = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
        goal = np.broadcast_to((0.0, -1.0, 0.0), (NUM_FINGERS, 3, 3)).copy()
        goal[0] = joints[4, 0] - joints[0]
        palmar = goal - along[:, 1:] * np.sum(goal * along[:, 1:], -1, keepdims=True)
        palmar /= np.linalg.norm(palmar, axis=-1, keepdims=True)
        hinges = np.cross(along[:, 1:], palmar)
        carried = np.zeros((NUM_FINGERS, NUM_FRAMES, 4, 3))
        carried[:, :, BONE] = along
        carried[:, 1:, HINGE] = hinges
        carried[:, :3, NEXT_HINGE] = hinges
        carried[:, :3, NEXT_PALMAR] = palmar

        to_knuckle = bones[2, 0]
        wrist_offset = landmarks.wrist * to_knuckle
        offsets = np.zeros_like(bones)
        offsets[1:, 0] = landmarks.knuckles * to_knuckle
        palm = bones[:, 0] + offsets[:, 0] - wrist_offset
        carried[:, 0, BONE] = palm / np.linalg.norm(palm, axis=-1, keepdims=True)
        return cls(
            wrist=rest.joints[0].copy(),
            bones=bones,
            wrist_offset=wrist_offset,
            offsets=offsets,
            carried=carried,
        )

    def landmarks(self, frames: DoubleArray) -> DoubleArray:
        """Give the (N, 21, 3) landmarks of hands with (N, 5, 4, 3, 3) frames, wrist at zero."""
        ends = np.cumsum((frames @ self.bones[..., None])[..., 0], 2)  # (N, 5, 4, 3)
        ends += (frames @ self.offsets[..., None])[..., 0]
        first = frames[:, 0, 0] @ self.wrist_offset
        return np.concatenate([first[:, None], ends.reshape(len(frames), 20, 3)], 1)


def frames_from_rotations(rotations: DoubleArray) -> DoubleArray:
    """Turn (N, 16, 3, 3) local rotations in MANO order into (N, 5, 4, 3, 3) global frames."""
    frames = np.empty((len(rotations), NUM_FINGERS, NUM_FRAMES, 3, 3))
    frames[:, :, 0] = rotations[:, :1]
    local = rotations[:, _FINGER_JOINTS]  # (N, 5, 3, 3, 3)
    for joint in range(3):
        frames[:, :, joint + 1] = frames[:, :, joint] @ local[:, :, joint]
    return frames


def rotations_from_frames(frames: DoubleArray) -> DoubleArray:
    """Turn (N, 5, 4, 3, 3) global frames into (N, 16, 3, 3) local rotations in MANO order."""
    rotations = np.empty((len(frames), 16, 3, 3))
    rotations[:, 0] = frames[:, 0, 0]
    rotations[:, _FINGER_JOINTS] = frames[:, :, :3].swapaxes(-1, -2) @ frames[:, :, 1:]
    return rotations
