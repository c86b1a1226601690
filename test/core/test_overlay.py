import dataclasses
import math

import cv2
import numpy as np
import pytest

from hand_perception.datatypes import (
    Camera,
    DepthSource,
    Frame,
    FrameResult,
    Hand,
    ManoParameters,
)
from hand_perception.models.hand_arrays import KEYPOINT_SOURCES, load_default_arrays
from hand_perception.pipeline import overlay
from hand_perception.pipeline.lift import project
from hand_perception.pipeline.overlay import draw_overlay
from hand_perception.rendering.palette import LEFT_RGB, RIGHT_RGB, side_rgb
from hand_perception.rendering.rasterizer import rasterize

CAMERA = Camera(width=640, height=480, fx=520.0, fy=520.0, cx=319.5, cy=239.5)
GREY = 128
ARRAYS = load_default_arrays()
# Fingers up in the image, the back of the hand towards the camera.
RIGHT_TO_CAMERA = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])


def make_hand(*, is_right=True, at=(0.0, 0.0, 0.5), camera=CAMERA, **changes):
    rest = ARRAYS.rest(np.zeros(10))
    sources = list(KEYPOINT_SOURCES)
    side = 1.0 if is_right else -1.0
    vertices = ARRAYS.v_template @ RIGHT_TO_CAMERA.T * (side, 1, 1) + at
    joints = np.vstack([rest.joints, rest.tips])[sources] @ RIGHT_TO_CAMERA.T * (side, 1, 1) + at
    pixels = project(camera, joints).astype(np.float32)
    box = np.r_[pixels.min(0), pixels.max(0)]
    hand = Hand(
        track_id=3,
        is_right=is_right,
        handedness_score=1.0,
        confidence=0.9,
        bbox_xyxy=box.astype(np.float32),
        keypoints_3d=joints.astype(np.float32),
        keypoints_2d=pixels,
        keypoint_confidence=np.ones(21, np.float32),
        vertices=vertices.astype(np.float32),
        wrist_rotation=np.eye(3),
        parameters=ManoParameters(
            global_orient=np.zeros(3), hand_pose=np.zeros(45), betas=np.zeros(10),
            transl=np.zeros(3),
        ),
        flexion=np.zeros(15, np.float32),
        pinch_distance_m=0.1,
        pinch=0.0,
        grasp=0.0,
        depth_source=DepthSource.MONO,
        depth_stddev_m=0.02,
    )  # fmt: skip
    return dataclasses.replace(hand, **changes)


def make_frame(image=None, *, camera=CAMERA, is_rgb=False):
    if image is None:
        image = np.full((camera.height, camera.width, 3), GREY, np.uint8)
    return Frame(image=image, is_rgb=is_rgb, stamp_ns=1, frame_id='camera', camera=camera)


def draw(*hands, frame=None):
    result = FrameResult(stamp_ns=1, frame_id='camera', hands=hands)
    return draw_overlay(frame or make_frame(), result, ARRAYS.faces)


def changed(picture, background=GREY):
    return (picture.astype(int) != background).any(-1)


def hue_of_mesh(picture, at):
    """Mean colour around a pixel, minus grey, as a direction in red, green, blue."""
    x, y = (int(v) for v in at)
    colour = picture[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).mean(0)[::-1] - GREY
    return colour - colour.mean()


def palm_centre(hand):
    """A place on the back of the hand between the bones of index and middle finger."""
    return (hand.keypoints_2d[[0, 5, 9]].mean(0) + hand.keypoints_2d[[5, 9]].mean(0)) / 2


@pytest.mark.parametrize(('is_right', 'rgb'), [(True, RIGHT_RGB), (False, LEFT_RGB)])
def test_each_side_is_drawn_in_its_colour(is_right, rgb):
    hand = make_hand(is_right=is_right)
    got = hue_of_mesh(draw(hand), palm_centre(hand))
    want = np.array(rgb, float) - np.mean(rgb)
    cosine = got @ want / np.linalg.norm(got) / np.linalg.norm(want)
    assert cosine > 0.9  # the same hue, whatever the light


def test_colours_of_the_sides_stay_apart_for_the_colour_blind():
    def luminance_and_blue(rgb):
        r, g, b = ((np.array(rgb) / 255) ** 2.2).tolist()
        return np.array([0.2126 * r + 0.7152 * g, b])  # what all kinds of red-green blindness see

    left, right = luminance_and_blue(LEFT_RGB), luminance_and_blue(RIGHT_RGB)
    assert np.abs(left - right).max() > 0.5
    assert side_rgb(is_right=True) == RIGHT_RGB and side_rgb(is_right=False) == LEFT_RGB


@pytest.mark.parametrize('is_right', [True, False])
def test_near_side_of_the_mesh_is_drawn_and_lit(is_right, monkeypatch):
    drawn = []

    def keep(*args, **kwargs):
        drawn.append(rasterize(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(overlay, 'rasterize', keep)
    hand = make_hand(is_right=is_right)
    picture = draw(hand)
    # The hand lies square to the view: its back is nearer than its middle, its palm farther.
    assert np.median(drawn[0].depth) < np.median(hand.vertices[:, 2])
    bright = picture.astype(int).max(-1)[changed(picture)]
    assert np.percentile(bright, 90) > 180  # 8-bit steps, lit from the viewer's side


def test_mesh_covers_its_projection_and_nothing_far_from_it():
    hand = make_hand()
    picture = draw(hand)
    points = project(CAMERA, hand.vertices)
    hull = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    near = cv2.dilate(hull, np.ones((9, 9), np.uint8)).astype(bool)
    x0, y0 = hand.bbox_xyxy[:2]
    label = np.zeros_like(near)
    label[: math.ceil(y0) + 1, math.floor(x0) :] = True
    touched = changed(picture)
    assert not (touched & ~near & ~label).any()
    row, column = np.rint(points.T[::-1]).astype(int)
    assert touched[row, column].mean() > 0.99  # vertices lie on the drawn mesh


def test_mesh_lies_where_a_distorting_lens_shows_it():
    camera = dataclasses.replace(
        CAMERA, distortion_model='plumb_bob', distortion=(-0.3, 0.1, 0.0, 0.0, 0.0)
    )
    hand = make_hand(at=(0.16, 0.1, 0.5), camera=camera)
    touched = changed(draw(hand, frame=make_frame(camera=camera)))
    column, row = np.rint(project(camera, hand.vertices)).astype(int).T
    inside = (column >= 0) & (column < 640) & (row >= 0) & (row < 480)
    assert touched[row[inside], column[inside]].mean() > 0.99


def test_image_is_not_written_to_and_rgb_comes_out_as_bgr():
    image = np.zeros((480, 640, 3), np.uint8)
    image[...] = (200, 30, 10)
    image.flags.writeable = False
    picture = draw(make_hand(), frame=make_frame(image, is_rgb=True))
    assert picture[0, 0].tolist() == [10, 30, 200]
    assert picture.flags.writeable and picture.flags.c_contiguous


def test_padded_rows_of_a_message_are_read():
    padded = np.full((480, 700, 3), GREY, np.uint8)
    padded[:, 640:] = 0
    picture = draw(make_hand(), frame=make_frame(padded[:, :640]))
    np.testing.assert_array_equal(picture, draw(make_hand()))


def test_nearer_hand_covers_the_farther_one():
    near = make_hand(is_right=True, at=(0.0, 0.0, 0.4))
    far = make_hand(is_right=False, at=(0.0, 0.0, 0.6))
    place = palm_centre(near)
    alone = hue_of_mesh(draw(near), place)
    for both in (draw(near, far), draw(far, near)):
        assert hue_of_mesh(both, place) @ alone > 0


@pytest.mark.parametrize(
    'at',
    [
        (0.33, 0.0, 0.5),  # cut by the right edge
        (0.0, -0.25, 0.5),  # cut by the upper edge
        (5.0, 0.0, 0.5),  # outside
        (0.0, 0.0, 0.02),  # around the camera
        (0.0, 0.0, -0.5),  # behind it
        (0.0, 0.0, 0.06),  # fills the image
        (np.nan, np.nan, np.nan),
    ],
)
def test_hand_partly_or_wholly_out_of_sight_is_drawn_as_far_as_it_is_seen(at):
    hand = make_hand(at=at)
    picture = draw(hand, make_hand(is_right=False))
    assert picture.shape == (480, 640, 3)
    assert changed(picture).any()  # the other hand is there in any case


def test_hand_that_fills_the_image_costs_no_more_detail_but_is_complete():
    camera = dataclasses.replace(CAMERA, width=1280, height=960, fx=1500.0, fy=1500.0)
    hand = make_hand(at=(0.0, 0.0, 0.5), camera=camera)
    touched = changed(draw(hand, frame=make_frame(camera=camera)))
    column, row = np.rint(project(camera, hand.vertices)).astype(int).T
    inside = (column >= 0) & (column < 1280) & (row >= 0) & (row < 960)
    assert inside.sum() > 500
    assert touched[row[inside], column[inside]].mean() > 0.98


def test_no_hands_gives_a_plain_copy():
    frame = make_frame()
    picture = draw(frame=frame)
    np.testing.assert_array_equal(picture, frame.image)
    assert not np.shares_memory(picture, frame.image)


def test_label_stays_inside_the_image():
    hand = make_hand(bbox_xyxy=np.array([630, -5, 700, 40], np.float32))
    assert changed(draw(hand))[:30, 500:].any()
