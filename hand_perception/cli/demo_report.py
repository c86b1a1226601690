"""What the demo leaves behind: a table, a comparison with the truth, a contact sheet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.cli.demo_actions import RecordedActions, action_rows, read_actions
from hand_perception.datatypes import FloatArray, ImageArray
from hand_perception.errors import SourceError
from hand_perception.evaluation.clip_errors import ClipErrors, evaluate_clip
from hand_perception.synthetic.truth import HandTruth, load_clip_truth
from hand_perception.video import open_source

_SHEET_COLUMNS: Final = 4
_SHEET_ROWS: Final = 2
_SHEET_CELL_PX: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedHand:
    """One published hand: pixels and metres of its 21 keypoints."""

    is_right: bool
    keypoints_2d: FloatArray
    keypoints_3d: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What the recorder kept of a run.

    Attributes:
        image_stamps_ns: of all camera images, in order.
        pose_stamps_ns: of the processed ones.
        ages_s: age of each result when it was published.
        num_dropped: images that the node dropped.
        hands: hands by the stamp of their image.
        actions: what was said of actions, by the stamp of their image.
    """

    image_stamps_ns: NDArray[np.int64]
    pose_stamps_ns: NDArray[np.int64]
    ages_s: NDArray[np.float64]
    num_dropped: int
    hands: dict[int, list[RecordedHand]]
    actions: RecordedActions = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> 'Recording':
        """Read ``hands.npz`` of the recorder.

        Raises:
            SourceError: nothing was recorded.
        """
        try:
            arrays = np.load(path, allow_pickle=False)
        except OSError as error:
            raise SourceError(f'the recorder wrote no {path}: {error}') from error
        hands: dict[int, list[RecordedHand]] = {int(s): [] for s in arrays['pose_stamp_ns']}
        for i, stamp in enumerate(arrays['stamp_ns']):
            hand = RecordedHand(
                is_right=bool(arrays['is_right'][i]),
                keypoints_2d=arrays['keypoints_2d'][i],
                keypoints_3d=arrays['keypoints_3d'][i],
            )
            hands[int(stamp)].append(hand)
        dropped = arrays['frames_dropped']
        return cls(
            image_stamps_ns=arrays['image_stamp_ns'],
            pose_stamps_ns=arrays['pose_stamp_ns'],
            ages_s=arrays['age_s'],
            num_dropped=int(dropped[-1]) if len(dropped) else 0,
            hands=hands,
            actions=read_actions(arrays),
        )


def count_images(source: str) -> int | None:
    """Say how many images a source will give; None for a camera, which has no end.

    Raises:
        SourceError: the source cannot be opened.
    """
    if source.isdecimal():
        return None  # the camera is the node's to open
    opened = open_source(source)
    opened.close()
    return opened.num_frames


def report(folder: Path, *, with_truth: bool) -> None:
    """Print the table of a recording and write its contact sheet.

    Raises:
        SourceError: nothing was recorded.
    """
    recording = Recording.load(folder / 'hands.npz')
    rows = [*_run_rows(recording)]
    if with_truth:
        rows += _truth_rows(recording)
    else:
        rows += action_rows(recording.actions)
    width = max(len(name) for name, _ in rows)
    print()
    for name, value in rows:
        print(f'  {name:<{width}}  {value}')
    print()
    sheet = folder / 'contact_sheet.png'
    if write_contact_sheet(folder / 'overlay.mp4', sheet):
        print(f'  pictures     {sheet}')
        print(f'  video        {folder / "overlay.mp4"}')
    print(f'  bag          {folder / "bag"}  (mcap; ros2 bag play {folder / "bag"})')
    print(f'  logs         {folder}/*.log')


def _run_rows(recording: Recording) -> Iterator[tuple[str, str]]:
    hands = [hand for found in recording.hands.values() for hand in found]
    yield 'images in', str(len(recording.image_stamps_ns))
    yield 'processed', str(len(recording.pose_stamps_ns))
    yield 'dropped', str(recording.num_dropped)
    yield 'left hands', str(sum(not hand.is_right for hand in hands))
    yield 'right hands', str(sum(hand.is_right for hand in hands))
    if len(recording.ages_s):
        p50, p95, p99 = np.percentile(recording.ages_s, (50, 95, 99)) * 1e3
        yield 'age p50 / p95 / p99', f'{p50:.0f} / {p95:.0f} / {p99:.0f} ms (stamp to publication)'


def _truth_rows(recording: Recording) -> list[tuple[str, str]]:
    processed = processed_truth(recording)
    if processed is None:
        lacking = ('against the truth', 'not compared: some camera images were not recorded')
        return [lacking, *action_rows(recording.actions)]
    errors = compare_with_truth(recording, processed)
    return [
        ('-- against the truth', f'of {errors.num_images} processed images'),
        *errors.rows(),
        *action_rows(recording.actions, processed),
    ]


def processed_truth(recording: Recording) -> list[tuple[int, tuple[HandTruth, ...]]] | None:
    """Give stamp and true hands of the processed images of one pass of the built-in clip.

    The n-th recorded camera image is the n-th of the clip; None when some were not recorded, and
    nobody can say which.
    """
    truth = load_clip_truth()
    stamps = recording.image_stamps_ns.tolist()
    if len(stamps) != len(truth.frames):
        return None
    pairs = zip(stamps, truth.frames, strict=True)
    return [(stamp, hands) for stamp, hands in pairs if stamp in recording.hands]


def compare_with_truth(
    recording: Recording, processed: Sequence[tuple[int, Sequence[HandTruth]]]
) -> ClipErrors:
    """Compare the hands of processed images with the true ones."""
    found = [recording.hands[stamp] for stamp, _ in processed]
    return evaluate_clip([hands for _, hands in processed], found)


def write_contact_sheet(video: Path, path: Path) -> bool:
    """Put pictures from all over a video on one sheet; False when the video has none."""
    pictures = list(_pictures(video, _SHEET_COLUMNS * _SHEET_ROWS))
    if not pictures:
        return False
    blank = np.zeros_like(pictures[0])
    pictures += [blank] * (-len(pictures) % _SHEET_COLUMNS)
    rows = [
        np.hstack(pictures[i : i + _SHEET_COLUMNS])
        for i in range(0, len(pictures), _SHEET_COLUMNS)
    ]
    return bool(cv2.imwrite(str(path), np.vstack(rows)))


def _pictures(video: Path, count: int) -> Sequence[ImageArray]:
    capture = cv2.VideoCapture(str(video))
    try:
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        # The middle of each of ``count`` equal parts; reading on is exact where seeking is not.
        wanted = {round((i + 0.5) * total / count) for i in range(count)} - {total}
        pictures: list[ImageArray] = []
        for number in range(total):
            if not capture.grab():
                break
            if number in wanted:
                image = capture.retrieve()[1]
                height = round(image.shape[0] * _SHEET_CELL_PX / image.shape[1])
                size = (_SHEET_CELL_PX, height)
                pictures.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        return pictures
    finally:
        capture.release()
