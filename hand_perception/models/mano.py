"""MANO through smplx, for users who have the licensed model file.

Neither MANO's data nor smplx come with this package: both are for non-commercial research only
(docs/hand_model.md).
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hand_perception.models.hand_arrays import HandArrays
from hand_perception.models.mano_file import read_mano_file
from hand_perception.optional import require


class SmplxSkinning:
    """Poses hands with ``smplx.MANOLayer``, relative to the flat hand."""

    def __init__(
        self,
        arrays: HandArrays,
        *,
        hands_components: Any = None,
        hands_mean: Any = None,
        device: torch.device | str = 'cpu',
    ) -> None:
        """Build the layer from arrays, so that smplx opens no file itself.

        Raises:
            MissingPackageError: smplx is not installed.
        """
        smplx = require(
            'smplx',
            purpose='the hand model MANO',
            install='pip install smplx (licence: non-commercial scientific research only)',
        )
        utils = require('smplx.utils', purpose='the hand model MANO')
        num_vertices = len(arrays.v_template)
        struct = utils.Struct(
            v_template=arrays.v_template,
            shapedirs=arrays.shapedirs,
            posedirs=np.zeros((num_vertices, 3, 135))
            if arrays.posedirs is None
            else arrays.posedirs,
            J_regressor=arrays.J_regressor,
            weights=arrays.weights,
            kintree_table=np.array(
                [[2**32 - 1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14], range(16)],
                np.int64,
            ),
            f=arrays.faces.astype(np.int64),
            hands_components=np.eye(45) if hands_components is None else hands_components,
            hands_mean=np.zeros(45) if hands_mean is None else hands_mean,
        )
        # smplx prints that the model has only 10 shape directions; all of MANO's have.
        with contextlib.redirect_stdout(io.StringIO()):
            layer = smplx.MANOLayer(
                model_path='', data_struct=struct, is_rhand=True, use_pca=False,
                flat_hand_mean=True,
            )  # fmt: skip
        self._layer = layer.to(device).requires_grad_(False)

    def __call__(
        self, rotations: torch.Tensor, betas: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose N hands: (N, 16, 3, 3) and (N, 10) to (N, V, 3) vertices and (N, 16, 3) joints."""
        output = self._layer(
            betas=betas, global_orient=rotations[:, :1], hand_pose=rotations[:, 1:]
        )
        return output.vertices, output.joints[:, :16]


def load_mano(
    mano_dir: str | Path, *, device: torch.device | str = 'cpu'
) -> tuple[HandArrays, SmplxSkinning]:
    """Load the user's MANO_RIGHT.pkl.

    Raises:
        WeightsError: the file is missing, damaged, or asks to run code.
        MissingPackageError: smplx is not installed.
    """
    arrays = read_mano_file(mano_dir)
    hand = HandArrays(
        v_template=arrays['v_template'],
        shapedirs=arrays['shapedirs'],
        posedirs=arrays['posedirs'],
        J_regressor=arrays['J_regressor'],
        weights=arrays['weights'],
        faces=arrays['f'].astype(np.uint32),
    )
    skinning = SmplxSkinning(
        hand,
        hands_components=arrays['hands_components'],
        hands_mean=arrays['hands_mean'],
        device=device,
    )
    return hand, skinning
