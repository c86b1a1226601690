"""Write an HTT checkpoint as safetensors: no pickle, no optimizer; labels beside the weights."""

import json
from collections.abc import Mapping
from pathlib import Path

from hand_perception.actions import LabelMap
from hand_perception.labels import check_label_map
from hand_perception.models.htt.checkpoint import MODEL, HttCheckpoint
from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.options_file import HttOptions
from hand_perception.models.htt.weight_files import build_module, dataset_of, fitting_options
from hand_perception.models.safetensors_file import file_sha256, write_export_file


def write_export(checkpoint: HttCheckpoint, path: Path, *, labels: LabelMap | None = None) -> None:
    """Write all weights under their published names, after checking them.

    The file is complete, or as it was before. It keeps what is known of the training: data set,
    windows, epoch, and the name and sum of its source.

    Args:
        checkpoint: as read.
        path: the file to write.
        labels: names of the classes, to be kept in the file.

    Raises:
        WeightsError: the checkpoint is not whole, or the file cannot be written.
        ConfigError: the labels are not as many as the classes.
        MissingPackageError: safetensors is not installed.
    """
    module = build_module(checkpoint)
    notes = {key: value for key, value in checkpoint.notes.items() if not key.startswith('source')}
    notes['source_name'] = checkpoint.path.name
    notes['source_sha256'] = file_sha256(checkpoint.path)
    write_module(
        path, module, options=fitting_options(checkpoint, module.sizes), labels=labels, notes=notes
    )


def write_module(
    path: Path, module: HttModule, *, options: HttOptions, labels: LabelMap | None,
    notes: Mapping[str, str],
) -> None:  # fmt: skip
    """Write the weights of a network, with all that a node has to know of them.

    Args:
        path: the file to write; it is complete, or as it was before.
        module: on any device; its weights are stored as float32.
        options: how it was or is trained.
        labels: names of the classes; None: not known.
        notes: for people; those that are not in NOTES are not read again.

    Raises:
        WeightsError: the file cannot be written.
        ConfigError: the labels are not as many as the classes.
        MissingPackageError: safetensors is not installed.
    """
    metadata = {
        **notes,
        'dataset': dataset_of(module.sizes),
        'window': str(options.window),
        'pose_window': str(options.pose_window),
        'spacing': str(options.spacing),
        'sizes': repr(module.sizes),
    }
    if options.engine:
        metadata |= {'engine': options.engine, 'lookahead': str(options.lookahead)}
    if labels is not None:
        check_label_map(labels, module.sizes, where=f'the label map {labels.name}')
        entries = {'actions': labels.actions, 'objects': labels.objects}
        metadata['labels'] = json.dumps({'name': labels.name, **entries}, ensure_ascii=False)
    state = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    write_export_file(path, state, model=MODEL, metadata=metadata)
