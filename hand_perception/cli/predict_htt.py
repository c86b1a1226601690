"""``hand_perception predict --backend htt``: what HTT says of a video, number by number.

Nothing is gated here: both hands are always there, whether or not somebody is in the picture. Use
``--action-source htt`` with another back end for actions and hands that can be relied on.
"""

import argparse
import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hand_perception.actions import LabelMap
from hand_perception.calibration_file import read_intrinsics
from hand_perception.cli.source_camera import source_camera
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, DoubleArray, FloatArray, Frame
from hand_perception.errors import CameraError, ConfigError, HandPerceptionError, SourceError
from hand_perception.pipeline.htt_recogniser import HttRecogniser
from hand_perception.pipeline.htt_stream import HttStep
from hand_perception.pipeline.temporal_results import TokenResult
from hand_perception.predictions import check_writable
from hand_perception.video import ImageFolder, VideoFrame, VideoSource, open_source

#: Values of a pose, in the order of the documentation.
_POSE: Final = ('joints_3d', 'joints_2d', 'depth', 'object_prob')


@dataclass(slots=True)
class TokenTable:
    """All tokens of a run: as they were told first, and with their pose windows closed."""

    names: list[str] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    tokens_seen: list[int] = field(default_factory=list)
    intrinsics: list[DoubleArray] = field(default_factory=list)
    action_prob: list[FloatArray | None] = field(default_factory=list)
    told: dict[int, TokenResult] = field(default_factory=dict)
    finals: dict[int, TokenResult] = field(default_factory=dict)
    votes: list[FloatArray] = field(default_factory=list)
    full: FloatArray | None = None  #: vote of a full action window that is not left yet

    def add(self, name: str, frame: Frame, step: HttStep, *, leaves_full_windows: bool) -> None:
        """Take in what one image changed.

        Args:
            name: of the image.
            frame: the image.
            step: what HTT said of it.
            leaves_full_windows: the token after a full action window begins another.
        """
        if step.ended is not None:
            self.close(step.ended)
        if self.full is not None and not step.span.is_final:
            self.votes.append(self.full)
            self.full = None
        self._take(step)
        if step.is_left_out:
            return
        self.names.append(name)
        self.stamps_ns.append(frame.stamp_ns)
        self.tokens_seen.append(step.span.num_tokens)
        self.intrinsics.append(frame.camera.K)
        self.action_prob.append(step.action_prob)
        if leaves_full_windows and step.span.is_final:
            self.full = step.action_prob

    def close(self, step: HttStep) -> None:
        """Take in what the end of a clip added."""
        self._take(step)
        self.full = None
        if step.action_prob is not None:
            self.votes.append(step.action_prob)

    def _take(self, step: HttStep) -> None:
        for result in (*step.tokens, *step.finals):
            self.told.setdefault(result.index, result)
            if result.is_final:
                self.finals[result.index] = result

    def arrays(self, labels: LabelMap) -> dict[str, NDArray[Any]]:
        """Give the arrays of the file; NaN where a value was never told."""
        count, num_actions = len(self.names), len(labels.actions)
        unknown = np.full(num_actions, np.nan, np.float32)
        probs = [unknown if prob is None else prob for prob in self.action_prob]
        vote = np.mean(self.votes, 0) if self.votes else unknown
        return {
            **{name: _column(self.told, name, count) for name in _POSE},
            'action_prob': np.array(probs, np.float32).reshape(count, num_actions),
            'stamps': np.array(self.stamps_ns, np.int64),
            'final': _column(self.finals, 'joints_3d', count),
            **{f'final_{name}': _column(self.finals, name, count) for name in _POSE[1:]},
            'final_action_prob': vote.astype(np.float32),
            'tokens_seen': np.array(self.tokens_seen, np.int64),
            'intrinsics': np.array(self.intrinsics, np.float64).reshape(count, 3, 3),
            'frame_name': np.array(self.names, np.str_),
            'action_labels': np.array(labels.actions, np.str_),
            'object_labels': np.array(labels.objects, np.str_),
        }


def _column(results: dict[int, TokenResult], name: str, count: int) -> FloatArray:
    """Stack one value of all tokens: (count, ...), NaN where there is none."""
    if not results:
        return np.full((count, 0), np.nan, np.float32)
    shape = np.shape(getattr(next(iter(results.values())), name))
    values = np.full((count, *shape), np.nan, np.float32)
    for index, result in results.items():
        if index < count:
            values[index] = getattr(result, name)
    return values


def run(options: argparse.Namespace) -> int:
    """Predict one clip; return 1 when it could not be read to its end.

    Raises:
        ConfigError: a setting or an output is refused.
        CameraError: the intrinsics do not fit the pictures.
        SourceError: the input is not there.
        WeightsError: the checkpoint cannot be loaded.
    """
    _refuse_what_has_no_meaning(options)
    values = {s.name: getattr(options, s.name) for s in PipelineSettings.settings()}
    values |= {'backend': 'landmarks', 'action_source': 'htt'}
    if options.every_frame:
        values['token_rate_hz'] = 0.0
    settings = PipelineSettings(**values)
    matrices = None if options.intrinsics is None else read_intrinsics(options.intrinsics)
    source = open_source(options.inputs[0])
    if matrices is not None and isinstance(source, ImageFolder):
        _check_count(matrices, source, options.intrinsics)
    check_writable(options.out)
    cameras, was_cut = _Cameras(source, matrices, options), False
    clip = _Clip(HttRecogniser.load(settings), settings, options.out)
    bar = tqdm(total=source.num_frames, unit='image', disable=None)
    with contextlib.closing(source), contextlib.closing(bar), clip:
        try:
            for item in source.frames():
                clip.add(item.name, _frame(source, item, cameras.of(item)))
                bar.update()
        except SourceError as error:
            was_cut = True
            tqdm.write(f'hand_perception predict: {error}', file=sys.stderr)
    return int(was_cut)


class _Clip(contextlib.AbstractContextManager['_Clip']):
    """What HTT says of one clip; written on exit."""

    def __init__(self, recogniser: HttRecogniser, settings: PipelineSettings, path: Path) -> None:
        self._recogniser = recogniser
        self._stream = recogniser.new_stream(tells_ended=True)
        self._leaves_full_windows = settings.htt_endless == 'clip'
        self._path = path
        self._table = TokenTable()
        self._doubts = _Doubts()

    def add(self, name: str, frame: Frame) -> None:
        """Look at the next image."""
        step = self._stream.step(frame)
        if step is not None:
            self._doubts.add(step)
            self._table.add(name, frame, step, leaves_full_windows=self._leaves_full_windows)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what was told, also when the run was interrupted: nothing is lost."""
        if kind is not None and not self._table.names:
            return
        # A refused image has not reached the stream; of other errors and of Ctrl-C nobody knows
        # what they left undone, so the open window stays open.
        if kind is None or issubclass(kind, HandPerceptionError):
            step = self._stream.finish()
            if step is not None:
                self._table.close(step)
        arrays = self._table.arrays(self._recogniser.label_map)
        np.savez_compressed(self._path, **cast(Any, arrays))
        _say(arrays, self._recogniser, self._stream.num_left_out)
        self._doubts.say()


@dataclass(slots=True)
class _Doubts:
    """Tokens whose numbers nobody should believe: nothing is gated here, but it is told."""

    count: int = 0
    newest: str = ''

    def add(self, step: HttStep) -> None:
        """Take in what one image changed; images that are left out are counted elsewhere."""
        if step.problem and not step.is_left_out:
            self.count, self.newest = self.count + 1, step.problem

    def say(self) -> None:
        """Warn where there were any."""
        if self.count:
            print(
                f'hand_perception predict: do not rely on {self.count} of these tokens: '
                f'{self.newest}',
                file=sys.stderr,
            )


def _refuse_what_has_no_meaning(options: argparse.Namespace) -> None:
    if options.out is None or options.out.suffix != '.npz':
        raise ConfigError('--backend htt writes arrays: give --out FILE.npz')
    if not options.htt_checkpoint:
        raise ConfigError(
            '--backend htt needs weights: give --htt-checkpoint with your checkpoint_45.pth '
            '(docs/htt.md says where it comes from)'
        )
    if options.focal_px < 0:
        raise ConfigError(f'--focal-px must be above 0 pixels, got {options.focal_px:g}')
    if len(options.inputs) != 1:
        raise ConfigError(
            f'--backend htt takes one video or one folder at a time, got {len(options.inputs)} '
            'inputs; run it once for each'
        )
    for name in ('overlay', 'boxes'):
        if getattr(options, name) is not None:
            raise ConfigError(
                f'--{name} has no meaning with --backend htt; for pictures use --action-source '
                'htt --pose-source htt, which also needs --htt-checkpoint'
            )


def _frame(source: VideoSource, item: VideoFrame, camera: Camera) -> Frame:
    return Frame(
        image=item.image_bgr, is_rgb=False, stamp_ns=round(item.time_s * 1e9),
        frame_id=source.name, camera=camera,
    )  # fmt: skip


def _check_count(matrices: DoubleArray, source: VideoSource, path: Path) -> None:
    """Refuse another number of matrices than pictures before any work is done."""
    if source.num_frames is not None and len(matrices) not in (1, source.num_frames):
        raise CameraError(
            f'{path} has {len(matrices)} matrices, but {source.name} has {source.num_frames} '
            'pictures; give one matrix, or one for every picture'
        )


class _Cameras:
    """The camera of each picture, as far as the user knows it."""

    def __init__(
        self, source: VideoSource, matrices: DoubleArray | None, options: argparse.Namespace
    ) -> None:
        self._source = source
        self._matrices = matrices
        self._options = options
        self._first: tuple[int, int] | None = None

    def of(self, item: VideoFrame) -> Camera:
        """Give the camera of a picture.

        Raises:
            CameraError: the matrices are not of this picture.
        """
        if self._matrices is None:
            return source_camera(self._source, item.image_bgr, self._options)
        height, width = item.image_bgr.shape[:2]
        return self._given(self._matrices, item, width, height)

    def _given(self, matrices: DoubleArray, item: VideoFrame, width: int, height: int) -> Camera:
        path = self._options.intrinsics
        if len(matrices) > 1 and item.index >= len(matrices):
            raise CameraError(
                f'{path} has {len(matrices)} matrices, but picture {item.name} is number '
                f'{item.index + 1}; give one matrix, or one for every picture'
            )
        self._first = self._first or (width, height)
        if len(matrices) == 1 and (width, height) != self._first:
            raise CameraError(
                f'{path} has one matrix, but picture {item.name} has {width}x{height} pixels and '
                f'the first one {self._first[0]}x{self._first[1]}; give pictures of one size, or '
                'one matrix for every picture'
            )
        matrix = matrices[item.index if len(matrices) > 1 else 0]
        return Camera(
            width=width, height=height, fx=float(matrix[0, 0]), fy=float(matrix[1, 1]),
            cx=float(matrix[0, 2]), cy=float(matrix[1, 2]),
        )  # fmt: skip


def _say(arrays: dict[str, NDArray[Any]], recogniser: HttRecogniser, num_left_out: int) -> None:
    """Print what was found, in two lines."""
    names, vote = recogniser.label_map.actions, arrays['final_action_prob']
    print(
        f'{len(arrays["stamps"])} tokens on {recogniser.device_name}'
        + f'; {num_left_out} left out: not finite' * bool(num_left_out)
    )
    if np.isfinite(vote).all():
        best = np.argsort(-vote)[:3]
        print('actions: ' + ', '.join(f'{names[i]} {vote[i]:.3f}' for i in best))
