"""Write test/data/hamer_crops.npz: an excerpt of reference numbers of the official HaMeR code.

    python -m tools.make_hamer_crops_fixture REFERENCE_NPZ [OUT]

The reference holds one image with seven hand boxes, the official crops, cameras and keypoints for
them (weights random, nothing official), and official evaluation results. The image is black but
for the squares of five hands. Crops that were sampled with 8 bits are stored as the grey levels
they were; of crops every second pixel is kept, of that of a left hand all.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_MEAN = 255 * np.array([0.485, 0.456, 0.406])[:, None, None]
_STD = 255 * np.array([0.229, 0.224, 0.225])[:, None, None]
_STRIDE = 2
#: Hands whose crops are kept: four sampled with 8 bits (the second, a left hand, whole), and one
#: that is blurred.
_PLAIN_HANDS, _WHOLE_HAND, _SMOOTHED_HAND = (0, 3, 6), 1, 2
_MARGIN_PX = 8


def grey_levels(crop: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Undo the normalisation of a (3, 256, 256) crop of whole grey levels: (256, 256, 3)."""
    grey = crop * _STD + _MEAN
    whole = np.rint(grey)
    if np.abs(grey - whole).max() > 1e-3:
        raise SystemExit('a crop that should hold whole grey levels does not')
    return whole.transpose(1, 2, 0).astype(np.uint8)


def squares_only(
    image: NDArray[np.uint8], centers: NDArray[np.float32], sizes: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Black out what no square shows."""
    kept = np.zeros_like(image)
    for center, size in zip(centers, sizes, strict=True):
        x, y = (slice(max(int(c - size / 2) - _MARGIN_PX, 0), int(c + size / 2) + _MARGIN_PX)
                for c in center)  # fmt: skip
        kept[y, x] = image[y, x]
    return kept


def main() -> None:
    """Read the reference and write the excerpt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('reference', type=Path)
    parser.add_argument('out', type=Path, nargs='?', default=Path('test/data/hamer_crops.npz'))
    options = parser.parse_args()
    source = np.load(options.reference)
    crops = source['crop/img']
    hands = [*_PLAIN_HANDS, _WHOLE_HAND, _SMOOTHED_HAND]
    image = squares_only(
        source['image_bgr'], source['crop/box_center'][hands], source['crop/box_size'][hands]
    )
    keep = {
        name: source[name]
        for name in (
            'boxes', 'right', 'crop/box_center', 'crop/box_size', 'crop/img_size', 'crop/affine',
            'crop_r25/box_size', 'out/pred_cam', 'out/pred_cam_t', 'out/pred_keypoints_3d',
            'out/pred_keypoints_2d', 'full/cam', 'full/cam_t_full', 'full/focal',
            'full/keypoints_3d', 'full/keypoints_2d_px', 'unit/aspect_in', 'unit/aspect_out',
            'unit/pred_joints', 'unit/gt_joints', 'unit/mpjpe_mm', 'unit/pa_mpjpe_mm',
            'eval/right', 'eval/r2/box_size', 'eval/r2/bbox_expand_factor', 'eval/r2/box_center',
            'eval/r2/pred_keypoints_2d', 'eval/r2/pck_gt', 'eval/r2/pck_avg',
            'eval/r2/pck_thresholds',
        )
    }  # fmt: skip
    encoded = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    np.savez_compressed(
        options.out,
        **keep,
        image_png=encoded,
        plain_hands=np.array(_PLAIN_HANDS),
        plain_grey=np.stack([grey_levels(crops[i])[::_STRIDE, ::_STRIDE] for i in _PLAIN_HANDS]),
        whole_hand=np.array(_WHOLE_HAND),
        whole_grey=grey_levels(crops[_WHOLE_HAND]),
        smoothed_hand=np.array(_SMOOTHED_HAND),
        smoothed=crops[_SMOOTHED_HAND][:, ::_STRIDE, ::_STRIDE],
        opencv_major=np.array(5),
    )
    print(f'{options.out}: {options.out.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
