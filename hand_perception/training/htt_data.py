"""The data sets of a training of HTT: clips to learn from, and held-out ones."""

from typing import Final

from hand_perception.datasets.clips import Clips, open_clips
from hand_perception.datasets.sample import Sample
from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.evaluation.mean_pose import mean_pose
from hand_perception.synthetic.on_the_fly import OnTheFlyClips
from hand_perception.synthetic.spec_file import is_spec_file, read_spec
from hand_perception.training.hand_statistics import evenly
from hand_perception.training.htt_settings import HttDataSettings

#: Recordings of which the mean pose is taken where their hands have to be computed: half a minute.
_RENDERED_FOR_MEAN: Final = 50


class SomeClips:
    """Clips of a data set, evenly spread over it."""

    def __init__(self, clips: Clips, count: int) -> None:
        """Choose ``count`` clips; 0 or more than there are: all."""
        self.clips = clips
        total = len(clips)
        self._numbers = evenly(total, count or total)

    def __len__(self) -> int:
        """How many clips were chosen."""
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        """Read a clip."""
        return self.clips[self._numbers[index]]


def open_training(settings: HttDataSettings) -> Clips:
    """Open what is learned from.

    Raises:
        ConfigError: no folder is named, or there is no such split.
        DatasetError: the folder is not the data set, or the split holds no clips.
    """
    clips = _open(settings, settings.train_split, windows='training')
    if not len(clips):
        raise DatasetError(
            f'{settings.kind} in {settings.root} has no clips in its split {settings.train_split}'
        )
    return clips


def open_validation(settings: HttDataSettings) -> SomeClips | None:
    """Open what is looked at from time to time; None when the settings name nothing."""
    if not settings.validation_split:
        return None
    clips = _open(settings, settings.validation_split, windows='evaluation')
    return SomeClips(clips, settings.validation_clips)


def mean_pose_of(clips: Clips) -> DoubleArray:
    """Average the annotated hands of all recordings, or of some that nobody has rendered yet.

    Returns:
        (21 S, 3) metres, camera optical frame; NaN of a hand that is annotated nowhere.
    """
    count = len(clips.split.segments)
    limit = _RENDERED_FOR_MEAN if isinstance(clips, OnTheFlyClips) else count
    return mean_pose(clips.truth(number) for number in evenly(count, limit))


def _open(settings: HttDataSettings, split: str, *, windows: str) -> Clips:
    if not settings.root:
        raise ConfigError(
            f'data.root is empty: give the folder of {settings.kind} with data.root=FOLDER'
        )
    if is_spec_file(settings.kind, settings.root):
        return OnTheFlyClips(
            read_spec(settings.root), split, windows=windows, window=settings.window,
            pose_window=settings.pose_window, spacing=settings.spacing,
        )  # fmt: skip
    return open_clips(
        settings.kind, settings.root, split, windows=windows, window=settings.window,
        pose_window=settings.pose_window, spacing=settings.spacing, images=settings.images,
        hands=settings.hands,
    )  # fmt: skip
