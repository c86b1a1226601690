"""Write a HaMeR checkpoint as safetensors: no pickle, only what inference needs."""

import hashlib
import json
from pathlib import Path

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.checkpoint import (
    EXPORT_FORMAT,
    INSTALL_SAFETENSORS,
    Checkpoint,
)
from hand_perception.models.hamer.weight_files import (
    MANO_NAMES,
    PART_PREFIXES,
    with_means,
)
from hand_perception.optional import require


def write_export(
    checkpoint: Checkpoint, path: Path, *, mean_params: Path | None, with_mano: bool = False
) -> None:
    """Write the weights of backbone and head, the means and the configuration.

    The file keeps the published names. It is complete or not there: it is written under another
    name and renamed at the end.

    Args:
        checkpoint: as read; its keys should have been checked by building a network from it.
        path: the file to write.
        mean_params: the user's mano_mean_params.npz, for a checkpoint without means.
        with_mano: keep the hand model that is in the checkpoint. MANO's licence does not allow
            passing it on, so it is left out otherwise and read from MANO_RIGHT.pkl.

    Raises:
        WeightsError: the file cannot be written.
        MissingPackageError: safetensors is not installed.
    """
    purpose = f'writing {path.name}'
    safetensors = require('safetensors.torch', purpose=purpose, install=INSTALL_SAFETENSORS)
    wanted = with_means(checkpoint.tensors, mean_params, source=str(checkpoint.path))
    tensors = {
        name: tensor.contiguous()
        for name, tensor in wanted.items()
        if name.startswith(PART_PREFIXES) or (with_mano and name in MANO_NAMES)
    }
    metadata = {
        'hand_perception_format': EXPORT_FORMAT,
        'config': json.dumps(checkpoint.config),
        'source_name': checkpoint.path.name,
        'source_sha256': file_sha256(checkpoint.path),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f'.{path.name}.unfinished')
        try:
            safetensors.save_file(tensors, unfinished, metadata)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f'{path} cannot be written: {error}') from error


def file_sha256(path: Path) -> str:
    """Compute the sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
