"""Write a HaMeR checkpoint as safetensors: no pickle, only what inference needs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from hand_perception.models.hamer.checkpoint import HAND_MODEL_KEY, MODEL, Checkpoint
from hand_perception.models.hamer.weight_files import (
    MANO_NAMES,
    PART_PREFIXES,
    with_means,
)
from hand_perception.models.safetensors_file import file_sha256, write_export_file


def write_export(
    checkpoint: Checkpoint, path: Path, *, mean_params: Path | None, with_mano: bool = False
) -> None:
    """Write the weights of backbone and head, the means and the configuration.

    The file keeps the published names. It is complete, or as it was before.

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
    wanted = with_means(checkpoint.tensors, mean_params, source=str(checkpoint.path))
    tensors = {
        name: tensor
        for name, tensor in wanted.items()
        if name.startswith(PART_PREFIXES) or (with_mano and name in MANO_NAMES)
    }
    metadata = {
        'config': json.dumps(checkpoint.config),
        'source_name': checkpoint.path.name,
        'source_sha256': file_sha256(checkpoint.path),
        HAND_MODEL_KEY: checkpoint.hand_model,
    }
    write_export_file(path, tensors, model=MODEL, metadata=metadata)


def write_trained(
    tensors: Mapping[str, Tensor],
    path: Path,
    *,
    config: Mapping[str, Any],
    notes: Mapping[str, str],
) -> None:
    """Write weights that were trained here.

    Args:
        tensors: backbone and head with the means, under their published names.
        path: the file to write; it is complete, or as it was before.
        config: in the layout of model_config.yaml.
        notes: metadata, the hand model among them.

    Raises:
        WeightsError: the file cannot be written.
        MissingPackageError: safetensors is not installed.
    """
    write_export_file(path, tensors, model=MODEL, metadata={'config': json.dumps(config), **notes})
