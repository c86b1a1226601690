"""The samples of a synthetic data set without a disk: rendered when they are asked for.

They are those that ``data_set.write_data_set`` writes and ``datasets`` reads, to the bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from hand_perception.actions import LabelMap
from hand_perception.datasets.clips import Clips
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datasets.segments import Segment
from hand_perception.datasets.synthetic_files import (
    IS_RIGHT,
    NAME,
    SPLITS,
    ImageTruth,
    decode_jpeg,
    frame_name,
    hand_truth,
    image_truth,
    single_hand,
)
from hand_perception.datasets.synthetic_hands import VISIBLE
from hand_perception.datasets.tables import no_such_split
from hand_perception.datasets.windows import SPACING, IndexArray
from hand_perception.datatypes import DoubleArray, ImageArray
from hand_perception.errors import ConfigError
from hand_perception.models.htt.constants import POSE_WINDOW, WINDOW
from hand_perception.synthetic.frame_files import frame_record, frame_time_s, render_frame
from hand_perception.synthetic.people import LABELS, DataSpec, Take, person_scene, take_scene
from hand_perception.synthetic.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTheFlySplit:
    """Segments of one split that nobody has rendered yet; see ``segments.Split``.

    Attributes:
        spec: of the data set.
        takes: one for each segment.
    """

    name: str
    spec: DataSpec
    takes: tuple[Take, ...]
    segments: tuple[Segment, ...]
    K: DoubleArray
    root: Path = field(default_factory=Path)
    labels: LabelMap = LABELS
    dataset: str = NAME
    is_right: tuple[bool, ...] = IS_RIGHT
    kernel: str = 'linear'

    @property
    def rate_hz(self) -> float:
        """Images a second."""
        return self.spec.rate_hz

    def truth(self, segment: Segment) -> HandTruth:
        """Tell the hands of all images of a segment; nothing is shaded for it."""
        take = self.takes[segment.row - 1]
        scene = _scene(self.spec, take)
        truths = []
        for frame in range(segment.num_frames):
            time_s = frame_time_s(self.spec, take, frame)
            hands = scene.truth(time_s, with_visibility=True)
            truths.append(image_truth(frame_record(self.spec, take, frame, hands)))
        return hand_truth(truths)

    def image_key(self, segment: Segment, frame: int) -> str:
        """Name of an image."""
        return f'{self.name}/{segment.recording}/{frame_name(frame)}.jpg'

    def image_path(self, segment: Segment, frame: int, *, is_original: bool) -> Path:
        """File that it would be in."""
        return self.root / self.image_key(segment, frame)

    def picture(self, number: int, frame: int) -> tuple[ImageArray, ImageTruth]:
        """Render an image of a segment, (H, W, 3) uint8 RGB, and tell what is in it."""
        take = self.takes[number]
        jpeg, record = render_frame(_scene(self.spec, take), self.spec, take, frame)
        return decode_jpeg(jpeg, take.name), image_truth(record)


class OnTheFlyClips(Clips):
    """Clips of one split; the same as ``datasets.clips.open_clips('synthetic', ...)`` gives."""

    def __init__(
        self, spec: DataSpec, split: str, *, windows: str, window: int = WINDOW,
        pose_window: int = POSE_WINDOW, spacing: int = SPACING,
    ) -> None:  # fmt: skip
        """Choose the clips; arguments are those of ``open_clips``.

        Raises:
            ConfigError: a choice cannot be, or actions would be known only afterwards.
        """
        self._rendered = on_the_fly_split(spec, split)
        super().__init__(
            self._rendered, windows=windows, window=window, pose_window=pose_window,
            spacing=spacing,
        )  # fmt: skip

    def _read(
        self, number: int, frames: IndexArray, count: int
    ) -> tuple[list[ImageArray], HandTruth]:
        # The hands of images that are rendered anyway, not of the whole recording.
        pictures = [self._rendered.picture(number, frame) for frame in frames[:count].tolist()]
        read, told = (list(parts) for parts in zip(*pictures, strict=True))
        truth = hand_truth(told + told[-1:] * (len(frames) - count))
        return read, HandTruth(
            joints_3d=truth.joints_3d, joints_2d=truth.joints_2d, hand_valid=truth.hand_valid
        )


class OnTheFlyHands:
    """Single hands of one split; see ``datasets.hands.HandImages``.

    All hands of all images are there. One of which too little is seen, which is known only when
    it is rendered, is not valid and has confidences of 0, so that nothing is learned from it.

    Attributes:
        split: train, val or test.
    """

    def __init__(self, spec: DataSpec, split: str, *, min_visible: float = VISIBLE) -> None:
        """List the hands.

        Args:
            spec: of the data set.
            split: train, val or test.
            min_visible: least share of a hand that has to be seen.
        """
        self.dataset, self.split = NAME, split
        self._split, self._min_visible = on_the_fly_split(spec, split), min_visible
        self._frames = spec.frames

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self._split.takes) * self._frames * len(IS_RIGHT)

    def __getitem__(self, index: int) -> Sample:
        """Render a hand with its image."""
        number, frame, hand = self._place(index)
        image, truth = self._split.picture(number, frame)
        return Sample(
            dataset=NAME,
            segment=self.name(index),
            images=image[None],
            truth=single_hand(truth, hand, min_visible=self._min_visible),
            is_right=(IS_RIGHT[hand],),
            K=self._split.K[None].astype(np.float32),
            action=self._split.segments[number].action,
            object=0,
            not_padding=np.ones(1, np.bool_),
            frames=np.array([frame], np.int64),
        )

    def name(self, index: int) -> str:
        """Name of a hand; nothing is rendered."""
        number, frame, hand = self._place(index)
        side = 'right' if IS_RIGHT[hand] else 'left'
        return f'{self.split}/{self._split.takes[number].name}/{frame_name(frame)}_{side}'

    def is_right(self, index: int) -> bool:
        """Side of a hand."""
        return IS_RIGHT[self._place(index)[2]]

    def truth(self, index: int) -> HandTruth:
        """Tell what is true of a hand; nothing is shaded for it."""
        number, frame, hand = self._place(index)
        spec, take = self._split.spec, self._split.takes[number]
        time_s = frame_time_s(spec, take, frame)
        hands = _scene(spec, take).truth(time_s, with_visibility=True)
        truth = image_truth(frame_record(spec, take, frame, hands))
        return single_hand(truth, hand, min_visible=self._min_visible)

    def _place(self, index: int) -> tuple[int, int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f'{NAME} {self.split} has {len(self)} hands, got {index}')
        rest, hand = divmod(index % len(self), len(IS_RIGHT))
        return (*divmod(rest, self._frames), hand)


def on_the_fly_split(spec: DataSpec, split: str) -> OnTheFlySplit:
    """List the segments of a split.

    Raises:
        ConfigError: the script shows several actions, so that segments have none beforehand.
    """
    if split not in SPLITS:
        no_such_split('the synthetic data set', split, SPLITS)
    if spec.script != 'acts':
        raise ConfigError(
            f'clips that are rendered when they are asked for need the script acts, got '
            f'{spec.script!r}: write the data set instead'
        )
    takes = tuple(take for take in spec.takes if take.split == split)
    return OnTheFlySplit(
        name=split, spec=spec, takes=takes, K=spec.K, segments=tuple(_segments(spec, takes))
    )


def _segments(spec: DataSpec, takes: tuple[Take, ...]) -> Iterator[Segment]:
    for row, take in enumerate(takes, 1):
        yield Segment(
            name=f'{take.split}/{take.name}', recording=take.name, subject=take.subject, row=row,
            action=LABELS.actions.index(take.action), object=0, first_frame=0,
            num_frames=spec.frames, database=take.name,
        )  # fmt: skip


def _scene(spec: DataSpec, take: Take) -> Scene:
    return take_scene(_person(spec, take.subject), spec, take)


@lru_cache(maxsize=32)
def _person(spec: DataSpec, subject: int) -> Scene:
    return person_scene(spec, subject)
