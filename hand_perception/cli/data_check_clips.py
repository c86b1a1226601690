"""Look through a folder of clips: tables, hands, images, and where they come from."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from hand_perception.cli.doctor import FAIL, OK, WARN, Finding
from hand_perception.cli.problems import NOT_COMPARABLE, Problems, count
from hand_perception.datasets import fpha, h2o, synthetic_files
from hand_perception.datasets.clips import ImageSource, open_images, open_split, window_starts
from hand_perception.datasets.image_files import ImageFiles
from hand_perception.datasets.image_lmdb import DATA_FILE, LmdbImages, lmdb_folder
from hand_perception.datasets.sample import UNKNOWN
from hand_perception.datasets.segments import Segment, Split
from hand_perception.errors import HandPerceptionError

#: Where data sets come from.
SOURCES: Final = {
    fpha.NAME: fpha.SOURCE, h2o.NAME: h2o.SOURCE, synthetic_files.NAME: synthetic_files.SOURCE,
}  # fmt: skip
#: Segments of the published splits.
_PUBLISHED: Final = {
    (fpha.NAME, 'train'): 600, (fpha.NAME, 'test'): 575,
    (h2o.NAME, 'train'): 569, (h2o.NAME, 'val'): 122, (h2o.NAME, 'test'): 242,
}  # fmt: skip
#: People of the published splits of H2O; those of FPHA share all people.
_SUBJECTS: Final = {'train': {1, 2, 3}, 'val': {3}, 'test': {4}}


def check_clips(kind: str, root: Path, split: str, *, all_images: bool) -> Iterator[Finding]:
    """Look at one split.

    Args:
        kind: of ``clips.KINDS``.
        root: its folder.
        split: train, val or test.
        all_images: True reads every image, False the first and last of each segment; that all
            image files exist is looked at in both cases.

    Raises:
        HandPerceptionError: the tables of the split cannot be read.
    """
    opened = open_split(kind, root, split)
    yield from _tables(opened)
    yield from _hands(opened)
    yield from _images(opened, all_images=all_images)


def _tables(split: Split) -> Iterator[Finding]:
    segments = split.segments
    subjects = sorted({segment.subject for segment in segments})
    frames = sum(segment.num_frames for segment in segments)
    evaluation, training = (
        len(window_starts(split, windows=windows)) for windows in ('evaluation', 'training')
    )
    yield Finding(
        level=OK, topic=split.name,
        text=f'{count(len(segments), "segment")} of {count(len(subjects), "subject")} '
        f'({", ".join(map(str, subjects))}), {count(frames, "frame")}; '
        f'{count(evaluation, "window")} of evaluation, {count(training, "start")} of training',
    )  # fmt: skip
    published = _PUBLISHED.get((split.dataset, split.name), len(segments))
    if len(segments) != published:
        yield Finding(
            level=WARN, topic=split.name,
            text=f'the published split has {published} segments, this one {len(segments)}',
            advice=NOT_COMPARABLE,
        )  # fmt: skip
    foreign = set(subjects) - _SUBJECTS[split.name] if split.dataset == h2o.NAME else set()
    if foreign:
        yield Finding(
            level=FAIL, topic=split.name,
            text=f'has subject {", ".join(map(str, sorted(foreign)))}, but the published split '
            f'has only {", ".join(map(str, sorted(_SUBJECTS[split.name])))}',
            advice=f'the tables are mixed up; copy action_labels/ again from {h2o.SOURCE}',
        )  # fmt: skip
    if segments[0].action == UNKNOWN:
        yield Finding(
            level=WARN, topic=split.name, text='the table has no labels, as it is published',
            advice='hands can be evaluated here, actions only by the challenge server',
        )  # fmt: skip


def _hands(split: Split) -> Iterator[Finding]:
    problems = Problems()
    frames, behind = 0, 0
    annotated = np.zeros(len(split.is_right), np.int64)
    for segment in _bar(split, 'hands'):
        try:
            truth = split.truth(segment)
        except HandPerceptionError as error:
            problems.add(str(error))
            continue
        frames += segment.num_frames
        annotated += truth.hand_valid.sum(axis=0)
        depth = truth.joints_3d[..., 2].min(axis=2)  # (F, N)
        behind += int(np.count_nonzero(truth.hand_valid & (depth <= 0)))
    topic = f'{split.name} hands'
    if problems.count:
        yield Finding(
            level=FAIL, topic=topic, text=f'of {count(problems.count, "segment")}: {problems}',
            advice=f'copy these files again; they come from {_source(split)}',
        )  # fmt: skip
    if frames:
        shares = ', '.join(
            f'{"right" if is_right else "left"} {100 * number / frames:.1f} %'
            for is_right, number in zip(split.is_right, annotated, strict=True)
        )
        yield Finding(
            level=OK, topic=topic, text=f'annotated in {count(frames, "frame")}: {shares}'
        )  # fmt: skip
    if behind:
        yield Finding(
            level=WARN, topic=topic, text=f'{count(behind, "hand")} with joints behind the camera'
        )  # fmt: skip


def _images(split: Split, *, all_images: bool) -> Iterator[Finding]:
    topic = f'{split.name} images'
    try:
        images = open_images(split)
    except HandPerceptionError as error:
        yield Finding(
            level=FAIL, topic=topic, text=str(error), advice='or put the image files there'
        )  # fmt: skip
        return
    missing = _missing(split, images) if isinstance(images, ImageFiles) else Problems()
    damaged = Problems()
    try:
        if not missing.count:
            damaged = _damaged(split, images, all_images=all_images)
    finally:
        if isinstance(images, LmdbImages):
            images.close()
    frames = sum(segment.num_frames for segment in split.segments)
    if missing.count:
        yield Finding(
            level=FAIL, topic=topic,
            text=f'{missing.count:,} of {count(frames, "image file")} missing: {missing}',
            advice=_where_from(split),
        )  # fmt: skip
    if damaged.count:
        yield Finding(
            level=FAIL, topic=topic, text=f'of {count(damaged.count, "segment")}: {damaged}',
            advice='copy these images again, or make the LMDB folder again',
        )  # fmt: skip
    if not missing.count and not damaged.count:
        read = 'all' if all_images else 'the first and last of each segment'
        yield Finding(
            level=OK, topic=topic,
            text=f'{count(frames, "frame")} from {_what(split, images)}; {read} read',
        )  # fmt: skip


def _missing(split: Split, images: ImageFiles) -> Problems:
    """Tell which image files are not there; folders are listed once."""
    problems = Problems()
    listed: dict[Path, set[str]] = {}
    for segment in split.segments:
        paths = [
            split.image_path(segment, frame, is_original=images.is_original)
            for frame in range(segment.num_frames)
        ]
        folder = paths[0].parent
        if folder not in listed:
            listed[folder] = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        absent = [path for path in paths if path.name not in listed[folder]]
        if len(absent) == len(paths):
            problems.add(f'all of {segment.name} ({folder})', count=len(absent))
        elif absent:
            problems.add(
                f'{len(absent)} of {segment.name} (first: {absent[0]})', count=len(absent)
            )
    return problems


def _damaged(split: Split, images: ImageSource, *, all_images: bool) -> Problems:
    problems = Problems()
    for segment in _bar(split, 'images'):
        last = segment.num_frames - 1
        frames: Iterable[int] = range(segment.num_frames) if all_images else sorted({0, last})
        try:
            for frame in frames:
                images.read(segment, [frame])
        except HandPerceptionError as error:
            problems.add(str(error))
    return problems


def _source(split: Split) -> str:
    return SOURCES[split.dataset]


def _where_from(split: Split) -> str:
    original, small, size = (
        (fpha.ORIGINAL_IMAGES, fpha.SMALL_IMAGES, '1920 x 1080') if split.dataset == fpha.NAME
        else (f'cam4/{h2o.ORIGINAL_IMAGES}', f'cam4/{h2o.SMALL_IMAGES}', '1280 x 720')
    )  # fmt: skip
    return (
        f'{original}/ ({size}) comes from {SOURCES[split.dataset]}; {small}/ (480 x 270) is made '
        f'from it and not needed: without {small}/ the originals are read'
    )


def _what(split: Split, images: ImageSource) -> str:
    if isinstance(images, LmdbImages):
        return f'the LMDB folder {images.folder}'
    if not isinstance(images, ImageFiles):
        return 'tar files'
    what = 'original image files' if images.is_original else 'image files of 480 x 270'
    if (lmdb_folder(split) / DATA_FILE).is_file():
        what += ' (an LMDB folder is there, but the package lmdb is not installed)'
    return what


def _bar(split: Split, what: str) -> Iterator[Segment]:
    return iter(
        tqdm(
            split.segments, desc=f'{split.name} {what}', unit='segment', leave=False, disable=None
        )
    )
