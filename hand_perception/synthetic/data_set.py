"""Write a synthetic data set: recordings side by side in several processes, then its table.

A recording that is there already is kept, so that an interrupted run goes on where it stopped.
Every file follows from the spec alone: any number of processes writes the same bytes.
"""

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from hand_perception.datasets.shards import Shard, write_shard
from hand_perception.datasets.synthetic_files import (
    FORMAT,
    SPLITS,
    TABLE,
    frame_name,
    read_truths,
    shard_path,
)
from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.synthetic.people import LABELS, DataSpec, Take, person_scene, take_scene
from hand_perception.synthetic.scene import Scene
from hand_perception.synthetic.truth import HandTruth

#: Written first, so that a run that goes on cannot mix two specs.
SPEC_FILE: Final = 'spec.json'
#: Places after the point: 0.1 micrometres and radians / 10^7; 0.001 pixels.
_DECIMALS: Final = 7
_PIXEL_DECIMALS: Final = 3
_SHARE_DECIMALS: Final = 3


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
    folder = Path(root).expanduser()
    _claim(folder, spec)
    takes = spec.takes
    missing = []
    for take in takes:
        if shard_path(folder, take.split, take.name).exists():
            yield take
        else:
            missing.append(take)
    yield from _write_all(spec, folder, missing, num_processes)
    _write_table(folder, spec, takes)


def _claim(folder: Path, spec: DataSpec) -> None:
    """Note the spec in the folder, or compare it with the one that is there."""
    path, wanted = folder / SPEC_FILE, dataclasses.asdict(spec)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            if any((folder / split).exists() for split in SPLITS) or (folder / TABLE).exists():
                raise DatasetError(f'{folder} holds other data; choose another folder')
            _write_json(path, wanted)
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DatasetError(f'{path} cannot be written or read: {error}') from error
    if found != wanted:
        changed = [
            f'{key} {found.get(key)!r}, now {value!r}'
            for key, value in wanted.items()
            if found.get(key) != value
        ]  # fmt: skip
        raise DatasetError(
            f'{folder} was begun with other settings ({", ".join(changed) or "of another version"}'
            '); use the same ones, or another folder'
        )


def _write_all(
    spec: DataSpec, folder: Path, takes: list[Take], num_processes: int
) -> Iterator[Take]:
    if num_processes == 1 or len(takes) < 2:
        for take in takes:
            _write_take(spec, folder, take)
            yield take
        return
    context = multiprocessing.get_context('spawn')  # threads of OpenCV do not survive a fork
    with ProcessPoolExecutor(
        num_processes, mp_context=context, initializer=_start_process
    ) as pool:  # fmt: skip
        try:
            # A person's recordings follow each other: their scene is made once per process.
            yield from pool.map(
                _write_one, [(spec, folder, take) for take in takes], chunksize=2
            )  # fmt: skip
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process() -> None:
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _write_one(job: tuple[DataSpec, Path, Take]) -> Take:
    _write_take(*job)
    return job[2]


@lru_cache(maxsize=2)
def _scene(spec: DataSpec, subject: int) -> Scene:
    return person_scene(spec, subject)


def _write_take(spec: DataSpec, folder: Path, take: Take) -> None:
    write_shard(
        shard_path(folder, take.split, take.name),
        take_members(take_scene(_scene(spec, take.subject), spec, take), spec, take),
    )


def take_members(scene: Scene, spec: DataSpec, take: Take) -> Iterator[tuple[str, bytes]]:
    """Render a recording: names and contents of the members of its shard."""
    parameters = [cv2.IMWRITE_JPEG_QUALITY, spec.quality]
    for frame in range(spec.frames):
        time_s = take.start_s + frame / spec.rate_hz
        picture = scene.render(time_s)
        is_good, jpeg = cv2.imencode('.jpg', picture.image_bgr, parameters)
        assert is_good
        truth = {
            'subject': take.subject, 'recording': take.name, 'frame': frame,
            'time_s': round(time_s, 6), 'K': scene.camera.K.tolist(),
            'size': [spec.width, spec.height],
            # Left hand, right hand.
            'hands': [hand_record(hand) for hand in reversed(picture.hands)],
        }  # fmt: skip
        yield f'{frame_name(frame)}.jpg', jpeg.tobytes()
        yield f'{frame_name(frame)}.json', _json(truth)


def hand_record(hand: HandTruth) -> dict[str, Any]:
    """Turn what is true of a hand into what its file says."""
    assert hand.parameters is not None and hand.visible_share is not None
    return {
        'is_right': hand.is_right,
        'primitive': hand.primitive,
        'visible_share': round(hand.visible_share, _SHARE_DECIMALS),
        'joints_3d': _rounded(hand.keypoints_3d, _DECIMALS),
        'joints_2d': _rounded(hand.keypoints_2d, _PIXEL_DECIMALS),
        'global_orient': _rounded(hand.parameters.global_orient, _DECIMALS),
        'hand_pose': _rounded(hand.parameters.hand_pose, _DECIMALS),
        'betas': _rounded(hand.parameters.betas, _DECIMALS),
        'transl': _rounded(hand.parameters.transl, _DECIMALS),
    }


def _write_table(folder: Path, spec: DataSpec, takes: tuple[Take, ...]) -> None:
    """List all recordings, from what their files say, so that it fits them."""
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    camera = person_camera(spec)
    for take in takes:
        shard = Shard(shard_path(folder, take.split, take.name))
        truths = read_truths(shard, list(range(spec.frames)))
        shown = [primitive for truth in truths for primitive in truth.primitives if primitive]
        action = take.action or max(LABELS.actions, key=shown.count)
        splits[take.split].append({
            'name': take.name, 'subject': take.subject,
            'action': LABELS.actions.index(action), 'num_frames': spec.frames,
            'visible': [
                [round(float(share), _SHARE_DECIMALS) for share in truth.visible]
                for truth in truths
            ],
        })  # fmt: skip
    _write_json(folder / TABLE, {
        'format': FORMAT, 'labels': dataclasses.asdict(LABELS), 'K': camera.tolist(),
        'size': [spec.width, spec.height], 'rate_hz': spec.rate_hz, 'splits': splits,
    })  # fmt: skip


def person_camera(spec: DataSpec) -> DoubleArray:
    """Give the (3, 3) intrinsics of all images."""
    from hand_perception.synthetic.spec import SceneSpec

    return SceneSpec(width=spec.width, height=spec.height).camera.K


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        part.write_bytes(_json(content))
        os.replace(part, path)
    except OSError as error:
        raise DatasetError(f'{path} cannot be written: {error}') from error
    finally:
        part.unlink(missing_ok=True)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(',', ':')).encode('ascii') + b'\n'


def _rounded(values: DoubleArray, decimals: int) -> list[Any]:
    # + 0.0 turns -0.0 into 0.0: the same truth gives the same file.
    return list((np.round(values, decimals) + 0.0).tolist())
