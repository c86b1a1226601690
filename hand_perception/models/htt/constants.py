"""What the published HTT fixes and its weights do not tell (Wen et al., CVPR 2023)."""

from typing import Final

#: Pixels of the network image; the scale of the 2D outputs belongs to this size.
IMAGE_WIDTH: Final = 480
IMAGE_HEIGHT: Final = 270
#: Grey levels become ``level / 255 - IMAGE_OFFSET``.
IMAGE_OFFSET: Final = 0.5

#: Raw 2D outputs to pixels from the middle of the network image.
TRANS_FACTOR: Final = 100.0
#: Raw depth outputs times the focal length in pixels to metres beyond DEPTH_OFFSET_M.
SCALE_FACTOR: Final = 1e-4
DEPTH_OFFSET_M: Final = 0.4

#: Attention heads; they leave no trace in the shapes of the weights.
NUM_HEADS: Final = 8
LAYER_NORM_EPS: Final = 1e-5
BATCH_NORM_EPS: Final = 1e-5
#: Slope of the hand head's LeakyReLU for negative numbers.
HAND_HEAD_SLOPE: Final = 0.01

#: Tokens of the published action and pose windows.
WINDOW: Final = 128
POSE_WINDOW: Final = 16
