"""The hand model that goes with HaMeR's weights: MANO, from the checkpoint or the user's file.

Weights that were trained on the hand that ships with this package say so, and need no MANO.
"""

from pathlib import Path

import numpy as np
import torch

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.checkpoint import DEFAULT, Checkpoint
from hand_perception.models.hamer.files import WHERE_MANO, HamerFiles
from hand_perception.models.hamer.weight_files import MANO_NAMES
from hand_perception.models.hand_arrays import MANO_PARENTS, HandArrays, check_shapes
from hand_perception.models.hand_model import HandModel, load_hand_model
from hand_perception.models.mano_file import read_mano_file
from hand_perception.models.skinning import LinearBlendSkinning

_NUM_VERTICES = 778


def load_hand(
    checkpoint: Checkpoint,
    files: HamerFiles,
    *,
    mano_dir: str | Path = '',
    device: torch.device | str,
) -> HandModel:
    """Load the right hand that the weights were trained on.

    That is MANO's, for which a hand model inside the checkpoint wins over MANO_RIGHT.pkl, unless
    the checkpoint names the default hand. Only MANO's numbers are used, with our own skinning:
    smplx is not needed.

    Raises:
        WeightsError: neither is there, or what is there is not MANO's right hand.
    """
    if checkpoint.hand_model == DEFAULT:
        return load_hand_model(DEFAULT, device=device)
    arrays = hand_from_checkpoint(checkpoint)
    if arrays is None:
        arrays = hand_from_file(mano_dir or files.mano or '', checkpoint.path)
    skinning = LinearBlendSkinning(arrays, device=device)
    return HandModel(name='mano', arrays=arrays, skinning=skinning, device=device)


def hand_from_checkpoint(checkpoint: Checkpoint) -> HandArrays | None:
    """Take the hand model out of a checkpoint; None where it has none.

    Raises:
        WeightsError: it has a part of one, or one that is not in MANO's layout.
    """
    missing = [name for name in MANO_NAMES if name not in checkpoint.tensors]
    if len(missing) == len(MANO_NAMES):
        return None
    if missing:
        raise WeightsError(
            f'{checkpoint.path} has a part of a hand model but lacks {", ".join(missing)}; use '
            'the unchanged hamer.ckpt, or rerun `hand_perception weights convert`'
        )
    numbers = {name.removeprefix('mano.'): checkpoint.tensors[name].numpy() for name in MANO_NAMES}
    numbers['f'] = numbers.pop('faces_tensor')
    check_shapes(
        numbers,
        {
            'v_template': (_NUM_VERTICES, 3), 'shapedirs': (_NUM_VERTICES, 3, 10),
            'posedirs': (135, 3 * _NUM_VERTICES), 'J_regressor': (16, _NUM_VERTICES),
            'lbs_weights': (_NUM_VERTICES, 16), 'f': (None, 3), 'parents': (16,),
        },
        checkpoint.path,
    )  # fmt: skip
    if numbers['parents'].tolist()[1:] != list(MANO_PARENTS[1:]):
        raise WeightsError(
            f"{checkpoint.path}: mano.parents is not MANO's: expected {list(MANO_PARENTS[1:])} "
            f'for joints 1 to 15, got {numbers["parents"].tolist()[1:]}'
        )
    posedirs = numbers['posedirs'].reshape(135, _NUM_VERTICES, 3).transpose(1, 2, 0)
    return _right_hand(
        HandArrays(
            v_template=numbers['v_template'].astype(np.float64),
            shapedirs=numbers['shapedirs'].astype(np.float64),
            posedirs=posedirs.astype(np.float64),
            J_regressor=numbers['J_regressor'].astype(np.float64),
            weights=numbers['lbs_weights'].astype(np.float64),
            faces=numbers['f'].astype(np.uint32),
        ),
        str(checkpoint.path),
    )


def hand_from_file(mano: str | Path, checkpoint: Path) -> HandArrays:
    """Read MANO_RIGHT.pkl.

    Args:
        mano: the file or its folder; empty when it was not found.
        checkpoint: the checkpoint that needs it, for the message.

    Raises:
        WeightsError: it is missing, damaged or of another hand.
    """
    if not str(mano):
        raise WeightsError(
            f'{checkpoint} carries no hand model and no MANO_RIGHT.pkl was found: {WHERE_MANO}; '
            'or keep the one that hamer.ckpt may carry: `hand_perception weights convert '
            '--with-mano`, for your own use'
        )
    return read_right_hand(mano)


def read_right_hand(mano: str | Path) -> HandArrays:
    """Read MANO_RIGHT.pkl, given the file or its folder.

    Raises:
        WeightsError: it is missing, damaged or of another hand.
    """
    arrays = read_mano_file(mano)
    return _right_hand(
        HandArrays(
            v_template=arrays['v_template'],
            shapedirs=arrays['shapedirs'],
            posedirs=arrays['posedirs'],
            J_regressor=arrays['J_regressor'],
            weights=arrays['weights'],
            faces=arrays['f'].astype(np.uint32),
        ),
        str(mano),
    )


def _right_hand(arrays: HandArrays, source: str) -> HandArrays:
    """Refuse the left hand, whose file has the same layout.

    Both hands of MANO lie flat along x with the palm down; the fingers of the right hand point to
    -x and those of the left to +x.
    """
    joints = arrays.joint_template
    fingers = joints[1:13].mean(0) - joints[0]
    if fingers[0] > 0:
        raise WeightsError(
            f'{source} is a left hand (its fingers point to +x); HaMeR predicts right hands and '
            'needs MANO_RIGHT.pkl: left hands are mirrored outside the model'
        )
    return arrays
