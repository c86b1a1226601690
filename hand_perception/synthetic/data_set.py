"""Write a synthetic data set: recordings side by side in several processes, then its table.

A recording that is there already is kept, so that an interrupted run goes on where it stopped.
Every file follows from the spec alone: any number of processes writes the same bytes.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hand_perception.datasets.shards import Shard, write_shard
from hand_perception.datasets.side_by_side import check_processes, side_by_side
from hand_perception.datasets.synthetic_files import (
    FORMAT,
    SPLITS,
    TABLE,
    read_truths,
    shard_path,
)
from hand_perception.synthetic.frame_files import SHARE_DECIMALS, json_bytes, take_members
from hand_perception.synthetic.people import LABELS, DataSpec, Take, person_scene, take_scene
from hand_perception.synthetic.scene import Scene
from hand_perception.synthetic.spec_file import begin_data_set
from hand_perception.whole_files import remove_unfinished, whole_file


def write_data_set(spec: DataSpec, root: str | Path, *, num_processes: int = 1) -> Iterator[Take]:
    """Write all recordings that are not there yet, and then the table.

    Args:
        spec: what it holds.
        root: its folder.
        num_processes: that render; more than 1 are started anew, which takes a few seconds.

    Yields:
        Each recording that is there, in no certain order; the table is written when it ends.

    Raises:
        DatasetError: the folder holds data of another spec, or cannot be written.
    """
    check_processes(num_processes)
    folder = Path(root).expanduser()
    begin_data_set(spec, folder)
    takes = spec.takes
    missing = []
    for take in takes:
        if shard_path(folder, take.split, take.name).exists():
            yield take
        else:
            missing.append(take)
    # A person's recordings follow each other: their scene is made once in a process.
    yield from side_by_side(_write_one, (spec, folder), missing, num_processes, chunk=2)
    _write_table(folder, spec, takes)


def _write_one(shared: tuple[DataSpec, Path], take: Take) -> Take:
    spec, folder = shared
    scene = take_scene(_scene(spec, take.subject), spec, take)
    write_shard(shard_path(folder, take.split, take.name), take_members(scene, spec, take))
    return take


@lru_cache(maxsize=2)
def _scene(spec: DataSpec, subject: int) -> Scene:
    return person_scene(spec, subject)


def _write_table(folder: Path, spec: DataSpec, takes: tuple[Take, ...]) -> None:
    """List all recordings, from what their files say, so that it fits them."""
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for take in takes:
        shard = Shard(shard_path(folder, take.split, take.name))
        truths = read_truths(shard, list(range(spec.frames)))
        shown = [primitive for truth in truths for primitive in truth.primitives if primitive]
        action = take.action or max(LABELS.actions, key=shown.count)
        splits[take.split].append({
            'name': take.name, 'subject': take.subject,
            'action': LABELS.actions.index(action), 'num_frames': spec.frames,
            'visible': [
                [round(float(share), SHARE_DECIMALS) for share in truth.visible]
                for truth in truths
            ],
        })  # fmt: skip
    remove_unfinished(folder)
    _write_json(folder / TABLE, {
        'format': FORMAT, 'labels': dataclasses.asdict(LABELS), 'K': spec.K.tolist(),
        'size': [spec.width, spec.height], 'rate_hz': spec.rate_hz, 'splits': splits,
    })  # fmt: skip


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole_file(path) as stream:
        stream.write(json_bytes(content))
