"""Look through the folder of a data set, split by split: clips or single hands."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from hand_perception.cli import data_check_clips, data_check_hands
from hand_perception.cli.doctor import FAIL, Finding
from hand_perception.datasets import clips, hands, shard_hands
from hand_perception.errors import HandPerceptionError

#: Kinds that are looked at as clips, and those as single hands.
KINDS: Final = (*clips.KINDS, *(kind for kind in hands.KINDS if kind not in clips.KINDS))
SPLITS: Final = {**hands.SPLITS, **clips.SPLITS}
_SOURCES: Final = {**data_check_clips.SOURCES, **data_check_hands.SOURCES}


def check(
    kind: str, root: str | Path, *, splits: Sequence[str], all_images: bool = False,
    images: str = '', mano_dir: str = '',
) -> Iterator[Finding]:  # fmt: skip
    """Look at one split after the other; what is wrong with one does not stop the next.

    Args:
        kind: one of ``KINDS``.
        root: its folder, or its file for ``hamer_eval``.
        splits: which to look at.
        all_images: True reads every image, False some of them; that all image files exist is
            looked at in both cases.
        images: ``hamer_eval`` only: folder of the images.
        mano_dir: ``freihand`` only: folder of MANO_RIGHT.pkl.
    """
    folder = Path(root).expanduser()
    if not folder.exists() or (not folder.is_dir() and kind not in hands.FILE_KINDS):
        source = f'get {kind.upper()} from {_SOURCES[kind]}; ' if kind in _SOURCES else ''
        what = 'is not there' if kind in hands.FILE_KINDS else 'is not a folder'
        yield Finding(
            level=FAIL, topic='folder', text=f'{folder} {what}',
            advice=f'{source}see docs/datasets.md',
        )  # fmt: skip
        return
    if kind == shard_hands.NAME:  # any of the splits may have been packed
        splits = [name for name in splits if shard_hands.has_split(folder, name)] or splits
    for name in splits:
        try:
            if kind in clips.KINDS:
                yield from data_check_clips.check_clips(kind, folder, name, all_images=all_images)
            else:
                yield from data_check_hands.check_hands(
                    kind, folder, name, all_images=all_images, images=images, mano_dir=mano_dir
                )
        except HandPerceptionError as error:
            yield Finding(
                level=FAIL, topic=name, text=str(error),
                advice='docs/datasets.md shows what the folder has to hold',
            )  # fmt: skip
