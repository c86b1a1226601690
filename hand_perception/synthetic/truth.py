"""What is true of the hands in a synthetic picture or clip, and the file that keeps it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hand_perception.actions import PRIMITIVES
from hand_perception.datatypes import NUM_JOINTS, Camera, DoubleArray
from hand_perception.errors import SourceError

_DATA: Final = Path(__file__).parents[1] / 'data'
#: The clip that ships with the package; ``tools/make_synthetic_clip.py`` made it.
CLIP_VIDEO: Final = _DATA / 'synthetic_ego.mp4'
CLIP_TRUTH: Final = _DATA / 'synthetic_ego.json'
#: Places after the point in the file: 0.01 mm and 0.01 pixels.
METRE_DECIMALS: Final = 5
PIXEL_DECIMALS: Final = 2
_ROTATION_DECIMALS: Final = 5
_SHARE_DECIMALS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HandParameters:
    """Parameters with which the default hand model gives a hand, a left one by its own mirror.

    To use the right hand model for a left hand, mirror them (``geometry.mirror_axis_angle``,
    ``mirror_points`` for ``transl``) and mirror its points back.

    Attributes:
        global_orient: (3,) axis-angle, radians, camera optical frame.
        hand_pose: (45,) axis-angle, radians, relative to the flat hand, MANO's order.
        betas: (10,) shape.
        transl: (3,) metres, added after posing, camera optical frame.
    """

    global_orient: DoubleArray
    hand_pose: DoubleArray
    betas: DoubleArray
    transl: DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HandTruth:
    """Where one hand really is.

    Attributes:
        is_right: side.
        keypoints_3d: (21, 3) metres, camera optical frame; the wrist is the model's wrist joint.
        keypoints_2d: (21, 2) pixels.
        primitive: what it shows (one of ``actions.PRIMITIVES``), by the script that moves it;
            empty between primitives.
        wrist_rotation: (3, 3) camera optical frame from wrist frame (docs/frames.md), as
            ``Hand.wrist_rotation``; None in truths of before it was kept. The wrist's position
            is the first of the keypoints.
        in_image: at least one keypoint lies inside the image, hidden or not.
        visible_share: 0-1, how much of the hand's surface that faces the camera is in the image
            and not hidden by anything else (arms do not count); None when nobody counted.
        parameters: of the hand model; None when read from the file of a clip, which keeps none.
    """

    is_right: bool
    keypoints_3d: DoubleArray
    keypoints_2d: DoubleArray
    primitive: str = ''
    wrist_rotation: DoubleArray | None = None
    in_image: bool = True
    visible_share: float | None = None
    parameters: HandParameters | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipTruth:
    """What is true of a clip.

    Attributes:
        seed: of the scene.
        camera: that took it.
        rate_hz: images per second.
        frames: the hands of every image, in order.
    """

    seed: int
    camera: Camera
    rate_hz: float
    frames: tuple[tuple[HandTruth, ...], ...]


def load_clip_truth(path: str | Path = CLIP_TRUTH) -> ClipTruth:
    """Read the truth of a clip.

    Raises:
        SourceError: the file is missing or not the truth of a clip.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        (fx, _, cx), (_, fy, cy), _ = content['K']
        camera = Camera(
            width=content['width'], height=content['height'], fx=fx, fy=fy, cx=cx, cy=cy
        )
        frames = tuple(tuple(_read_hand(hand) for hand in frame) for frame in content['frames'])
        return ClipTruth(
            seed=content['seed'], camera=camera, rate_hz=content['rate_hz'], frames=frames
        )
    except OSError as error:
        raise SourceError(f'the truth of the synthetic clip cannot be read: {error}') from error
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f'{path} is not the truth of a synthetic clip ({error!r}); expected JSON with seed, '
            'K, width, height, rate_hz and frames; make it again with tools/make_synthetic_clip.py'
        ) from error


def _read_hand(hand: dict[str, Any]) -> HandTruth:
    rotation, share = hand.get('wrist_rotation'), hand.get('visible_share')
    truth = HandTruth(
        is_right=bool(hand['is_right']),
        keypoints_3d=np.array(hand['keypoints_3d'], np.float64),
        keypoints_2d=np.array(hand['keypoints_2d'], np.float64),
        primitive=str(hand.get('primitive', '')),  # truths of before it was kept have none
        wrist_rotation=None if rotation is None else np.array(rotation, np.float64),
        in_image=bool(hand.get('in_image', True)),
        visible_share=None if share is None else float(share),
    )
    for name, width in (('keypoints_3d', 3), ('keypoints_2d', 2)):
        points = getattr(truth, name)
        if points.shape != (NUM_JOINTS, width) or not np.isfinite(points).all():
            raise ValueError(f'{name} must be {NUM_JOINTS} x {width} finite numbers')
    rotation = truth.wrist_rotation
    if rotation is not None and not (rotation.shape == (3, 3) and np.isfinite(rotation).all()):
        raise ValueError('wrist_rotation must be 3 x 3 finite numbers')
    if truth.primitive not in ('', *PRIMITIVES):
        raise ValueError(f'primitive must be one of {PRIMITIVES}, got {truth.primitive!r}')
    return truth


def save_clip_truth(truth: ClipTruth, path: str | Path) -> None:
    """Write the truth of a clip, one image per line."""
    camera = truth.camera
    head = {
        'seed': truth.seed, 'K': camera.K.tolist(), 'width': camera.width,
        'height': camera.height, 'rate_hz': truth.rate_hz,
    }  # fmt: skip
    frames = [
        json.dumps([_hand_record(hand) for hand in frame], separators=(',', ':'))
        for frame in truth.frames
    ]
    text = json.dumps(head)[:-1] + ', "frames": [\n' + ',\n'.join(frames) + '\n]}\n'
    Path(path).write_text(text, encoding='utf-8')


def _hand_record(hand: HandTruth) -> dict[str, Any]:
    record = {
        'is_right': hand.is_right,
        'primitive': hand.primitive,
        'keypoints_3d': _rounded(hand.keypoints_3d, METRE_DECIMALS),
        'keypoints_2d': _rounded(hand.keypoints_2d, PIXEL_DECIMALS),
        'in_image': hand.in_image,
    }
    if hand.wrist_rotation is not None:
        record['wrist_rotation'] = _rounded(hand.wrist_rotation, _ROTATION_DECIMALS)
    if hand.visible_share is not None:
        record['visible_share'] = round(hand.visible_share, _SHARE_DECIMALS)
    return record


def _rounded(values: DoubleArray, decimals: int) -> list[list[float]]:
    # + 0.0 turns -0.0 into 0.0: the same truth gives the same file.
    rounded: list[list[float]] = (np.round(values, decimals) + 0.0).tolist()
    return rounded
