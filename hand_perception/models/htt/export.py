"""Write an HTT checkpoint as safetensors: no pickle, no optimizer; labels beside the weights."""

import json
from pathlib import Path

from hand_perception.actions import LabelMap
from hand_perception.labels import check_label_map
from hand_perception.models.htt.checkpoint import MODEL, HttCheckpoint
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
    options = fitting_options(checkpoint, module.sizes)
    metadata = {
        'dataset': dataset_of(module.sizes),
        'window': str(options.window),
        'pose_window': str(options.pose_window),
        'spacing': str(options.spacing),
        'sizes': repr(module.sizes),
        'source_name': checkpoint.path.name,
        'source_sha256': file_sha256(checkpoint.path),
    }
    metadata |= {k: v for k, v in checkpoint.notes.items() if k in ('epoch', 'network')}
    if labels is not None:
        check_label_map(labels, module.sizes, where=f'the label map {labels.name}')
        entries = {'actions': labels.actions, 'objects': labels.objects}
        metadata['labels'] = json.dumps({'name': labels.name, **entries}, ensure_ascii=False)
    write_export_file(path, module.state_dict(), model=MODEL, metadata=metadata)
