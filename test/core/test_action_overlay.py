"""Actions drawn over the image: what is written, where, and in which colour."""

import numpy as np
import pytest
from action_records import make_hand_action, make_scene_action, unknown
from test_overlay import ARRAYS, GREY, changed, make_frame, make_hand

from hand_perception.actions import ActionResult
from hand_perception.datatypes import Camera, FrameResult
from hand_perception.pipeline.action_overlay import ShownActions, action_of_hand, action_words
from hand_perception.pipeline.overlay import draw_overlay
from hand_perception.rendering.text import DIM, TextStyle

LEFT = make_hand(is_right=False, at=(-0.13, 0.02, 0.5))
RIGHT = make_hand(is_right=True, at=(0.1, 0.03, 0.5))


def draw(*hands, actions, width=640, height=480):
    camera = Camera.centred(width, height, focal_px=520.0)
    result = FrameResult(stamp_ns=1, frame_id='camera', hands=hands)
    return draw_overlay(make_frame(camera=camera), result, ARRAYS.faces, actions=actions)


def difference(actions, *hands):
    """Pixels that actions change."""
    without, drawn = draw(*hands, actions=()), draw(*hands, actions=actions)
    return (without != drawn).any(-1)


def is_yellow(picture):
    """Pixels in the colour of what is told."""
    blue, green, red = np.moveaxis(picture.astype(int), -1, 0)
    return (red - blue > 60) & (green - blue > 40)


def test_the_action_of_a_side_changes_only_the_label_of_its_hand():
    rows, columns = np.nonzero(difference([make_hand_action(is_right=True)], LEFT, RIGHT))
    x0, y0, x1, _ = RIGHT.bbox_xyxy
    assert len(rows)
    assert rows.max() <= y0
    assert columns.min() >= x0 - 1 and columns.max() <= x1 + 60  # a short word


def test_the_action_of_an_unseen_side_is_not_drawn():
    assert not difference([make_hand_action(is_right=False)], RIGHT).any()


def test_the_action_of_a_side_belongs_to_its_surest_hand():
    sure, unsure = make_hand(confidence=0.9), make_hand(confidence=0.4)
    action = make_hand_action(is_right=True)
    hands = (unsure, sure, LEFT)
    assert [action_of_hand(hand, hands, [action]) for hand in hands] == [None, action, None]


def test_the_action_of_the_scene_is_a_bar_at_the_bottom_and_nothing_else():
    rows, _ = np.nonzero(difference([make_scene_action()]))
    assert rows.max() == 479
    assert rows.min() >= 480 * 0.85


def test_the_bar_is_as_long_as_its_probability():
    def length(score):
        ranking = make_scene_action().ranking
        ranking = type(ranking)(labels=ranking.labels, scores=(score, 0.0, 0.0))
        picture = draw(actions=[make_scene_action(score=score, ranking=ranking)])
        # Words and numbers are yellow, too, but not over so many columns without a gap.
        filled = is_yellow(picture)[430:].sum(0) >= 6
        edges = np.flatnonzero(np.diff(np.r_[0, filled, 0]))
        return int((edges[1::2] - edges[::2]).max())

    full = length(1.0)
    assert full > 60  # pixels
    assert length(0.5) == pytest.approx(full / 2, abs=3)  # pixels, for the frame of the gauge


def test_what_is_unknown_is_written_dim_with_its_reason():
    words, colour = action_words(unknown(make_hand_action, 'no hand present'))
    assert (words, colour) == ('unknown: no hand present', DIM)
    bar = draw(actions=[unknown(make_scene_action, 'no hand present')])
    assert not is_yellow(bar).any()
    assert is_yellow(draw(actions=[make_scene_action()])).any()


def test_a_primitive_on_its_way_out_is_written_dim_without_its_score():
    """On a left hand, which is blue."""
    leaving = make_hand_action(is_right=False, label='release', score=0.0, is_final=False)
    assert action_words(leaving) == ('release', DIM)
    assert not is_yellow(draw(LEFT, actions=[leaving])).any()
    sure = make_hand_action(is_right=False, label='release')
    assert is_yellow(draw(LEFT, actions=[sure])).any()


def test_an_action_of_the_scene_is_bright_before_its_window_is_full():
    words, colour = action_words(make_scene_action(is_final=False))
    assert (words, colour != DIM) == ('pour milk  0.62', True)


def test_what_is_told_is_written_as_people_write_it():
    assert action_words(make_scene_action())[0] == 'pour milk  0.62'


@pytest.mark.parametrize('size', [(160, 120), (320, 240), (1920, 1080), (120, 400)])
def test_pictures_of_any_size_take_the_longest_words(size):
    reason = 'margin of the most likely action over the second below what was asked for ' * 3
    actions = [
        unknown(make_scene_action, reason),
        unknown(make_hand_action, reason, is_right=False),
        make_hand_action(label='x' * 200),
    ]
    width, height = size
    picture = draw(LEFT, RIGHT, actions=actions, width=width, height=height)
    assert picture.shape == (height, width, 3)
    assert changed(picture)[height - 1].all()  # the bar reaches over the whole width


def test_long_words_of_one_hand_leave_room_for_the_other():
    action = unknown(make_hand_action, 'a very long reason ' * 10, is_right=False)
    _, columns = np.nonzero(difference([action], LEFT))
    assert np.ptp(columns) < 0.35 * 640


def test_text_is_cut_to_the_room_there_is():
    style = TextStyle.of_scale(0.5)
    text = 'unknown: window too short'
    assert style.fit(text, 10_000) == text
    for room in (150, 80, 30):
        cut = style.fit(text, room)
        assert style.width(cut) <= room
        assert text.startswith(cut.removesuffix('...'))
    assert style.fit(text, 0) == ''


def test_the_bar_darkens_the_image_but_leaves_it_seen():
    image = np.full((480, 640, 3), GREY, np.uint8)
    image[:, ::2] = 255
    result = FrameResult(stamp_ns=1, frame_id='camera', hands=())
    frame = make_frame(image)
    picture = draw_overlay(frame, result, ARRAYS.faces, actions=[make_scene_action()])
    dark, bright = picture[476, 401].mean(), picture[476, 400].mean()
    assert 10 < dark < bright < 80  # grey levels
    assert (frame.image[476] == image[476]).all()


def test_an_image_that_nobody_looked_at_shows_what_was_said_last_for_half_a_second():
    shown, action = ShownActions(), make_scene_action(stamp_ns=10**9)
    said, nothing = ActionResult(actions=(action,)), ActionResult()
    assert shown.step(said, 10**9, is_new_stream=False) == (action,)
    assert shown.step(nothing, 10**9 + 500_000_000, is_new_stream=False) == (action,)
    assert shown.step(nothing, 10**9 + 500_000_001, is_new_stream=False) == ()


@pytest.mark.parametrize('reason', ['stream', 'recogniser', 'error', 'stamps'])
def test_nothing_is_shown_that_was_said_of_something_else(reason):
    shown = ShownActions()
    shown.step(
        ActionResult(actions=(make_scene_action(stamp_ns=10**9),)), 10**9, is_new_stream=True
    )
    if reason == 'error':
        shown.forget()
    said = ActionResult(reset_reason='a gap' if reason == 'recogniser' else '')
    stamp_ns = 10**9 + (-1 if reason == 'stamps' else 1)
    assert shown.step(said, stamp_ns, is_new_stream=reason == 'stream') == ()
