"""Hand boxes from a detector of the user: read, and joined to the image of their stamp."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from hand_perception.boxes import check_box
from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import Box
from hand_perception.errors import BoxError, ConfigError
from hand_perception.msg import HandBox, HandBoxArray
from hand_perception.ros.messages import stamp_ns_of

#: Images that wait for their boxes, as bytes: half a second at 30 Hz, 100 MB of raw 1080p.
_KEPT: Final = 16
_SIDES: Final = {HandBox.HANDEDNESS_LEFT: False, HandBox.HANDEDNESS_RIGHT: True}


class ImageWithBoxes(NamedTuple):
    """What the worker processes: a serialised image, and its boxes unless hands are searched."""

    wire: bytes
    boxes: HandBoxArray | None = None


class BoxMatcher:
    """Keeps images until boxes of exactly their stamp come; used by the executor's thread alone.

    A small message overtakes a large one now and then, so boxes may also come before their image.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._images: dict[int, bytes] = {}
        self._early: dict[int, HandBoxArray] = {}
        self._newest_ns: int | None = None

    def add_image(self, stamp_ns: int, wire: bytes) -> tuple[ImageWithBoxes | None, int, str]:
        """Store an image.

        Returns:
            The image with its boxes when those are there already, how many images were given up,
            and what is wrong with boxes that are given up; empty when nothing is.
        """
        if self._newest_ns is not None and stamp_ns < self._newest_ns:
            given_up = self.clear()  # stamps jumped back: the others are of an older run
        else:
            given_up = int(stamp_ns in self._images)
        self._newest_ns = stamp_ns
        lost = [early_ns for early_ns in self._early if early_ns < stamp_ns]
        for early_ns in lost:
            del self._early[early_ns]
        problem = f'the image of {_boxes_of(lost[-1])} did not come' if lost else ''
        boxes = self._early.pop(stamp_ns, None)
        self._images[stamp_ns] = wire
        if boxes is not None:
            image, older = self._take(stamp_ns, boxes)
            return image, given_up + older, problem
        if len(self._images) > _KEPT:
            del self._images[next(iter(self._images))]
            given_up += 1
        return None, given_up, problem

    def add_boxes(self, boxes: HandBoxArray) -> tuple[ImageWithBoxes | None, int]:
        """Find the image that boxes belong to.

        Returns:
            The image with its boxes, None when it is still to come; and how many older images
            were given up for it.

        Raises:
            BoxError: no such image waits or will come.
        """
        stamp_ns = stamp_ns_of(boxes.header)
        if stamp_ns in self._images:
            return self._take(stamp_ns, boxes)
        if self._newest_ns is not None and stamp_ns <= self._newest_ns:
            raise BoxError(
                f'no image waits for {_boxes_of(stamp_ns)}: expected exactly the stamp of an '
                f'image of the last {_KEPT} that newer boxes have not passed; copy the header of '
                'the image, send its boxes once, and find what makes them late'
            )
        self._early[stamp_ns] = boxes
        if len(self._early) > _KEPT:
            oldest_ns = next(iter(self._early))
            del self._early[oldest_ns]
            raise BoxError(
                f'no image came for {_boxes_of(oldest_ns)} and the {_KEPT} after them; the '
                'stamps of the boxes must be exactly those of the images'
            )
        return None, 0

    def clear(self) -> int:
        """Give up everything; return how many images that were."""
        count = len(self._images)
        self._images.clear()
        self._early.clear()
        self._newest_ns = None
        return count

    def _take(self, stamp_ns: int, boxes: HandBoxArray) -> tuple[ImageWithBoxes, int]:
        """Take out an image and give up the older ones: results go forward in time."""
        older = [other for other in self._images if other < stamp_ns]
        for other in older:
            del self._images[other]
        return ImageWithBoxes(self._images.pop(stamp_ns), boxes), len(older)


def check_box_source(settings: PerceptionSettings) -> None:
    """Refuse boxes from a topic for a back end that cannot work with them.

    Raises:
        ConfigError: says what to set.
    """
    if settings.box_source == 'topic' and settings.backend != 'hamer':
        raise ConfigError(
            f"box_source is 'topic', but the back end {settings.backend!r} finds hands itself "
            "and takes no boxes; set backend to 'hamer' or box_source to 'detector'"
        )


def usable_boxes(
    message: HandBoxArray, *, image_size: tuple[int, int], max_hands: int
) -> tuple[tuple[Box, ...], list[str]]:
    """Take the good boxes of a message.

    Args:
        message: boxes of one image.
        image_size: width and height of the image, pixels.
        max_hands: most boxes to take: the surest, those without a score last.

    Returns:
        The boxes, and for each one left out what is wrong with it.
    """
    boxes: list[Box] = []
    problems: list[str] = []
    for index, entry in enumerate(message.boxes):
        try:
            box = _read_box(entry, index)
            check_box(box, image_size=image_size, name=f'box {index}')
        except BoxError as error:
            problems.append(str(error))
        else:
            boxes.append(box)
    if len(boxes) > max_hands:
        problems.append(
            f'{len(boxes)} boxes came for one image, max_hands is {max_hands}: the surest are '
            'taken; raise max_hands or send fewer'
        )
        boxes = _surest(boxes, max_hands)
    return tuple(boxes), problems


def _read_box(entry: HandBox, index: int) -> Box:
    is_right = _SIDES.get(entry.handedness)
    if is_right is None:
        raise BoxError(
            f'box {index} has handedness {entry.handedness}; expected HANDEDNESS_LEFT '
            f'({HandBox.HANDEDNESS_LEFT}) or HANDEDNESS_RIGHT ({HandBox.HANDEDNESS_RIGHT}): HaMeR '
            'has to know the side'
        )
    x_min, y_min, x_max, y_max = map(float, entry.bbox)
    score = None if math.isnan(entry.score) else float(entry.score)
    return Box(xyxy=(x_min, y_min, x_max, y_max), is_right=is_right, score=score)


def _surest(boxes: Sequence[Box], count: int) -> list[Box]:
    return sorted(boxes, key=lambda box: -1.0 if box.score is None else box.score, reverse=True)[
        :count
    ]


def _boxes_of(stamp_ns: int) -> str:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return f'boxes of stamp {seconds}.{nanoseconds:09d}'
