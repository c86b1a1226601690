"""Single hands, one of one image each: of published data sets, and of those made here."""

from pathlib import Path
from typing import Any, Final, Protocol

from hand_perception.datasets import freihand, hamer_eval, hint, ho3d, shard_hands, synthetic_files
from hand_perception.datasets.hand_files import HandFiles
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datasets.synthetic_hands import SyntheticHands
from hand_perception.errors import ConfigError

KINDS: Final = (
    freihand.NAME, ho3d.NAME, hint.NAME, hamer_eval.NAME, synthetic_files.NAME, shard_hands.NAME,
)  # fmt: skip
#: Splits of each data set.
SPLITS: Final = {
    freihand.NAME: freihand.SPLITS, ho3d.NAME: ho3d.SPLITS, hint.NAME: hint.SPLITS,
    hamer_eval.NAME: hamer_eval.SPLITS, synthetic_files.NAME: synthetic_files.SPLITS,
    shard_hands.NAME: shard_hands.SPLITS,
}  # fmt: skip
#: Kinds whose root is a file.
FILE_KINDS: Final = (hamer_eval.NAME,)
#: Readers of tables, and the arguments of ``open_hands`` that each takes.
_TABLES: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    freihand.NAME: (freihand.open_split, ('version', 'mano_dir', 'with_vertices')),
    ho3d.NAME: (ho3d.open_split, ('version', 'with_vertices')),
    hint.NAME: (hint.open_split, ('version',)),
    hamer_eval.NAME: (hamer_eval.open_split, ('images',)),
}


class HandImages(Protocol):
    """Single hands; takes an index and tells its length, as data loaders of torch want.

    May be sent to other processes. An image with several hands is there once for each.

    Attributes:
        dataset: its kind.
        split: train, val or test.
    """

    @property
    def dataset(self) -> str:
        """One of ``KINDS``."""

    @property
    def split(self) -> str:
        """Train, val or test, in small letters."""

    def __len__(self) -> int:
        """How many hands there are."""

    def __getitem__(self, index: int, /) -> Sample:
        """Read a hand with its image: a ``Sample`` of T = 1 image and N = 1 hand.

        Raises:
            DatasetError: image or annotation is missing or damaged; the message names it.
            IndexError: there is no such hand.
        """

    def name(self, index: int) -> str:
        """Name of a hand, one of its kind in the data set; nothing is read."""

    def is_right(self, index: int) -> bool:
        """Whether it is a right hand; no image is read."""

    def truth(self, index: int) -> HandTruth:
        """What is known of a hand (T = N = 1); its image is not read.

        Raises:
            DatasetError: the annotation is missing, damaged or not finite.
        """


def open_hands(
    kind: str, root: str | Path, split: str, *, version: str = '', mano_dir: str = '',
    images: str | Path = '', with_vertices: bool | None = None,
) -> HandImages:  # fmt: skip
    """Open a split of a data set in its published layout.

    Args:
        kind: one of ``KINDS``.
        root: its folder; for ``hamer_eval`` the npz file.
        split: one of ``SPLITS[kind]``.
        version: which images. FreiHAND train: gs (green screen), hom, sample, auto, or all four
            of them (default). HO-3D: v2 or v3; as found by default. HInt: newdays, epick, ego4d,
            ego4d_seq, or the first three (default).
        mano_dir: FreiHAND only: folder of MANO_RIGHT.pkl. FreiHAND counts poses from MANO's mean
            pose, which only that file tells; without it poses are unknown (``has_pose`` False).
        images: ``hamer_eval`` only: folder of the images; that of the npz file by default.
        with_vertices: FreiHAND and HO-3D: whether meshes are read. By default those of the test
            split are, where they are there, and those of training, 1.6 GB of text, are not.

    Raises:
        DatasetError: folders or tables are missing, damaged, or contradict each other.
        ConfigError: one of the choices does not exist.
    """
    if kind not in KINDS:
        raise ConfigError(f'kind must be {", ".join(KINDS)}, got {kind!r}')
    given = {
        'version': version, 'mano_dir': mano_dir, 'images': images, 'with_vertices': with_vertices,
    }  # fmt: skip
    chosen = {name: value for name, value in given.items() if value not in ('', None)}
    open_table, known = _TABLES.get(kind, (None, ()))
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise ConfigError(
            f'{kind} takes {", ".join(known) or "no further choices"}, got {", ".join(unknown)}'
        )
    if kind == shard_hands.NAME:
        return shard_hands.ShardHands(root, split)
    if open_table is None:
        return SyntheticHands(root, split)
    return HandFiles(open_table(root, split, **chosen))
