"""Write test/data/augmentation.npz: what the published training loaders make of known samples.

    python -m tools.make_augmentation_excerpt PREPROCESS_NPZ UTILS_PY REFERENCE_NPZ

PREPROCESS_NPZ was computed once with the official loader of HTT and holds two augmented samples
with the random values that were drawn for them. UTILS_PY is the module hamer/datasets/utils.py of
the official HaMeR; its function for one training example runs here with chosen values in place of
random ones. REFERENCE_NPZ holds three hands for evaluation as the official HaMeR cuts them out.
"""

import argparse
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from hand_perception.training.hamer_batches import MEAN_RGB, STD_RGB

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'test' / 'models'))

import augmentation_reference as reference  # noqa: E402 - lies beside the tests

#: Modules that UTILS_PY imports and does not need here.
_UNUSED = {
    'skimage': (), 'skimage.transform': ('rotate', 'resize'), 'skimage.filters': ('gaussian',),
    'yacs': (), 'yacs.config': ('CfgNode',),
}  # fmt: skip


def main() -> None:
    """Write the excerpt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('preprocess', type=Path)
    parser.add_argument('utils', type=Path)
    parser.add_argument('reference', type=Path)
    files = parser.parse_args()
    kept = _clips(files.preprocess) | _crops(_module(files.utils)) | _evaluation(files.reference)
    np.savez_compressed(reference.PATH, **kept)
    print(reference.PATH, reference.PATH.stat().st_size)


def _clips(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        kept = {
            name: stored[name]
            for name in ('train_bright', 'train_contrast', 'train_sat', 'train_hue', 'joints2d')
        }
        for sample in ('train0', 'train1'):
            levels = np.round((stored[f'{sample}_image'] + 0.5) * 255).astype(np.uint8)
            step = reference.CLIP_STEP
            kept[f'{sample}_levels'] = levels[:, ::step, ::step]
            for name in ('blur_radius', 'order', 'centre', 'camintr', 'affine', 'joints25d'):
                kept[f'{sample}_{name}'] = stored[f'{sample}_{name}']
    return kept


def _module(path: Path) -> Any:
    for name, functions in _UNUSED.items():
        module = types.ModuleType(name)
        for function in functions:
            setattr(module, function, None)
        sys.modules[name] = module
    spec = importlib.util.spec_from_file_location('official_utils', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _crops(utils: Any) -> dict[str, np.ndarray]:
    kept = {}
    hand = reference.crop_hand()
    x, y = reference.CENTER_PX
    for number, (is_right, scale, turn, shift, colour) in enumerate(reference.CROPS):
        utils.do_augmentation = lambda config, drawn=(scale, turn, shift, colour): (
            drawn[0], drawn[1], False, False, 0, drawn[3], *drawn[2]
        )  # fmt: skip
        crop, points, joints, mano, _, _ = utils.get_example(
            reference.crop_image(), x, y, reference.SIDE_PX, reference.SIDE_PX,
            np.concatenate((hand['joints_2d'], hand['confidence_2d'][:, None]), 1),
            np.concatenate((hand['joints_3d'], hand['confidence_3d'][:, None]), 1),
            {name: hand[name].copy() for name in ('global_orient', 'hand_pose', 'betas')},
            {name: np.float32(1) for name in ('global_orient', 'hand_pose', 'betas')},
            list(range(21)), 256, 256, None, None, True, is_right, None, is_bgr=False,
        )  # fmt: skip
        step = reference.CROP_STEP
        # Without normalisation these are grey levels, after the colour factors.
        kept[f'crop{number}_levels'] = crop[:, ::step, ::step].astype(np.float32)
        kept[f'crop{number}_keypoints_2d'] = points
        kept[f'crop{number}_keypoints_3d'] = joints
        for name in ('global_orient', 'hand_pose', 'betas'):
            kept[f'crop{number}_{name}'] = mano[name]
    return kept


def _evaluation(path: Path) -> dict[str, np.ndarray]:
    kept = {}
    mean, std = (np.array(values)[:, None, None] for values in (MEAN_RGB, STD_RGB))
    step = reference.EVALUATION_STEP
    with np.load(path) as stored:
        for name in ('center', 'scale', 'right', 'hand_keypoints_2d'):
            kept[f'eval_{name}'] = stored[f'eval/{name}'][: reference.EVALUATION_HANDS]
        for rule in reference.EVALUATION_RULES:
            for name in ('keypoints_2d', 'box_size', 'bbox_expand_factor'):
                kept[f'eval_{rule}_{name}'] = stored[f'eval/{rule}/{name}'][
                    : reference.EVALUATION_HANDS
                ]
            crops = stored[f'eval/{rule}/img'][: reference.EVALUATION_HANDS]
            grey = crops[..., ::step, ::step] * std + mean
            kept[f'eval_{rule}_levels'] = np.round(grey).astype(np.uint8)
    return kept


if __name__ == '__main__':
    main()
