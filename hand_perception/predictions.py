"""Predictions as files: one ``.npz`` for all hands, or one JSON line per image."""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hand_perception.actions import ActionEstimate
from hand_perception.datatypes import Frame, FrameResult, Hand
from hand_perception.errors import ConfigError


class NpzPredictions(AbstractContextManager['NpzPredictions']):
    """All hands of all images in one compressed ``.npz``, written on exit.

    Arrays over the N hands: ``frame`` (N,) index of the image, ``track_id`` (N,), ``is_right``
    (N,), ``confidence`` (N,), ``bbox_xyxy`` (N, 4) px, ``keypoints_3d`` (N, 21, 3) m,
    ``keypoints_2d`` (N, 21, 2) px, ``vertices`` (N, V, 3) m, ``global_orient`` (N, 3),
    ``hand_pose`` (N, 45), ``betas`` (N, 10), ``transl`` (N, 3) m; camera optical frame. Beside
    them ``faces`` (F, 3) of a right hand (a left hand's are faces[:, ::-1]), and over the images
    ``frame_name`` (M,), ``frame_stamp_ns`` (M,) and ``intrinsics`` (M, 4) fx fy cx cy px. Over the
    A things said of actions: ``action_frame`` (A,) index of the image, ``action_is_right`` (A,) 1
    right, 0 left, -1 both hands, ``action_label`` (A,) empty when unknown, ``action_score`` (A,),
    ``action_onset_ns`` (A,) and ``action_unknown_reason`` (A,).
    """

    def __init__(self, path: Path, *, faces: NDArray[np.uint32], num_vertices: int) -> None:
        """Collect for a file; ``faces`` and ``num_vertices`` are those of the hand model."""
        self._path = path
        self._faces = faces
        self._num_vertices = num_vertices
        self._hands: list[tuple[int, Hand]] = []
        self._actions: list[tuple[int, ActionEstimate]] = []
        self._frames: list[tuple[str, int, tuple[float, ...]]] = []

    def add(
        self,
        name: str,
        frame: Frame,
        result: FrameResult,
        actions: Sequence[ActionEstimate] = (),
    ) -> None:
        """Add the hands of the next image, and what they do."""
        self._actions += [(len(self._frames), action) for action in actions]
        self._hands += [(len(self._frames), hand) for hand in result.hands]
        camera = frame.camera
        intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy)
        self._frames.append((name, result.stamp_ns, intrinsics))

    def __exit__(self, *_: object) -> None:
        """Write what was collected, also when the run was interrupted: nothing is lost."""
        arrays = {
            name: np.array(values, dtype).reshape(len(self._hands), *shape)
            for name, dtype, shape, values in self._columns()
        }
        np.savez_compressed(
            self._path,
            **arrays,
            **self._action_arrays(),
            faces=self._faces,
            frame_name=np.array([name for name, _, _ in self._frames], np.str_),
            frame_stamp_ns=np.array([stamp for _, stamp, _ in self._frames], np.int64),
            intrinsics=np.array([k for _, _, k in self._frames], np.float64).reshape(-1, 4),
        )

    def _action_arrays(self) -> dict[str, NDArray[Any]]:
        told = [action for _, action in self._actions]
        sides = [-1 if action.is_right is None else int(action.is_right) for action in told]
        return {
            'action_frame': np.array([index for index, _ in self._actions], np.int64),
            'action_is_right': np.array(sides, np.int8),
            'action_label': np.array([action.label for action in told], np.str_),
            'action_score': np.array([action.score for action in told], np.float32),
            'action_onset_ns': np.array([action.onset_ns for action in told], np.int64),
            'action_unknown_reason': np.array([a.unknown_reason for a in told], np.str_),
        }

    def _columns(self) -> Iterator[tuple[str, type, tuple[int, ...], list[Any]]]:
        hands = [hand for _, hand in self._hands]
        yield 'frame', np.int64, (), [index for index, _ in self._hands]
        yield 'track_id', np.int64, (), [hand.track_id for hand in hands]
        yield 'is_right', np.bool_, (), [hand.is_right for hand in hands]
        yield 'confidence', np.float32, (), [hand.confidence for hand in hands]
        yield 'bbox_xyxy', np.float32, (4,), [hand.bbox_xyxy for hand in hands]
        yield 'keypoints_3d', np.float32, (21, 3), [hand.keypoints_3d for hand in hands]
        yield 'keypoints_2d', np.float32, (21, 2), [hand.keypoints_2d for hand in hands]
        vertices = (self._num_vertices, 3)
        yield 'vertices', np.float32, vertices, [hand.vertices for hand in hands]
        parameters = [hand.parameters for hand in hands]
        yield 'global_orient', np.float32, (3,), [p.global_orient for p in parameters]
        yield 'hand_pose', np.float32, (45,), [p.hand_pose for p in parameters]
        yield 'betas', np.float32, (10,), [p.betas for p in parameters]
        yield 'transl', np.float32, (3,), [p.transl for p in parameters]
        details = [hand.hamer for hand in hands if hand.hamer is not None]
        if hands and len(details) == len(hands):
            yield 'pred_cam', np.float32, (3,), [d.pred_cam for d in details]
            yield 'cam_t_full', np.float32, (3,), [d.cam_t_full for d in details]
            yield 'focal_full_px', np.float32, (), [d.focal_full_px for d in details]
            yield 'rotmats', np.float32, (16, 3, 3), [d.rotations for d in details]


class JsonLinesPredictions(AbstractContextManager['JsonLinesPredictions']):
    """One JSON object per image and line: names, stamp, and its hands without vertices."""

    def __init__(self, path: Path) -> None:
        """Open the file; lines appear in it as images are done."""
        self._file: IO[str] = path.open('w', encoding='utf-8')
        self._count = 0

    def add(
        self,
        name: str,
        frame: Frame,
        result: FrameResult,
        actions: Sequence[ActionEstimate] = (),
    ) -> None:
        """Write the line of the next image."""
        camera = frame.camera
        line = {
            'frame': self._count,
            'name': name,
            'stamp_ns': result.stamp_ns,
            'intrinsics': [camera.fx, camera.fy, camera.cx, camera.cy],
            'is_camera_assumed': camera.is_assumed,
            'hands': [_hand_record(hand) for hand in result.hands],
            'actions': [_action_record(action) for action in actions],
        }
        self._file.write(json.dumps(line) + '\n')
        self._file.flush()
        self._count += 1

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()


Predictions = NpzPredictions | JsonLinesPredictions


def open_predictions(path: Path, *, faces: NDArray[np.uint32], num_vertices: int) -> Predictions:
    """Choose the format by the name of the file.

    Raises:
        ConfigError: the name ends in neither ``.npz`` nor ``.jsonl``, or cannot be written.
    """
    check_writable(path)
    if path.suffix == '.npz':
        return NpzPredictions(path, faces=faces, num_vertices=num_vertices)
    return JsonLinesPredictions(path)


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it; changes nothing.

    Raises:
        ConfigError: the name ends in neither ``.npz`` nor ``.jsonl``, or cannot be written.
    """
    if path.suffix not in ('.npz', '.jsonl'):
        raise ConfigError(f'{path}: expected a name that ends in .npz or .jsonl')
    if not path.parent.is_dir():
        raise ConfigError(f'{path}: the folder {path.parent} does not exist; make it first')
    is_new = not path.exists()
    try:
        path.open('ab').close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise ConfigError(f'{path} cannot be written: {error.strerror or error}') from error


def _hand_record(hand: Hand) -> dict[str, Any]:
    parameters = hand.parameters
    return {
        'track_id': hand.track_id,
        'is_right': hand.is_right,
        'handedness_score': _short(hand.handedness_score),
        'confidence': _short(hand.confidence),
        'bbox_xyxy': _short(hand.bbox_xyxy, 2),
        'keypoints_3d': _short(hand.keypoints_3d),
        'keypoints_2d': _short(hand.keypoints_2d, 2),
        'global_orient': _short(parameters.global_orient),
        'hand_pose': _short(parameters.hand_pose),
        'betas': _short(parameters.betas),
        'transl': _short(parameters.transl),
        'flexion': _short(hand.flexion),
        'pinch_distance': _short(hand.pinch_distance_m),
        'pinch': _short(hand.pinch),
        'grasp': _short(hand.grasp),
        'depth_source': hand.depth_source.name.lower(),
        'depth_stddev': _short(hand.depth_stddev_m),
    }


def _action_record(action: ActionEstimate) -> dict[str, Any]:
    return {
        'is_right': action.is_right,
        'label': action.label,
        'score': _short(action.score),
        'labels': list(action.ranking.labels),
        'scores': _short(action.ranking.scores),
        'object_label': action.object_label,
        'object_labels': list(action.object_ranking.labels),
        'object_scores': _short(action.object_ranking.scores),
        'unknown_reason': action.unknown_reason,
        'onset_ns': action.onset_ns,
        'window_start_ns': action.window_start_ns,
        'tokens_seen': action.tokens_seen,
        'is_final': action.is_final,
        'label_map': action.label_map,
        'backend': action.backend,
    }


def _short(value: Any, digits: int = 6) -> Any:
    """Round numbers and arrays to a plain JSON value: micrometres, hundredths of a pixel."""
    return np.round(np.asarray(value, np.float64), digits).tolist()
