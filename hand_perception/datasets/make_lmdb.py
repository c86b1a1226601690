"""Pack the images of a split of clips into the LMDB folder that the published HTT reads."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from hand_perception import optional
from hand_perception.datasets.clips import ImageSource
from hand_perception.datasets.image_lmdb import DATA_FILE, lmdb_folder
from hand_perception.datasets.segments import Segment, Split
from hand_perception.datatypes import ImageArray
from hand_perception.errors import DatasetError
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH

#: An image takes 95 pages of 4096 bytes; keys and tables come on top.
_BYTES_PER_IMAGE: Final = 96 * 4096
_BYTES_BESIDE: Final = 64 << 20
#: Images that are written at a time.
_BATCH: Final = 64


def write_lmdb(split: Split, images: ImageSource) -> Iterator[int]:
    """Write ``lmdb_imgs/SPLIT`` below the data set: raw RGB, a sub-database for each segment.

    It is written beside its place and moved there when it is whole; a run that was interrupted
    goes on where it stopped.

    Args:
        split: which images.
        images: reads them, (270, 480, 3) each.

    Yields:
        How many images of each segment are there, in order.

    Raises:
        DatasetError: the folder is there already, an image is missing, damaged or of another
            size, or the disk is too small.
        MissingPackageError: the package lmdb is not installed.
    """
    lmdb = optional.require('lmdb', purpose='writing an LMDB folder')
    folder = lmdb_folder(split)
    if (folder / DATA_FILE).exists():
        raise DatasetError(f'{folder} is there already; move it away to make it again')
    part = folder.with_name(f'.{folder.name}.part')
    size = _BYTES_BESIDE + _BYTES_PER_IMAGE * sum(s.num_frames for s in split.segments)
    try:
        part.mkdir(parents=True, exist_ok=True)
        _refuse_small_disk(part, size)
        environment = lmdb.open(
            str(part), map_size=size, max_dbs=len(split.segments) + 1, lock=False, metasync=False
        )
        try:
            for segment in split.segments:
                _write_segment(environment, split, images, segment)
                yield segment.num_frames
            environment.sync(True)
        finally:
            environment.close()
        part.rename(folder)
    except (OSError, lmdb.Error) as error:
        raise DatasetError(
            f'{part} cannot be written: {error}; free some space, or delete the folder to begin '
            'anew'
        ) from error


def _write_segment(environment: Any, split: Split, images: ImageSource, segment: Segment) -> None:
    database = environment.open_db(segment.database.encode('ascii'))
    keys = [
        split.image_key(segment, frame).encode('ascii') for frame in range(segment.num_frames)
    ]  # fmt: skip
    with environment.begin(db=database) as transaction:
        missing = [frame for frame, key in enumerate(keys) if transaction.get(key) is None]
    for first in range(0, len(missing), _BATCH):
        frames = missing[first : first + _BATCH]
        read = images.read(segment, frames)
        with environment.begin(db=database, write=True) as transaction:
            for frame, image in zip(frames, read, strict=True):
                transaction.put(keys[frame], _content(image, segment, frame))


def _content(image: ImageArray, segment: Segment, frame: int) -> bytes:
    if image.shape != (IMAGE_HEIGHT, IMAGE_WIDTH, 3):
        raise DatasetError(
            f'image {frame} of {segment.name} has {image.shape[1]} x {image.shape[0]} pixels; an '
            f'LMDB folder holds images of {IMAGE_WIDTH} x {IMAGE_HEIGHT}'
        )
    return np.ascontiguousarray(image).tobytes()


def _refuse_small_disk(part: Path, size: int) -> None:
    data = part / DATA_FILE
    there = data.stat().st_blocks * 512 if data.exists() else 0
    free = shutil.disk_usage(part).free
    if size - there > free:
        raise DatasetError(
            f'{part} needs {(size - there) / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free'
        )
