"""Look through a folder of single hands: how many, what is known of them, and their images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from hand_perception.cli.doctor import FAIL, OK, WARN, Finding
from hand_perception.cli.problems import NOT_COMPARABLE, Problems, count
from hand_perception.datasets import freihand, hamer_eval, hint, ho3d
from hand_perception.datasets.hand_files import HandFiles
from hand_perception.datasets.hands import HandImages, open_hands
from hand_perception.datasets.ho3d_meta import Ho3dMeta
from hand_perception.datasets.image_files import read_rgb
from hand_perception.datasets.sample import HandTruth
from hand_perception.datatypes import NUM_JOINTS
from hand_perception.errors import HandPerceptionError

#: Where the published data sets come from.
SOURCES: Final = {
    freihand.NAME: freihand.SOURCE, ho3d.NAME: ho3d.SOURCE, hint.NAME: hint.SOURCE,
    hamer_eval.NAME: hamer_eval.SOURCE,
}  # fmt: skip
#: Images of the published splits; of HO-3D those of v2 and v3.
_PUBLISHED: Final = {
    (freihand.NAME, 'train'): (4 * 32560,), (freihand.NAME, 'test'): (3960,),
    (ho3d.NAME, 'train'): (66034, 83325), (ho3d.NAME, 'test'): (11524, 20137),
    (hint.NAME, 'train'): (9666 + 2780 + 11652,), (hint.NAME, 'val'): (550 + 625 + 514,),
    (hint.NAME, 'test'): (1754 + 1906 + 1714,),
}  # fmt: skip
#: Images that are read without --all-images, spread over the split.
_NUM_READ: Final = 64
#: Metres by which the wrist of HO-3D's answers may be off that of the image's own annotation.
_SAME_WRIST_M: Final = 0.005


def check_hands(
    kind: str, root: Path, split: str, *, all_images: bool, images: str = '', mano_dir: str = ''
) -> Iterator[Finding]:
    """Look at one split.

    Args:
        kind: of ``hands.KINDS``.
        root: its folder or file.
        split: train, val or test.
        all_images: True reads every image, False some, spread over the split.
        images: ``hamer_eval`` only: folder of the images.
        mano_dir: ``freihand`` only: folder of MANO_RIGHT.pkl.

    Raises:
        HandPerceptionError: the tables of the split cannot be read.
    """
    hands = open_hands(kind, root, split, images=images, mano_dir=mano_dir)
    yield from _size(hands)
    yield from _annotations(hands)
    if isinstance(hands, HandFiles) and isinstance(hands.table, ho3d.Ho3dTable):
        yield from _answers(hands.table)
    yield from _images(hands, all_images=all_images)


def _size(hands: HandImages) -> Iterator[Finding]:
    right = sum(hands.is_right(index) for index in range(len(hands)))
    yield Finding(
        level=OK, topic=hands.split,
        text=f'{count(len(hands), "hand")}: {right:,} right, {len(hands) - right:,} left',
    )  # fmt: skip
    published = _PUBLISHED.get((hands.dataset, hands.split), (len(hands),))
    if len(hands) not in published:
        yield Finding(
            level=WARN, topic=hands.split,
            text=f'the published split has {" or ".join(f"{n:,}" for n in published)} images, '
            f'this one {len(hands):,}',
            advice=NOT_COMPARABLE,
        )  # fmt: skip


def _annotations(hands: HandImages) -> Iterator[Finding]:
    topic = f'{hands.split} hands'
    problems = Problems()
    totals = np.zeros(5, np.int64)
    behind = empty = 0
    for index in _bar(hands, 'hands'):
        try:
            truth = hands.truth(index)
        except HandPerceptionError as error:
            problems.add(str(error))
            continue
        totals += _known(truth)
        known = np.full(NUM_JOINTS, truth.hand_valid[0, 0])
        if truth.confidence_3d is not None:
            known = known & (truth.confidence_3d[0, 0] > 0)
        behind += bool((truth.joints_3d[0, 0, :, 2] < 0)[known].any())
        empty += truth.boxes is not None and bool(
            (truth.boxes[0, 0, 2:] <= truth.boxes[0, 0, :2]).any()
        )
    if problems.count:
        yield Finding(
            level=FAIL, topic=topic, text=f'of {count(problems.count, "hand")}: {problems}',
            advice=f'copy these files again; they come from {_source(hands)}',
        )  # fmt: skip
    read = len(hands) - problems.count
    if read:
        names = ('2D', '3D', 'MANO pose', 'MANO shape', 'mesh')
        shares = ', '.join(
            f'{name} {100 * total / read:.1f} %' for name, total in zip(names, totals, strict=True)
        )
        if hands.dataset == freihand.NAME and totals[3] and not totals[2]:
            shares += '; --mano-dir DIR, folder of MANO_RIGHT.pkl, makes MANO poses known'
        yield Finding(level=OK, topic=topic, text=f'known of {count(read, "hand")}: {shares}')
    nothing = read - int(totals[:2].max())
    for number, what in (
        (nothing, 'without annotation'), (behind, 'with joints behind the camera'),
        (empty, 'with a box without size'),
    ):  # fmt: skip
        if number:
            yield Finding(level=WARN, topic=topic, text=f'{count(number, "hand")} {what}')


def _known(truth: HandTruth) -> list[bool]:
    """Tell whether 2D, 3D, pose, shape and mesh are known of a hand."""
    mano = truth.mano
    return [
        *(
            bool(truth.hand_valid[0, 0] if confidence is None else confidence.any())
            for confidence in (truth.confidence_2d, truth.confidence_3d)
        ),
        mano is not None and bool(mano.has_pose[0, 0]),
        mano is not None and bool(mano.has_betas[0, 0]),
        truth.vertices is not None,
    ]


def _answers(table: ho3d.Ho3dTable) -> Iterator[Finding]:
    """Compare the answers of HO-3D's test split with the wrists that each image tells."""
    if table.split != 'test':
        return
    topic = f'{table.split} hands'
    if table.joints is None:
        yield Finding(
            level=WARN, topic=topic,
            text=f'{ho3d.table_path(table.root, "xyz").name} is not there: only wrists are known',
            advice='answers have been published since November 2024; without them only the '
            'challenge server scores',
        )  # fmt: skip
        return
    other = Problems()
    for index in range(len(table)):
        try:
            wrist = Ho3dMeta.read(table.meta_path(index)).array('handJoints3D', (3,))
        except HandPerceptionError:
            continue  # told before
        if np.linalg.norm(wrist - table.joints[index, 0]) > _SAME_WRIST_M:
            other.add(table.name(index))
    if other.count:
        yield Finding(
            level=FAIL, topic=topic,
            text=f'{ho3d.table_path(table.root, "xyz").name} has another wrist than the '
            f'annotation in {count(other.count, "image")}: {other}',
            advice='the answers are of another version of HO-3D or in another order',
        )  # fmt: skip


def _images(hands: HandImages, *, all_images: bool) -> Iterator[Finding]:
    topic = f'{hands.split} images'
    missing = _missing(hands) if isinstance(hands, HandFiles) else Problems()
    damaged = Problems()
    step = 1 if all_images else max(1, len(hands) // _NUM_READ)
    chosen = sorted({*range(0, len(hands), step), len(hands) - 1} if len(hands) else ())
    if missing.count:
        yield Finding(
            level=FAIL, topic=topic,
            text=f'{missing.count:,} of {count(len(hands), "image file")} missing: {missing}',
            advice=f'they come from {_source(hands)}',
        )  # fmt: skip
        return
    for index in _bar(hands, 'images', chosen):
        try:
            if isinstance(hands, HandFiles):
                read_rgb(hands.table.image_path(index))
            else:
                hands[index]
        except HandPerceptionError as error:
            damaged.add(str(error))
    if damaged.count:
        yield Finding(
            level=FAIL, topic=topic, text=f'{count(damaged.count, "image")}: {damaged}',
            advice='copy these images again',
        )  # fmt: skip
    else:
        read = 'all' if len(chosen) == len(hands) else f'{len(chosen)} spread over them'
        yield Finding(level=OK, topic=topic, text=f'{count(len(hands), "image")}; {read} read')


def _missing(hands: HandFiles) -> Problems:
    """Tell which image files are not there; folders are listed once."""
    problems = Problems()
    listed: dict[Path, set[str]] = {}
    for index in range(len(hands)):
        path = hands.table.image_path(index)
        folder = path.parent
        if folder not in listed:
            listed[folder] = (
                {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
            )
        if path.name not in listed[folder]:
            problems.add(str(path))
    return problems


def _source(hands: HandImages) -> str:
    return SOURCES.get(hands.dataset, 'where this folder was made')


def _bar(hands: HandImages, what: str, chosen: list[int] | None = None) -> Iterator[int]:
    return iter(
        tqdm(
            range(len(hands)) if chosen is None else chosen,
            desc=f'{hands.split} {what}', unit='hand', leave=False, disable=None,
        )
    )  # fmt: skip
