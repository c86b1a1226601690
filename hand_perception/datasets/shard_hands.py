"""Single hands of shards: those of ``hand_perception data make-shards``, and HaMeR's training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from hand_perception.datasets import hamer_tars, shard_samples
from hand_perception.datasets.hamer_tars import HamerTarRules
from hand_perception.datasets.image_files import decode_rgb
from hand_perception.datasets.sample import UNKNOWN, HandTruth, Sample
from hand_perception.datasets.shard_index import HandPlace, open_index
from hand_perception.datasets.shards import Shard
from hand_perception.datasets.tables import no_such_split
from hand_perception.datasets.truth_parts import part_of
from hand_perception.datatypes import NUM_JOINTS, ImageArray
from hand_perception.errors import DatasetError

NAME: Final = 'shards'
SPLITS: Final = ('train', 'val', 'test')
#: What was written, in the folder of the shards of a split; not there for HaMeR's.
TABLE: Final = 'shards.json'
_NOTHING: Final[ImageArray] = np.zeros((1, 1, 1, 3), np.uint8)


class ShardHands:
    """Hands of all shards of a split; see ``hands.HandImages``. May be sent to other processes.

    Attributes:
        dataset: ``shards``.
        split: train, val or test.
        shards: the tar files, in the order of their names.
    """

    def __init__(
        self, root: str | Path, split: str, *, rules: HamerTarRules | None = None
    ) -> None:
        """Look for the shards and list their hands.

        The first time this reads all truths, which takes a while; what was found is kept.

        Args:
            root: folder with ``SPLIT/*.tar``, or with the tars of the training split.
            split: train, val or test.
            rules: which hands of HaMeR's shards are taken; None: as published.

        Raises:
            DatasetError: there are no shards, not all of them, or one is damaged.
        """
        self.dataset, self.split = NAME, split
        self._rules = HamerTarRules() if rules is None else rules
        self.shards = tuple(Shard(path) for path in find_shards(root, split))
        bar = tqdm(self.shards, desc='looking through shards', leave=False, disable=None)
        self._indices = [open_index(shard, self._rules) for shard in bar]
        for shard in self.shards:
            shard.forget()  # the index tells where everything lies
        self._ends = np.cumsum([len(index.names) for index in self._indices])

    def __len__(self) -> int:
        """How many hands there are."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Sample:
        """Read a hand and its image.

        Raises:
            DatasetError: the shard is missing or damaged; the message names it.
            IndexError: there is no such hand.
        """
        shard, place = self._place(index)
        where = f'{place.name} in {shard.path}'
        image = _image(shard.read_member(place.image), where)
        return self._sample(shard, place, image[None])

    def name(self, index: int) -> str:
        """Name of a hand; nothing is read."""
        shard, place = self._place(index)
        return f'{shard.path.stem}/{place.name}'

    def is_right(self, index: int) -> bool:
        """Side of a hand; nothing is read."""
        return self._place(index)[1].is_right

    def truth(self, index: int) -> HandTruth:
        """What is known of a hand, without its image."""
        return self._sample(*self._place(index), _NOTHING).truth

    def _place(self, index: int) -> tuple[Shard, HandPlace]:
        if not -len(self) <= index < len(self):
            raise IndexError(f'{NAME} {self.split} has {len(self)} hands, got {index}')
        index %= len(self)
        number = int(np.searchsorted(self._ends, index, side='right'))
        first = int(self._ends[number - 1]) if number else 0
        return self.shards[number], self._indices[number].place(index - first)

    def _sample(self, shard: Shard, place: HandPlace, images: ImageArray) -> Sample:
        where = f'{place.name} in {shard.path}'
        content = shard.read_member(place.truth)
        name = f'{shard.path.stem}/{place.name}'
        if place.is_pickled:
            hand = hamer_tars.read_hands(content, self._rules, where)[place.number]
            if hand is None:
                raise DatasetError(f'{where} has changed while it was read')
            return Sample(
                dataset=NAME, segment=name, images=images, truth=hand.truth,
                is_right=(hand.is_right,), K=np.full((1, 3, 3), np.nan, np.float32),
                action=UNKNOWN, object=UNKNOWN, not_padding=np.ones(1, np.bool_),
                frames=np.zeros(1, np.int64),
            )  # fmt: skip
        vertices = shard.read_member(place.vertices) if place.vertices.size else None
        sample = shard_samples.read_sample(content, images, where, vertices)
        return Sample(
            dataset=NAME, segment=name, images=images, truth=_one(sample.truth, place.number),
            is_right=(place.is_right,), K=sample.K, action=sample.action, object=sample.object,
            not_padding=sample.not_padding, frames=sample.frames,
        )  # fmt: skip


def find_shards(root: str | Path, split: str) -> tuple[Path, ...]:
    """List the shards of a split.

    Raises:
        DatasetError: there are none, or fewer than were to be written.
    """
    if split not in SPLITS:
        no_such_split('a folder of shards', split, SPLITS)
    base = Path(root).expanduser()
    folder = _folder(base, split)
    found = tuple(sorted(folder.glob('*.tar'))) if folder.is_dir() else ()
    table = folder / TABLE
    if table.exists():
        try:
            wanted = int(json.loads(table.read_text(encoding='utf-8'))['num_shards'])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f'{table} cannot be read ({error}); make it again') from error
        if len(found) != wanted:
            raise DatasetError(
                f'{folder} has {len(found)} of {wanted} shards; run `hand_perception data '
                'make-shards` with the same arguments again, which goes on where it stopped'
            )
    if not found:
        raise DatasetError(
            f'no shards (*.tar) in {base / split}{f" or {base}" if split == "train" else ""}; '
            '`hand_perception data make-shards` makes them'
        )
    return found


def has_split(root: Path, split: str) -> bool:
    """Tell whether there are any shards of a split."""
    return any(_folder(root, split).glob('*.tar'))


def source_of(root: str | Path, split: str) -> str:
    """Tell what shards were made of, such as ``freihand train``; empty for HaMeR's own.

    Raises:
        DatasetError: their table cannot be read.
    """
    table = _folder(Path(root).expanduser(), split) / TABLE
    if not table.exists():
        return ''
    try:
        return str(json.loads(table.read_text(encoding='utf-8'))['source'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f'{table} cannot be read ({error}); make it again') from error


def _folder(base: Path, split: str) -> Path:
    folder = base / split
    return base if split == 'train' and not folder.is_dir() else folder


def _one(truth: HandTruth, number: int) -> HandTruth:
    """Take one hand out of those of an image, with confidences."""
    one = part_of(truth, hands=slice(number, number + 1))
    full = np.repeat(one.hand_valid[..., None], NUM_JOINTS, axis=2).astype(np.float32)
    return replace(
        one,
        confidence_2d=full if one.confidence_2d is None else one.confidence_2d,
        confidence_3d=full if one.confidence_3d is None else one.confidence_3d,
    )


def _image(content: bytes, where: str) -> ImageArray:
    is_cut = content.startswith(b'\xff\xd8') and b'\xff\xd9' not in content[-64:]
    image = None if is_cut else decode_rgb(content)
    if image is None:
        raise DatasetError(f'the image of {where} is not whole; make or copy the shard again')
    return image
