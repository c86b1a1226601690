"""What the files of one image of a synthetic data set hold, as it is rendered."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import cv2
import numpy as np

from hand_perception.datasets.synthetic_files import frame_name
from hand_perception.datatypes import DoubleArray
from hand_perception.synthetic.people import DataSpec, Take
from hand_perception.synthetic.scene import Scene
from hand_perception.synthetic.truth import HandTruth

#: Places after the point: 0.1 micrometres, radians / 10^7, 0.001 pixels.
_DECIMALS: Final = 7
_PIXEL_DECIMALS: Final = 3
SHARE_DECIMALS: Final = 3


def take_members(scene: Scene, spec: DataSpec, take: Take) -> Iterator[tuple[str, bytes]]:
    """Render a recording: names and contents of the members of its shard."""
    for frame in range(spec.frames):
        jpeg, truth = render_frame(scene, spec, take, frame)
        yield f'{frame_name(frame)}.jpg', jpeg
        yield f'{frame_name(frame)}.json', json_bytes(truth)


def render_frame(
    scene: Scene, spec: DataSpec, take: Take, frame: int
) -> tuple[bytes, dict[str, Any]]:
    """Render one image of a recording.

    Args:
        scene: of the take.
        spec: of the data set.
        take: the recording.
        frame: number of the image in it.

    Returns:
        Its JPEG file, and what its JSON file says.
    """
    picture = scene.render(frame_time_s(spec, take, frame))
    parameters = [cv2.IMWRITE_JPEG_QUALITY, spec.quality]
    is_good, jpeg = cv2.imencode('.jpg', picture.image_bgr, parameters)
    assert is_good
    return jpeg.tobytes(), frame_record(spec, take, frame, picture.hands)


def frame_time_s(spec: DataSpec, take: Take, frame: int) -> float:
    """Moment of the motion that an image shows, seconds."""
    return take.start_s + frame / spec.rate_hz


def frame_record(
    spec: DataSpec, take: Take, frame: int, hands: tuple[HandTruth, ...]
) -> dict[str, Any]:
    """Say what the JSON file of an image says; ``hands`` are right hand, left hand."""
    return {
        'subject': take.subject, 'recording': take.name, 'frame': frame,
        'time_s': round(frame / spec.rate_hz, 6), 'K': spec.K.tolist(),
        'size': [spec.width, spec.height],
        # Left hand, right hand, as H2O has them.
        'hands': [_hand_record(hand) for hand in reversed(hands)],
    }  # fmt: skip


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Write JSON as short as it gets."""
    return json.dumps(content, separators=(',', ':')).encode('ascii') + b'\n'


def _hand_record(hand: HandTruth) -> dict[str, Any]:
    assert hand.parameters is not None and hand.visible_share is not None
    return {
        'is_right': hand.is_right,
        'primitive': hand.primitive,
        'visible_share': round(hand.visible_share, SHARE_DECIMALS),
        'joints_3d': _rounded(hand.keypoints_3d, _DECIMALS),
        'joints_2d': _rounded(hand.keypoints_2d, _PIXEL_DECIMALS),
        'global_orient': _rounded(hand.parameters.global_orient, _DECIMALS),
        'hand_pose': _rounded(hand.parameters.hand_pose, _DECIMALS),
        'betas': _rounded(hand.parameters.betas, _DECIMALS),
        'transl': _rounded(hand.parameters.transl, _DECIMALS),
    }


def _rounded(values: DoubleArray, decimals: int) -> list[Any]:
    # + 0.0 turns -0.0 into 0.0: the same truth gives the same file.
    return list((np.round(values, decimals) + 0.0).tolist())
