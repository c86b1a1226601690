"""What the published loaders made of known images and recorded random values, and those images.

Written by tools/make_augmentation_excerpt.py.
"""

from pathlib import Path

import numpy as np

PATH = Path(__file__).resolve().parents[1] / 'data' / 'augmentation.npz'
#: Every so many pixels of changed clips and of crops are kept.
CLIP_STEP, CROP_STEP, EVALUATION_STEP = 3, 4, 8
#: Hands for evaluation whose pixels test/data/hamer_crops.npz has.
EVALUATION_HANDS = 2
#: Of the evaluation crops: rule of the square and growth of the box.
EVALUATION_RULES = {'r2': ('longer_side', 2.0), 'rneg1': ('three_by_four', 1.0)}
#: Crops: hand is right, scale, turn in degrees, shift in sides, colour factors.
CROPS = (
    (True, 1.0, 0.0, (0.0, 0.0), (1.0, 1.0, 1.0)),
    (True, 1.23, 37.5, (0.02, -0.013), (1.18, 0.83, 0.97)),
    (False, 0.74, -52.0, (-0.011, 0.017), (0.9, 1.11, 1.2)),
    (False, 1.1, 0.0, (0.0, 0.02), (1.0, 0.8, 1.0)),
)
CROP_SIZE_PX = (200, 150)
CENTER_PX, SIDE_PX = (93.25, 71.5), 88.0


def load():
    """All kept arrays."""
    with np.load(PATH) as stored:
        return {name: stored[name] for name in stored.files}


def crop_image():
    """(150, 200, 3) uint8 RGB; whole numbers only, so that it is the same everywhere."""
    width, height = CROP_SIZE_PX
    y, x = np.mgrid[:height, :width]
    channels = (x * 2 + y // 3, (x * y) // 97 + 40, 200 - y + (x // 16) * 3)
    return np.stack(channels, -1).astype(np.uint8)


def crop_hand():
    """Joints (21, 2) px and (21, 3) m, confidences, orientation, pose, betas of the hand."""
    rng = np.random.default_rng(5)
    center = np.array(CENTER_PX)
    return {
        'joints_2d': (center + rng.uniform(-40, 40, (21, 2))).astype(np.float32),
        'confidence_2d': (rng.uniform(size=21) > 0.2).astype(np.float32),
        'joints_3d': rng.uniform(-0.1, 0.5, (21, 3)).astype(np.float32),
        'confidence_3d': np.ones(21, np.float32),
        'global_orient': rng.uniform(-1.5, 1.5, 3).astype(np.float32),
        'hand_pose': rng.uniform(-1, 1, 45).astype(np.float32),
        'betas': rng.uniform(-2, 2, 10).astype(np.float32),
    }
