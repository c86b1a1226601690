"""``hand_perception predict``: images or videos to files of hands and overlays, without ROS."""

import argparse
import contextlib
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hand_perception.actions import ActionResult
from hand_perception.boxes import check_boxes, read_boxes
from hand_perception.cli import predict_htt
from hand_perception.cli.source_camera import source_camera
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Box, Frame, FrameResult, Hand, ImageArray
from hand_perception.errors import ConfigError, SourceError
from hand_perception.pipeline.action_overlay import ShownActions
from hand_perception.pipeline.overlay import draw_overlay
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.predictions import check_writable, open_predictions
from hand_perception.video import VideoFile, VideoFrame, VideoSource, open_source

_DESCRIPTION: Final = """\
Find hands in images, folders of images or videos.

Images are looked at one by one; videos, and folders with --sequence, as streams in which hands are
followed. Distances rest on the size of the hands and the focal length: give --focal-px when you
know it. What --out holds is told in docs/predict.md.
"""
_JPEG_QUALITY: Final = 92
#: Other names of flags.
_SHORT_FLAGS: Final = {
    'mano_dir': ('--mano',),
    'htt_window': ('--window',),
    'htt_pose_window': ('--pose-window',),
    'htt_engine': ('--engine',),
}


def add_parser(commands: Any) -> None:
    """Add the subcommand; every setting of the pipeline is a flag."""
    parser = commands.add_parser(
        'predict',
        help='find hands in images, folders or videos',
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'inputs', nargs='+', metavar='INPUT',
        help="image, folder of images, video, or 'synthetic' for the built-in clip",
    )  # fmt: skip
    parser.add_argument('--out', type=Path, metavar='FILE', help='hands as FILE.npz or FILE.jsonl')
    parser.add_argument(
        '--overlay', type=Path, metavar='DIR',
        help='folder for pictures (of images) and videos (of videos) with the hands drawn',
    )  # fmt: skip
    parser.add_argument(
        '--focal-px', type=float, default=0.0, metavar='PX', help='focal length of the camera'
    )
    parser.add_argument(
        '--boxes', type=Path, metavar='FILE',
        help='hands to reconstruct, as JSON (docs/predict.md); needs --backend hamer',
    )  # fmt: skip
    parser.add_argument(
        '--sequence', action='store_true', help='folders hold the images of a video, in order'
    )
    htt = parser.add_argument_group('--backend htt', 'what HTT says of one clip, as arrays')
    htt.add_argument(
        '--intrinsics', type=Path, metavar='FILE',
        help='JSON: one 3x3 matrix, or a list with one per picture',
    )  # fmt: skip
    htt.add_argument(
        '--every-frame', action='store_true', help='each picture is a token, whatever its time'
    )
    settings = parser.add_argument_group('settings')
    for setting in PipelineSettings.settings():
        flag = '--' + setting.name.replace('_', '-')
        text = f'{setting.sentence} Allowed: {setting.allowed}.'.replace('%', '%%')
        if setting.name == 'backend':
            text += " Here also 'htt': what HTT says of one clip."
        flags = [flag, *_SHORT_FLAGS.get(setting.name, ())]
        if setting.kind is bool:
            settings.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=setting.default, help=text
            )
        else:
            settings.add_argument(*flags, type=setting.kind, default=setting.default, help=text)
    parser.set_defaults(run=run)


@dataclass(slots=True)
class _Counts:
    images: int = 0
    images_with_hands: int = 0
    hands: int = 0
    unreadable: int = 0


def run(options: argparse.Namespace) -> int:
    """Predict all inputs; return 1 when an input could not be read to its end.

    Raises:
        ConfigError: a setting or an output is refused.
        SourceError: an input is not there.
        WeightsError: a model cannot be loaded.
    """
    if options.backend == 'htt':
        return predict_htt.run(options)
    _refuse_flags_of_htt(options)
    if options.out is None and options.overlay is None:
        raise ConfigError('nothing to write; give --out FILE.npz (or .jsonl) or --overlay DIR')
    if options.focal_px < 0:
        raise ConfigError(f'--focal-px must be above 0 pixels, got {options.focal_px:g}')
    settings = PipelineSettings(
        **{s.name: getattr(options, s.name) for s in PipelineSettings.settings()}
    )
    if settings.pose_source == 'htt' and settings.htt_lookahead:
        raise ConfigError(
            'predict writes the hands of each image with that image, but htt_lookahead tells them '
            'later; leave --htt-lookahead out, or use --backend htt, which puts them in order'
        )
    given = None if options.boxes is None else GivenBoxes(read_boxes(options.boxes))
    sources = [open_source(name) for name in options.inputs]
    if options.out is not None:
        check_writable(options.out)
    if options.overlay is not None:
        _make_folder(options.overlay)
    pipeline = HandPipeline.load(settings)
    counts = _Counts()
    written: set[Path] = set()
    with contextlib.ExitStack() as stack:
        predictions = None
        if options.out is not None:
            predictions = stack.enter_context(
                open_predictions(
                    options.out,
                    faces=pipeline.faces_right,
                    num_vertices=pipeline.num_vertices,
                )
            )
        total = sum(source.num_frames or 0 for source in sources) or None
        bar = stack.enter_context(tqdm(total=total, unit='image', disable=None))
        for source in sources:
            overlays = _Overlays(options.overlay, source, written)
            with contextlib.closing(source), overlays:
                shown = _Shown()
                for image, result, said in _predict(pipeline, source, options, given, counts):
                    bar.update()
                    frame_name = _frame_name(source, image.item)
                    if predictions is not None:
                        predictions.add(frame_name, image.frame, result, said.actions)
                    if options.overlay is not None:
                        overlays.write(
                            image.item, shown.draw(image.frame, result, said, pipeline.faces_right)
                        )
    if given is not None and (text := given.unused_text()):
        print(f'hand_perception predict: {options.boxes}: {text}', file=sys.stderr)
    print(
        f'{counts.images} images, {counts.images_with_hands} with hands, {counts.hands} hands'
        + f'; {counts.unreadable} inputs could not be read to their end' * bool(counts.unreadable)
    )
    return int(counts.unreadable > 0)


def _refuse_flags_of_htt(options: argparse.Namespace) -> None:
    if options.intrinsics is not None or options.every_frame:
        raise ConfigError('--intrinsics and --every-frame belong to --backend htt')


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f'the folder {folder} cannot be made: {error.strerror or error}'
        ) from error


class GivenBoxes:
    """Boxes by the name of their image, and which of them were asked for."""

    def __init__(self, boxes: Mapping[str, tuple[Box, ...]]) -> None:
        """Take the content of a file of boxes."""
        self._boxes = boxes
        self._unused = set(boxes)

    def of(self, name: str, image: ImageArray) -> tuple[Box, ...]:
        """Give the boxes of an image; an image without an entry has no hands.

        Raises:
            BoxError: a box that no hand in this image has.
        """
        boxes = self._boxes.get(name, ())
        check_boxes(boxes, image_size=(image.shape[1], image.shape[0]), name=f'{name}, box')
        self._unused.discard(name)
        return boxes

    def unused_text(self) -> str:
        """Say which names no image had; empty when all were used."""
        if not self._unused:
            return ''
        shown = ', '.join(sorted(self._unused)[:3])
        return f'{len(self._unused)} names match no image ({shown}); names are those of --out'


class _Shown:
    """What is drawn over the images of one source: it stays over those that HTT leaves out."""

    def __init__(self) -> None:
        self._hands: tuple[Hand, ...] = ()
        self._actions = ShownActions()

    def draw(
        self,
        frame: Frame,
        result: FrameResult,
        said: ActionResult,
        faces_right: NDArray[np.uint32],
    ) -> ImageArray:
        """Draw the hands of an image, and what they do."""
        is_new = bool(result.reset_reason)
        if is_new or not result.is_between_tokens:
            self._hands = result.hands
        actions = self._actions.step(said, frame.stamp_ns, is_new_stream=is_new)
        shown = replace(result, hands=self._hands)
        return draw_overlay(frame, shown, faces_right, actions=actions)


@dataclass(frozen=True, slots=True)
class _Image:
    item: VideoFrame
    frame: Frame


def _predict(
    pipeline: HandPipeline,
    source: VideoSource,
    options: argparse.Namespace,
    given: GivenBoxes | None,
    counts: _Counts,
) -> Iterator[tuple[_Image, FrameResult, ActionResult]]:
    """Run the pipeline over one source; one that breaks off is told, the next follows."""
    is_stream = isinstance(source, VideoFile) or options.sequence
    state = pipeline.new_stream()
    for item in _readable(source, counts):
        if not is_stream:
            state = pipeline.new_stream(next_track_id=state.next_track_id)
        frame = Frame(
            image=item.image_bgr,
            is_rgb=False,
            stamp_ns=round(item.time_s * 1e9),
            frame_id=source.name,
            camera=source_camera(source, item.image_bgr, options),
            boxes=None if given is None else given.of(_frame_name(source, item), item.image_bgr),
        )
        result = pipeline.step(state, frame)
        said = pipeline.recognise(state, frame, result) if is_stream else ActionResult()
        counts.images += 1
        counts.images_with_hands += bool(result.hands)
        counts.hands += len(result.hands)
        yield _Image(item, frame), result, said


def _readable(source: VideoSource, counts: _Counts) -> Iterable[VideoFrame]:
    try:
        yield from source.frames()
    except SourceError as error:
        counts.unreadable += 1
        tqdm.write(f'hand_perception predict: {error}', file=sys.stderr)


def _frame_name(source: VideoSource, item: VideoFrame) -> str:
    return f'{Path(source.name).name}#{item.index}' if isinstance(source, VideoFile) else item.name


class _Overlays:
    """Overlays of one source: a video of a video, pictures of pictures."""

    def __init__(self, folder: Path | None, source: VideoSource, written: set[Path]) -> None:
        self._folder = folder
        self._written = written
        self._source = source
        self._video: cv2.VideoWriter | None = None

    def __enter__(self) -> '_Overlays':
        return self

    def __exit__(self, *_: object) -> None:
        if self._video is not None:
            self._video.release()

    def write(self, item: VideoFrame, image: ImageArray) -> None:
        """Add the overlay of one image."""
        if isinstance(self._source, VideoFile):
            self._write_to_video(image)
            return
        path = self._free_path(Path(item.name).stem, '.jpg')
        if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
            raise ConfigError(f'cannot write {path}; is the folder writable?')

    def _free_path(self, stem: str, suffix: str) -> Path:
        """Name a file that this run has not written: inputs may share their names."""
        assert self._folder is not None
        path = self._folder / f'{stem}{suffix}'
        for number in itertools.count(2):
            if path not in self._written:
                break
            path = self._folder / f'{stem}_{number}{suffix}'
        self._written.add(path)
        return path

    def _write_to_video(self, image: ImageArray) -> None:
        if self._video is None:
            path = self._free_path(Path(self._source.name).stem, '.mp4')
            size = (image.shape[1], image.shape[0])
            code = cv2.VideoWriter_fourcc(*'mp4v')
            self._video = cv2.VideoWriter(str(path), code, self._source.rate_hz, size)
            if not self._video.isOpened():
                raise ConfigError(f'cannot write {path}; is the folder writable?')
        self._video.write(image)
