"""``hand_perception weights`` for HTT: what a file holds, whether it works, exports of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch

from hand_perception.actions import LabelMap
from hand_perception.cli.doctor import FAIL, OK, WARN, Finding
from hand_perception.cli.weight_steps import (
    COPY_AGAIN,
    check_content,
    describe_parts,
    export_path,
    megabytes,
)
from hand_perception.datatypes import Camera
from hand_perception.errors import ConfigError, HandPerceptionError
from hand_perception.labels import label_map_for
from hand_perception.models.htt.checkpoint import HttCheckpoint, read_checkpoint
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH
from hand_perception.models.htt.export import write_export
from hand_perception.models.htt.files import EXPORT, LICENCES
from hand_perception.models.htt.lift import lift
from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.models.htt.weight_files import build_module, dataset_of, fitting_options
from hand_perception.models.safetensors_file import file_sha256

#: Tokens of the trial clip and of its pose windows: all parts run, nothing takes long.
_TRIAL_WINDOW: Final = 8
_TRIAL_POSE_WINDOW: Final = 4


def check(given: str, *, labels: str = '') -> Iterator[Finding]:
    """Verify a checkpoint, from finding the file to the actions and poses of one small clip."""
    try:
        checkpoint = read_checkpoint(given)
    except HandPerceptionError as error:
        yield Finding(level=FAIL, topic='checkpoint', text=str(error))
        return
    yield _found(checkpoint)
    failed = False
    try:
        yield Finding(
            level=OK, topic='content', text=check_content(checkpoint.path, checkpoint.tensors)
        )
    except HandPerceptionError as error:
        failed = True
        yield Finding(level=FAIL, topic='content', text=str(error))
    try:
        module = build_module(checkpoint)
    except HandPerceptionError as error:
        yield Finding(level=FAIL, topic='network', text=str(error))
        return
    yield _network(module.sizes)
    yield _training(checkpoint, module.sizes)
    yield _labels(checkpoint, module.sizes, labels)
    if not failed:
        yield _trial(module)
    yield Finding(
        level=OK, topic='meaning', text='labels mean something for the data set that the weights '
        'were trained on; it has no "no action"',
    )  # fmt: skip


def info(given: str, *, labels: str = '', with_sha256: bool = False) -> Iterator[Finding]:
    """Tell what a checkpoint holds.

    Raises:
        WeightsError: there is none, or it cannot be read or is not whole.
    """
    checkpoint = read_checkpoint(given)
    yield _found(checkpoint)
    if with_sha256:
        yield Finding(level=OK, topic='sha256', text=file_sha256(checkpoint.path))
    for key, value in checkpoint.notes.items():
        yield Finding(level=OK, topic='note', text=f'{key} {value}')
    sizes = build_module(checkpoint).sizes
    yield _network(sizes)
    yield from describe_parts(checkpoint.tensors)
    yield _training(checkpoint, sizes)
    yield _labels(checkpoint, sizes, labels)
    yield Finding(level=OK, topic='licences', text=LICENCES)


def convert(given: str, *, out: str = '', labels: str = '') -> tuple[Path, LabelMap | None]:
    """Write our export of a checkpoint after checking all its names and shapes.

    Args:
        given: the checkpoint, or a folder with one.
        out: the file to write; empty for htt.safetensors beside it.
        labels: names to keep in the file; empty for those it has or those of its data set.

    Returns:
        The file that was written, and the labels in it; None where nothing names its classes.

    Raises:
        WeightsError: the checkpoint is missing or not whole, or the file cannot be written.
        ConfigError: the labels are not as many as the classes.
        MissingPackageError: safetensors is not installed.
    """
    checkpoint = read_checkpoint(given)
    path = export_path(given, checkpoint.path, out=out, name=EXPORT)
    try:
        kept: LabelMap | None = _label_map(checkpoint, build_module(checkpoint).sizes, labels)
    except ConfigError:
        if labels:
            raise
        kept = None
    write_export(checkpoint, path, labels=kept)
    return path, kept


def _found(checkpoint: HttCheckpoint) -> Finding:
    text = (
        f'HTT, {checkpoint.path} ({megabytes(checkpoint.path)}, {len(checkpoint.tensors)} '
        f'tensors, read with {checkpoint.how})'
    )
    return Finding(level=OK, topic='checkpoint', text=text)


def _network(sizes: HttSizes) -> Finding:
    hands = 'one (right) hand' if sizes.num_hands == 1 else 'two hands'
    text = (
        f'every name and shape fits; {hands}, {sizes.num_actions} actions, {sizes.num_objects} '
        f'objects; width {sizes.width}, {sizes.pose_layers} layers for poses, '
        f'{sizes.action_layers} for actions; taken as htt_dataset {dataset_of(sizes)}'
    )
    return Finding(level=OK, topic='network', text=text)


def _training(checkpoint: HttCheckpoint, sizes: HttSizes) -> Finding:
    options = fitting_options(checkpoint, sizes)
    return Finding(level=OK, topic='training', text=f'{options} (opt.pkl or metadata)')


def _labels(checkpoint: HttCheckpoint, sizes: HttSizes, given: str) -> Finding:
    try:
        found = _label_map(checkpoint, sizes, given)
    except ConfigError as error:
        return Finding(level=FAIL if given else WARN, topic='labels', text=str(error))
    text = f'{found.name}: from {found.actions[0]} to {found.actions[-1]}'
    return Finding(level=OK, topic='labels', text=text)


def _label_map(checkpoint: HttCheckpoint, sizes: HttSizes, given: str) -> LabelMap:
    return label_map_for(sizes, dataset_of(sizes), given, checkpoint.labels)


def _trial(module: HttModule) -> Finding:
    """Recognise one small clip of noise on the CPU."""
    started = time.perf_counter()
    network = HttNetwork.from_module(module, device=torch.device('cpu'), precision='fp32')
    loaded_s = time.perf_counter() - started
    shape = (_TRIAL_WINDOW, IMAGE_HEIGHT, IMAGE_WIDTH, 3)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    started = time.perf_counter()
    output = network.clip(
        images, torch.ones(_TRIAL_WINDOW), window=_TRIAL_WINDOW, pose_window=_TRIAL_POSE_WINDOW
    )
    ran_ms = (time.perf_counter() - started) * 1e3 / _TRIAL_WINDOW
    K = np.tile(Camera.assumed(IMAGE_WIDTH, IMAGE_HEIGHT).K, (_TRIAL_WINDOW, 1, 1))
    _, depth, joints_3d = lift(output.hand_raw.numpy(), K)
    if not np.isfinite(joints_3d).all() or not torch.isfinite(output.action_logits).all():
        text = 'what is said of a clip of noise is not finite: the weights are not those of an HTT'
        return Finding(level=FAIL, topic='trial', text=text, advice=COPY_AGAIN)
    text = (
        f'prepared in {loaded_s:.1f} s, a clip of {_TRIAL_WINDOW} images took {ran_ms:.0f} ms an '
        f'image on the CPU in fp32; hands at {np.median(depth):.2f} m (of noise)'
    )
    return Finding(level=OK, topic='trial', text=text)
