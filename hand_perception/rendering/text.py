"""Text in pictures: one face, sizes that follow the picture, cut where it does not fit."""

from dataclasses import dataclass
from typing import Final

import cv2

from hand_perception.datatypes import ImageArray

Colour = tuple[int, int, int]  # blue, green, red

WHITE: Final[Colour] = (255, 255, 255)
DARK: Final[Colour] = (24, 24, 24)
#: What is not to be relied on.
DIM: Final[Colour] = (150, 150, 150)
_FACE: Final = cv2.FONT_HERSHEY_SIMPLEX
#: Smaller letters cannot be read.
_MIN_SIZE: Final = 0.4
_CUT: Final = '...'


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How large text is.

    Attributes:
        size: of the face, in cv2's measure.
        thickness: of its lines, pixels.
    """

    size: float
    thickness: int

    @classmethod
    def of_scale(cls, scale: float, *, enlarged: float = 1.0) -> 'TextStyle':
        """Give the size for a picture whose long side is ``scale`` times 1280 pixels."""
        return cls(max(_MIN_SIZE, 0.6 * scale) * enlarged, max(1, round(1.2 * scale * enlarged)))

    def width(self, text: str) -> int:
        """Measure text, pixels."""
        return int(cv2.getTextSize(text, _FACE, self.size, self.thickness)[0][0])

    @property
    def height(self) -> int:
        """Of capitals above the base line, pixels."""
        return int(cv2.getTextSize('A', _FACE, self.size, self.thickness)[0][1])

    @property
    def depth(self) -> int:
        """Of descenders below the base line, pixels."""
        return int(cv2.getTextSize('A', _FACE, self.size, self.thickness)[1])

    def fit(self, text: str, width: int) -> str:
        """Cut text so that it is at most ``width`` pixels wide; empty when nothing fits."""
        full = self.width(text)
        if full <= width:
            return text
        keep = int(len(text) * width / full)
        while keep > 0 and self.width(text[:keep].rstrip() + _CUT) > width:
            keep -= 1
        return text[:keep].rstrip() + _CUT if keep else ''

    def put(self, picture: ImageArray, text: str, x: int, y: int, colour: Colour) -> None:
        """Write text whose base line starts at pixel (x, y)."""
        cv2.putText(picture, text, (x, y), _FACE, self.size, colour, self.thickness, cv2.LINE_AA)
