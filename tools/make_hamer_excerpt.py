"""Make test/data/hamer_tiny/ from reference numbers of the official HaMeR on a tiny random model.

    python -m tools.make_hamer_excerpt REFERENCE_DIR

REFERENCE_DIR holds ``_DATA`` in the official layout and ``reference.npz`` with what the official
code computes from it. Nothing in it is HaMeR's or MANO's: weights, hand model and image are random
or drawn. The excerpt keeps the weights without the discriminator, three of the crops, and the
pose correctives as the product they are made of, which is a tenth of their size.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.files import CONFIG, find_files
from hand_perception.models.hamer.weight_files import PART_PREFIXES
from hand_perception.models.mano_file import read_mano_file

OUT = Path(__file__).resolve().parents[1] / 'test' / 'data' / 'hamer_tiny'
#: Crops of which every pixel is a whole grey level: a right hand, a left one, a small right one.
CROPS = [0, 3, 6]
#: Pose correctives of the drawn hand are smooth waves times the nearness of the joint.
WAVES = 24
OUTPUTS = {
    'pred_cam': 'out/pred_cam',
    'global_orient': 'out/pred_mano_params/global_orient',
    'hand_pose': 'out/pred_mano_params/hand_pose',
    'betas': 'out/pred_mano_params/betas',
    'pred_cam_t': 'out/pred_cam_t',
    'keypoints': 'out/pred_keypoints_3d',
    'vertices': 'out/pred_vertices',
    'pred_keypoints_2d': 'out/pred_keypoints_2d',
    'token': 'tap/token',
    'features': 'tap/features',
}


def main() -> None:
    """Write the excerpt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('reference', type=Path)
    reference = parser.parse_args().reference
    OUT.mkdir(parents=True, exist_ok=True)
    files = find_files(reference)
    checkpoint = read_checkpoint(files)
    weights = {
        name: tensor.numpy()
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(PART_PREFIXES)
    }
    np.savez_compressed(OUT / 'weights.npz', **weights)
    shutil.copyfile(files.config, OUT / CONFIG)
    np.savez_compressed(OUT / 'hand.npz', **drawn_hand(files.mano))
    np.savez_compressed(OUT / 'reference.npz', **references(reference / 'reference.npz'))


def drawn_hand(path: Path) -> dict[str, np.ndarray]:
    """Take the hand model apart."""
    arrays = read_mano_file(path)
    near = 0.05 + np.repeat(arrays['weights'][:, 1:], 9, 1)  # (V, 135)
    fields = (arrays['posedirs'] / near[:, None]).reshape(len(near), -1)
    left, size, right = np.linalg.svd(fields, full_matrices=False)
    waves, amounts = left[:, :WAVES] * size[:WAVES], right[:WAVES]
    again = (waves @ amounts).reshape(arrays['posedirs'].shape) * near[:, None]
    np.testing.assert_allclose(again, arrays['posedirs'], rtol=0, atol=1e-12)
    regressor = arrays['J_regressor']
    joints, vertices = np.nonzero(regressor)
    return {
        'v_template': arrays['v_template'],
        'shapedirs': arrays['shapedirs'].astype(np.float32),
        'waves': waves,
        'amounts': amounts,
        'weights': arrays['weights'],
        'regressor_at': np.stack([joints, vertices]).astype(np.int16),
        'regressor': regressor[joints, vertices],
        'faces': arrays['f'].astype(np.int16),
    }


def references(path: Path) -> dict[str, np.ndarray]:
    """Take the crops and what the official code says of them."""
    with np.load(path) as archive:
        normalized = archive['crop/img'][CROPS].astype(np.float64)
        statistics = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        mean, std = statistics[:, None, :, None, None]
        grey = normalized * 255 * std + 255 * mean
        crops = np.rint(grey)
        np.testing.assert_allclose(crops, grey, rtol=0, atol=1e-4)
        taken = {name: archive[key][CROPS] for name, key in OUTPUTS.items()}
        taken['features'] = taken['features'][:1]  # enough, and the largest
        return {
            'crops_rgb': crops.transpose(0, 2, 3, 1).astype(np.uint8),
            'six': archive['unit/rot6d'],
            'rotations_of_six': archive['unit/rot6d_rotmat'],
            **taken,
        }


if __name__ == '__main__':
    main()
