"""Hand boxes that come as messages: read, checked, and joined to their image."""

import math

import pytest
from ros_fakes import box_message, boxes_message

from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import Box
from hand_perception.errors import BoxError, ConfigError
from hand_perception.msg import HandBox
from hand_perception.ros.boxes import BoxMatcher, check_box_source, usable_boxes

SIZE = (64, 48)
GOOD = box_message((10.5, 5, 40, 45), is_right=True)


def read(*entries, max_hands=8):
    return usable_boxes(boxes_message(1, *entries), image_size=SIZE, max_hands=max_hands)


def matcher(*stamps):
    """A matcher that holds images; each image's bytes are its stamp."""
    made = BoxMatcher()
    for stamp in stamps:
        assert made.add_image(stamp, b'%d' % stamp) == (None, 0, '')
    return made


def test_boxes_are_read_with_side_and_score():
    boxes, problems = read(
        box_message((1, 2, 30, 40.25), is_right=False, score=0.75),
        box_message((10.5, 5, 40, 45), is_right=True, score=math.nan),
    )
    assert boxes == (
        Box(xyxy=(1, 2, 30, 40.25), is_right=False, score=0.75),
        Box(xyxy=(10.5, 5, 40, 45), is_right=True, score=None),
    )
    assert problems == []


@pytest.mark.parametrize(
    ('corners', 'score', 'problem'),
    [
        ((100, 5, 140, 45), 0.5, 'lies outside the image'),
        ((10, 5, 10, 45), 0.5, 'is empty'),
        ((math.nan, 5, 40, 45), 0.5, 'not finite'),
        ((-math.inf, 5, 40, 45), 0.5, 'not finite'),
        ((-1e9, 5, 1e9, 45), 0.5, 'is larger than 256 pixels'),
        ((10, 5, 11, 45), 0.5, 'is less than 2 pixels wide or high'),
        ((40, 5, 10, 45), 0.5, 'the wrong way round'),
        ((10, 5, 40, 45), 1.5, 'has score 1.5'),
        ((10, 5, 40, 45), -1.0, 'has score -1'),
        ((10, 5, 40, 45), math.inf, 'has score inf'),
    ],
)
def test_a_bad_box_is_named_and_the_good_one_beside_it_taken(corners, score, problem):
    boxes, problems = read(box_message(corners, is_right=False, score=score), GOOD)
    assert boxes == (Box(xyxy=(10.5, 5, 40, 45), is_right=True),)
    assert len(problems) == 1
    assert problems[0].startswith('box 0')
    assert problem in problems[0]


@pytest.mark.parametrize('handedness', [HandBox.HANDEDNESS_UNKNOWN, 7])
def test_a_box_without_a_side_is_refused(handedness):
    unknown = box_message((1, 2, 30, 40), is_right=True)
    unknown.handedness = handedness
    boxes, problems = read(GOOD, unknown)
    assert len(boxes) == 1
    assert problems == [
        f'box 1 has handedness {handedness}; expected HANDEDNESS_LEFT (1) or HANDEDNESS_RIGHT '
        '(2): HaMeR has to know the side'
    ]


def test_of_more_boxes_than_hands_the_surest_are_taken():
    scores = (0.2, math.nan, 0.9, 0.4)
    entries = [box_message((i, 2, 30, 40), is_right=True, score=s) for i, s in enumerate(scores)]
    boxes, problems = read(*entries, max_hands=3)
    assert [box.xyxy[0] for box in boxes] == [2, 3, 0]
    assert problems[0].startswith('4 boxes came for one image, max_hands is 3')


def test_boxes_find_the_image_of_exactly_their_stamp_and_older_ones_are_given_up():
    made = matcher(10, 20, 30, 40)
    boxes = boxes_message(30, GOOD)
    item, given_up = made.add_boxes(boxes)
    assert (item.wire, item.boxes, given_up) == (b'30', boxes, 2)
    item, given_up = made.add_boxes(boxes_message(40))
    assert (item.wire, given_up) == (b'40', 0)


def test_boxes_that_overtake_their_image_are_kept_for_it():
    made = matcher(10, 20)
    boxes = boxes_message(30, GOOD)
    assert made.add_boxes(boxes) == (None, 0)
    item, given_up, problem = made.add_image(30, b'30')
    assert (item.wire, item.boxes, given_up, problem) == (b'30', boxes, 2, '')


@pytest.mark.parametrize('stamp', [15, 20, 5])
def test_boxes_of_an_image_that_is_gone_or_never_was_are_refused(stamp):
    made = matcher(10, 20, 30)
    made.add_boxes(boxes_message(20))
    with pytest.raises(BoxError, match=rf'no image waits for boxes of stamp 0.0000000{stamp:02d}'):
        made.add_boxes(boxes_message(stamp))


def test_boxes_whose_image_was_lost_are_told_when_the_next_image_comes():
    made = matcher(10)
    made.add_boxes(boxes_message(20))
    item, given_up, problem = made.add_image(30, b'30')
    assert (item, given_up) == (None, 0)
    assert problem == 'the image of boxes of stamp 0.000000020 did not come'


def test_boxes_of_a_foreign_clock_are_told():
    made = matcher(10)
    for stamp in range(1000, 1016):
        made.add_boxes(boxes_message(stamp))
    with pytest.raises(BoxError, match=r'stamp 0.000001000 and the 16 after them; the stamps of'):
        made.add_boxes(boxes_message(1016))


def test_images_that_wait_are_bounded_and_the_oldest_given_up_first():
    made = matcher(*range(16))
    assert made.add_image(16, b'16') == (None, 1, '')
    with pytest.raises(BoxError):
        made.add_boxes(boxes_message(0))
    assert made.add_boxes(boxes_message(1))[0].wire == b'1'


def test_stamps_that_jump_back_give_up_the_images_of_the_older_run():
    made = matcher(100, 110)
    assert made.add_image(50, b'50') == (None, 2, '')
    assert made.add_boxes(boxes_message(50))[0].wire == b'50'


def test_an_image_that_is_repeated_takes_the_place_of_the_first():
    made = matcher(10)
    assert made.add_image(10, b'again') == (None, 1, '')
    assert made.add_boxes(boxes_message(10)) == ((b'again', boxes_message(10)), 0)


def test_clearing_counts_the_images_that_waited():
    made = matcher(10, 20)
    assert made.clear() == 2
    assert made.clear() == 0


def test_boxes_for_a_back_end_that_finds_hands_itself_are_refused():
    with pytest.raises(ConfigError, match="set backend to 'hamer' or box_source to 'detector'"):
        check_box_source(PerceptionSettings(box_source='topic'))
    check_box_source(PerceptionSettings(box_source='topic', backend='hamer'))
