"""Sizes that the networks and what surrounds them have to agree on."""

from typing import Final

PALM_INPUT_PX: Final = 192
LANDMARK_INPUT_PX: Final = 224
#: Per anchor: box centre and size, then 7 keypoints.
PALM_BOX_SIZE: Final = 18
#: Anchors per cell of the 24 x 24 and of the 12 x 12 map: 2016 together.
ANCHORS_STRIDE_8: Final = 2
ANCHORS_STRIDE_16: Final = 6
