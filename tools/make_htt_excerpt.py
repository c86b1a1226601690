"""Write test/data/htt_*_small.npz from complete reference results of the official HTT.

    python -m tools.make_htt_excerpt FOLDER

FOLDER holds fpha_small.npz, h2o_small.npz and preprocess.npz, computed once with the official
code on a CPU (weights and inputs of test/models/htt_reference.py). What can be made again is left
out; features are kept of every fourth frame.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'test' / 'models'))

import htt_reference  # noqa: E402 - lies beside the tests

_WHOLE = (
    'hand_raw', 'object_logits', 'action_logits', 'joints3d', 'joints2d', 'action_prob',
    'prefix_n', 'prefix_joints3d', 'prefix_object_prob', 'prefix_action_prob',
    'sliding_joints3d', 'sliding_object_prob', 'sliding_action_n', 'sliding_action_prob',
)  # fmt: skip
_FEATURES = ('feat_resnet', 'feat_pose')


def main() -> None:
    """Write the excerpts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    folder = parser.parse_args().folder
    for name, case in htt_reference.CASES.items():
        with np.load(folder / f'{name}_small.npz') as reference:
            inputs = htt_reference.inputs(name)
            for ours, theirs in (
                (inputs.images, 'in_frames'), (inputs.K, 'in_camintr'),
                (inputs.not_padding, 'in_not_padding'),
            ):  # fmt: skip
                if not np.array_equal(ours, reference[theirs]):
                    raise SystemExit(f'{name}: {theirs} is not what htt_reference makes')
            kept = {key: reference[f'out_{key}'] for key in _WHOLE}
            for key in _FEATURES:
                features = reference[f'out_{key}'].reshape(htt_reference.NUM_FRAMES, -1)
                kept[key] = features[:: htt_reference.FEATURE_STEP]
            kept['input_sums'] = np.array(inputs.sums)
            kept['state_entries'] = reference['state_keys']
        np.savez_compressed(case.path, **kept)
        print(case.path, case.path.stat().st_size)
    with np.load(folder / 'preprocess.npz') as reference:
        levels = np.round((reference['test_image'] + 0.5) * 255).astype(np.uint8)
        if not np.array_equal(_as_loaded(levels), reference['test_image']):
            raise SystemExit('the test image is not made of grey levels')
        path = htt_reference.DATA / 'htt_preprocess.npz'
        np.savez_compressed(
            path,
            # Channels first: that compresses a hundred times better.
            image=np.ascontiguousarray(reference['image'].transpose(2, 0, 1)),
            test_levels=levels,
            camera=reference['camintr'],
            test_camera=reference['test_camintr'],
        )
        print(path, path.stat().st_size)


def _as_loaded(levels: np.ndarray) -> np.ndarray:
    return levels.astype(np.float32) / np.float32(255) - np.float32(0.5)


if __name__ == '__main__':
    main()
