"""The two colours of hands, the same in every picture and marker.

Blue and amber stay apart for all common kinds of colour blindness (the outer pair of the IBM
design library's colour-blind safe palette) and neither is a colour of skin.
"""

from typing import Final

#: Red, green, blue, 0-255.
LEFT_RGB: Final = (100, 143, 255)
RIGHT_RGB: Final = (255, 176, 0)


def side_rgb(*, is_right: bool) -> tuple[int, int, int]:
    """Give the colour of a side, red green blue, 0-255."""
    return RIGHT_RGB if is_right else LEFT_RGB
