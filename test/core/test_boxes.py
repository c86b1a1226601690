"""Hand boxes: from keypoints, checked against the image, read from a file."""

import json

import numpy as np
import pytest

from hand_perception.boxes import (
    box_arrays,
    box_from_keypoints,
    check_box,
    check_boxes,
    read_boxes,
)
from hand_perception.datatypes import Box
from hand_perception.errors import BoxError

IMAGE_SIZE = (640, 480)


def make_box(*xyxy, is_right=True, score=None):
    return Box(xyxy=xyxy, is_right=is_right, score=score)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_box_of_keypoints_is_tight_around_those_that_are_seen():
    points = np.array([[10, 20], [30, 60], [25, 40], [15, 25], [500, 500], [np.nan, 3]])
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 1.0])
    box = box_from_keypoints(points, is_right=False, confidence=confidence)
    assert box == make_box(10, 20, 30, 60, is_right=False, score=pytest.approx(0.75))


def test_box_of_keypoints_without_confidence_has_no_score():
    box = box_from_keypoints(np.arange(42).reshape(21, 2), is_right=True)
    assert box == make_box(0, 1, 40, 41)


def test_three_keypoints_make_no_box():
    points = np.arange(42).reshape(21, 2)
    confidence = np.zeros(21)
    confidence[:3] = 0.9
    assert box_from_keypoints(points, is_right=True, confidence=confidence) is None
    assert box_from_keypoints(points, is_right=True, confidence=np.zeros(21)) is None


@pytest.mark.parametrize(
    'box',
    [
        make_box(10, 20, 100, 200),
        make_box(-50, -50, 20, 20, score=0.0),
        make_box(600, 400, 900, 800, score=1.0),
        make_box(-500, -500, 1500, 1500),
        make_box(5, 5, 7, 7),
    ],
)
def test_boxes_that_a_hand_can_have_pass(box):
    check_box(box, image_size=IMAGE_SIZE)


@pytest.mark.parametrize(
    ('box', 'problem'),
    [
        (make_box(np.nan, 0, 10, 10), 'not finite'),
        (make_box(0, 0, np.inf, 10), 'not finite'),
        (make_box(10, 10, 10, 50), 'empty'),
        (make_box(100, 10, 50, 60), 'wrong way round'),
        (make_box(0, 0, 1.5, 30), 'less than 2 pixels'),
        (make_box(0, 0, 10000, 100), 'larger than 2560 pixels'),
        (make_box(-1e30, 0, 1e30, 100), 'larger than'),
        (make_box(700, 10, 800, 60), 'outside the image'),
        (make_box(10, -90, 80, -10), 'outside the image'),
        (make_box(10, 10, 80, 90, score=1.5), 'score 1.5'),
        (make_box(10, 10, 80, 90, score=np.nan), 'score nan'),
    ],
)
def test_boxes_that_no_hand_has_are_refused_by_name(box, problem):
    with pytest.raises(BoxError, match=problem) as error:
        check_box(box, image_size=IMAGE_SIZE, name='hand.jpg, box 3')
    assert 'hand.jpg, box 3' in str(error.value)
    assert '640x480' in str(error.value)


def test_first_bad_box_of_several_is_named():
    boxes = [make_box(0, 0, 10, 10), make_box(0, 0, 0, 10), make_box(np.nan, 0, 0, 0)]
    with pytest.raises(BoxError, match=r'hand\.jpg 1 \[0, 0, 0, 10\] is empty'):
        check_boxes(boxes, image_size=IMAGE_SIZE, name='hand.jpg')


def test_boxes_become_arrays():
    corners, right = box_arrays([make_box(1, 2, 3, 4), make_box(5, 6, 7, 8, is_right=False)])
    assert corners.dtype == np.float32
    assert corners.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert right.tolist() == [True, False]
    corners, right = box_arrays([])
    assert corners.shape == (0, 4)
    assert right.shape == (0,)


def test_file_of_boxes_is_read(tmp_path):
    path = write(
        tmp_path / 'boxes.json',
        {
            'hand.jpg': [
                {'bbox_xyxy': [610, 380, 770, 560.5], 'is_right': True},
                {'bbox_xyxy': [1, 2, 3, 4], 'is_right': False, 'score': 0.9},
            ],
            'empty.jpg': [],
        },
    )
    assert read_boxes(path) == {
        'hand.jpg': (
            make_box(610, 380, 770, 560.5),
            make_box(1, 2, 3, 4, is_right=False, score=0.9),
        ),
        'empty.jpg': (),
    }


def entry(**changes):
    values = {'bbox_xyxy': [1, 2, 30, 40], 'is_right': True} | changes
    return {'a.jpg': [{key: value for key, value in values.items() if value is not ...}]}


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        ('{', 'is not JSON'),
        ('[' * 100000, 'is not JSON'),
        ([], 'one object'),
        ({'a.jpg': {}}, "image 'a.jpg': expected a list"),
        ({'a.jpg': [[1, 2, 3, 4]]}, "image 'a.jpg', box 0: expected"),
        ({'a.jpg': [entry()['a.jpg'][0], 3]}, "image 'a.jpg', box 1: expected"),
        (entry(is_right=...), 'is_right is missing'),
        (entry(bbox=[1, 2, 3, 4]), 'bbox is not known'),
        (entry(bbox_xyxy=[1, 2, 3]), 'four finite numbers'),
        (entry(bbox_xyxy=[1, 2, 3, '4']), 'four finite numbers'),
        (entry(bbox_xyxy=[1, 2, 3, True]), 'four finite numbers'),
        (entry(bbox_xyxy=[1, 2, 3, float('nan')]), 'four finite numbers'),
        (entry(bbox_xyxy=[1, 2, 3, 10**400]), 'four finite numbers'),
        (entry(is_right='yes'), 'true or false'),
        (entry(is_right=1), 'true or false'),
        (entry(score=2), 'score must be within 0 and 1'),
        (entry(score='high'), 'score must be within 0 and 1'),
    ],
)
def test_badly_written_file_is_refused_with_file_image_and_entry(tmp_path, content, problem):
    path = write(tmp_path / 'boxes.json', content)
    with pytest.raises(BoxError, match=problem) as error:
        read_boxes(path)
    assert 'boxes.json' in str(error.value)


def test_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BoxError, match=r'cannot read boxes from .*none\.json: No such file'):
        read_boxes(tmp_path / 'none.json')


def test_file_that_is_not_text_is_told(tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(BoxError, match='is not JSON'):
        read_boxes(path)
