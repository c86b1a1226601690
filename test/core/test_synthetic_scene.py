import dataclasses
import json

import cv2
import numpy as np
import pytest

from hand_perception.errors import ConfigError, SourceError, WeightsError
from hand_perception.geometry import pinch_and_grasp
from hand_perception.models.hand_arrays import load_default_arrays
from hand_perception.pipeline.lift import project
from hand_perception.synthetic.animation import draw_motion, hand_at
from hand_perception.synthetic.arm import build_arm, pose_arm
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.clip import CLIP_RATE_HZ, CLIP_SPEC, num_clip_frames, write_clip
from hand_perception.synthetic.poses import POSE_SHAPES
from hand_perception.synthetic.scene import Scene, SceneSpec, render_scene
from hand_perception.synthetic.scripts import SCRIPTS
from hand_perception.synthetic.skin import SKIN_TONES
from hand_perception.synthetic.truth import (
    CLIP_TRUTH,
    CLIP_VIDEO,
    load_clip_truth,
    save_clip_truth,
)

SMALL = SceneSpec(width=192, height=144, supersampling=1)
# The file keeps 0.01 mm and 0.01 px: half a step of rounding, and float32 skinning (0.1 um).
FILE_STEP_M, FILE_STEP_PX = 0.5e-5 + 1e-6, 0.5e-2 + 1e-3


@pytest.fixture(scope='module')
def clip_scene():
    return Scene(CLIP_SPEC)


@pytest.fixture(scope='module')
def small_scene():
    return Scene(SMALL)


@pytest.fixture(scope='module')
def small_picture(small_scene):
    return small_scene.render(0.7, with_depth=True)


@pytest.fixture(scope='module')
def clip_truth():
    return load_clip_truth()


def clip_times():
    return np.arange(num_clip_frames(CLIP_SPEC, CLIP_RATE_HZ)) / CLIP_RATE_HZ


def psnr(image, other):
    error = np.mean((image.astype(float) - other.astype(float)) ** 2)
    return 10 * np.log10(255**2 / error)


def test_same_spec_and_time_give_the_same_picture(small_picture):
    again = render_scene(SMALL, 0.7)
    np.testing.assert_array_equal(again.image_bgr, small_picture.image_bgr)
    assert again.depth_m is None  # not asked for


def test_another_seed_gives_another_picture_and_another_motion(small_picture):
    first, second = small_picture, render_scene(dataclasses.replace(SMALL, seed=1), 0.7)
    assert psnr(first.image_bgr, second.image_bgr) < 30  # dB
    moved = np.abs(first.hands[0].keypoints_3d - second.hands[0].keypoints_3d)
    assert moved.max() > 0.005  # m


def test_noise_differs_from_image_to_image_but_hands_do_not():
    noisy = Scene(dataclasses.replace(SMALL, noise_sigma=4.0))
    clean = Scene(dataclasses.replace(SMALL, noise_sigma=0.0))
    difference = noisy.render(0.0).image_bgr.astype(int) - clean.render(0.0).image_bgr
    later = noisy.render(SMALL.duration_s).image_bgr.astype(int) - clean.render(0.0).image_bgr
    assert difference.std() == pytest.approx(4.0, rel=0.1)  # 8-bit steps, rounding adds 0.3
    assert np.corrcoef(difference.ravel(), later.ravel())[0, 1] < 0.05


@pytest.mark.parametrize('background', sorted(BACKGROUNDS))
def test_hands_stand_out_from_every_background(background):
    spec = dataclasses.replace(SMALL, background=background)
    picture = render_scene(spec, 0.3, with_depth=True)
    is_hand = picture.depth_m < 0.5
    assert 0.05 < is_hand.mean() < 0.5
    hand, rest = (picture.image_bgr[mask].astype(float) for mask in (is_hand, ~is_hand))
    assert np.abs(hand.mean(0) - rest.mean(0)).max() > 12  # 8-bit steps in some channel


def test_skin_tones_are_ordered_from_light_to_dark():
    levels = []
    for tone in SKIN_TONES:
        picture = render_scene(dataclasses.replace(SMALL, skin_tone=tone), 0.0, with_depth=True)
        levels.append(picture.image_bgr[picture.depth_m < 0.45].mean())
    assert levels == sorted(levels, reverse=True)


def test_truth_in_pixels_is_the_projection_of_truth_in_metres(small_scene):
    for hand in small_scene.truth(1.1):
        expected = project(small_scene.camera, hand.keypoints_3d)
        np.testing.assert_allclose(hand.keypoints_2d, expected, atol=1e-9)


@pytest.mark.parametrize('time_s', [0.0, 1.4, 3.3])
def test_true_keypoints_lie_inside_the_drawn_hands(clip_scene, time_s):
    """Seen from the camera, skin covers every joint, by a hand's thickness at most."""
    picture = clip_scene.render(time_s, with_depth=True)
    for hand in picture.hands:
        column, row = np.rint(hand.keypoints_2d).astype(int).T
        # Finger tips lie on the outline: the nearest of 3 x 3 pixels is meant.
        nearest = cv2.erode(picture.depth_m, np.ones((3, 3), np.uint8))[row, column]
        behind = hand.keypoints_3d[:, 2] - nearest
        assert behind.min() > -0.003  # m; a pixel at a grazing surface
        assert behind.max() < 0.12  # m; tips that pinch behind the palm


def test_image_size_changes_pixels_but_not_metres(small_scene):
    small, large = small_scene, Scene(dataclasses.replace(SMALL, width=384, height=288))
    for a, b in zip(small.truth(0.5), large.truth(0.5), strict=True):
        np.testing.assert_allclose(a.keypoints_3d, b.keypoints_3d, atol=1e-12)
        np.testing.assert_allclose(
            (a.keypoints_2d + 0.5) * 2, b.keypoints_2d + 0.5, atol=1e-9
        )  # pixel edges scale


def test_wide_image_of_a_benchmark_is_rendered_at_its_size():
    spec = SceneSpec(width=1920, height=1080, supersampling=1)
    picture = render_scene(spec, 0.0)
    assert picture.image_bgr.shape == (1080, 1920, 3)
    assert all(
        (hand.keypoints_2d > 0).all() and (hand.keypoints_2d < (1920, 1080)).all()
        for hand in picture.hands
    )


def test_depth_image_shows_table_and_hands(small_scene):
    depth = small_scene.render(0.0, with_depth=True).depth_m
    assert depth.dtype == np.float32 and depth.shape == (144, 192)
    assert np.isfinite(depth).all()
    # A camera 0.62 m over a table it looks down on by 52 degrees sees it 0.79 m away in the
    # middle of its image: 0.62 / sin 52.
    assert depth[72, 96] == pytest.approx(0.787, abs=0.01)  # m; half a pixel off the middle
    assert (np.diff(depth[:, 96]) < 0).all()  # nearer towards the person


def test_motion_ends_where_it_begins(clip_scene):
    pairs = zip(clip_scene.truth(0.0), clip_scene.truth(CLIP_SPEC.duration_s), strict=True)
    for start, end in pairs:
        np.testing.assert_allclose(start.keypoints_3d, end.keypoints_3d, atol=1e-6)


def test_motion_shows_every_pose_and_stays_where_hands_work(clip_truth):
    script = SCRIPTS[CLIP_SPEC.script]
    assert set(POSE_SHAPES) == {step.pose for step in (*script.right, *script.left)}
    joints = np.array([[hand.keypoints_3d for hand in frame] for frame in clip_truth.frames])
    pixels = np.array([[hand.keypoints_2d for hand in frame] for frame in clip_truth.frames])
    assert joints[..., 2].min() > 0.30 and joints[..., 2].max() < 0.65  # m
    assert np.ptp(joints[:, :, 0, 2], axis=0).min() > 0.1  # m; both hands come and go
    inside = ((pixels > 0) & (pixels < (CLIP_SPEC.width, CLIP_SPEC.height))).all(-1)
    assert inside.all()
    # Finger tips reach 0.8 m/s while a fist opens; a jump between images would be far above.
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * CLIP_RATE_HZ
    assert speed.max() < 1.0


def test_right_hand_is_right_and_shows_its_back(clip_truth):
    for frame in clip_truth.frames:
        right, left = frame
        assert right.is_right and not left.is_right
        for hand, side in ((right, 1), (left, -1)):
            wrist, index, little = hand.keypoints_2d[[0, 5, 17]]
            turn = np.cross([*(index - wrist), 0.0], [*(little - wrist), 0.0])[2]
            # From the back, a right hand's index finger is left of its little finger.
            assert turn * side > 0


@pytest.mark.parametrize(
    ('pose', 'pinched', 'grasped'),
    [('open', False, False), ('pinch', True, False), ('fist', None, True)],
)
def test_poses_are_what_their_names_say(pose, pinched, grasped, small_scene):
    steps = SCRIPTS[SMALL.script].right
    number = [step.pose for step in steps].index(pose) + 1  # it is reached where its step ends
    right, _ = small_scene.truth(SMALL.duration_s * number / len(steps))
    _, pinch, grasp = pinch_and_grasp(right.keypoints_3d)
    if pinched is not None:
        assert (pinch > 0.9) == pinched and (pinch < 0.5) == (not pinched)
    assert (grasp > 0.8) == grasped and (grasp < 0.5) == (not grasped)


def test_forearm_starts_in_the_last_ring_of_the_hand_and_leaves_no_hole():
    arrays = load_default_arrays()
    arm = build_arm(arrays.v_template, arrays.faces)
    skin = arm.faces[: arm.first_sleeve_face]
    edges = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # all faces turn the same way round
    shared = {tuple(edge) for edge in edges.tolist()}
    border = [edge for edge in shared if edge[::-1] not in shared]
    assert len(border) == len(arm.ring)  # only the far end of the arm is open
    assert arm.rest[np.array(border)][..., 0].min() > 0.35  # m from the middle knuckle


def test_forearm_leads_to_the_elbow_on_either_side():
    arrays = load_default_arrays()
    arm = build_arm(arrays.v_template, arrays.faces)
    hand = arrays.v_template + (0.0, 0.0, 0.5)
    for elbow in (np.array([0.4, 0.15, 0.5]), np.array([0.4, -0.15, 0.5])):
        vertices = pose_arm(arm, hand, np.array([1.0, 0.0, 0.0]), elbow)
        end = vertices[-len(arm.ring) :].mean(0)
        start = hand[arm.ring].mean(0)
        along = (elbow - start) / np.linalg.norm(elbow - start)
        off = (end - start) - along * ((end - start) @ along)
        assert np.linalg.norm(off) < 0.02  # m; the bend at the wrist shifts the line a little
        np.testing.assert_array_equal(vertices[: len(hand)], hand)


def test_mesh_without_a_closed_wrist_is_refused():
    arrays = load_default_arrays()
    arm = build_arm(arrays.v_template, arrays.faces)
    open_hand = arm.faces[: arm.first_sleeve_face]
    open_hand = open_hand[(open_hand < arm.num_hand_vertices).all(1)]
    with pytest.raises(WeightsError, match='no flat end'):
        build_arm(arrays.v_template, open_hand)


def test_motion_of_both_sides_is_mirrored_in_the_elbows():
    rng = np.random.default_rng(0)
    right, left = (
        draw_motion(rng, SCRIPTS['desk'].right, is_right=is_right) for is_right in (True, False)
    )
    assert right.elbow[0] > 0 > left.elbow[0]
    for motion in (right, left):
        rotation = hand_at(motion, 1.5, duration_s=5.0).camera_from_hand
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'background': 'moon'}, 'background must be one of.*desk'),
        ({'skin_tone': 'green'}, 'skin_tone must be one of'),
        ({'duration_s': 0.0}, 'duration_s above 0'),
        ({'supersampling': 0}, 'supersampling from 1'),
    ],
)
def test_spec_that_cannot_be_rendered_is_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        SceneSpec(**wrong)


def test_committed_clip_shows_what_its_seed_renders(clip_scene, clip_truth):
    assert clip_truth.seed == CLIP_SPEC.seed and clip_truth.rate_hz == CLIP_RATE_HZ
    assert clip_truth.camera == CLIP_SPEC.camera
    assert len(clip_truth.frames) == num_clip_frames(CLIP_SPEC, CLIP_RATE_HZ)
    video = cv2.VideoCapture(str(CLIP_VIDEO))
    images = []
    while (read := video.read())[0]:
        images.append(read[1])
    video.release()
    assert len(images) == len(clip_truth.frames)
    for number in (0, 61, 149):
        rendered = clip_scene.render(clip_times()[number]).image_bgr
        # Compression costs 37.5 dB here; the image six later agrees to 31 dB only.
        assert psnr(rendered, images[number]) > 35
        assert psnr(rendered, images[(number + 6) % 150]) < 33


def test_committed_truth_is_what_its_seed_gives(clip_scene, clip_truth):
    for time_s, frame in zip(clip_times(), clip_truth.frames, strict=True):
        for given, made in zip(frame, clip_scene.truth(time_s), strict=True):
            assert given.is_right == made.is_right
            assert np.abs(given.keypoints_3d - made.keypoints_3d).max() < FILE_STEP_M
            assert np.abs(given.keypoints_2d - made.keypoints_2d).max() < FILE_STEP_PX


def test_committed_files_stay_small():
    assert CLIP_VIDEO.stat().st_size < 1e6 and CLIP_TRUTH.stat().st_size < 4e5  # bytes


def test_written_clip_can_be_read_back(tmp_path):
    spec = dataclasses.replace(SMALL, duration_s=0.2)
    video, truth = tmp_path / 'clip.mp4', tmp_path / 'clip.json'
    assert list(write_clip(spec, video, truth, rate_hz=15.0)) == [1, 2, 3]
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(15.0)
    capture.release()
    loaded = load_clip_truth(truth)
    assert loaded.camera == spec.camera
    expected = Scene(spec).truth(1 / 15.0)
    for given, made in zip(loaded.frames[1], expected, strict=True):
        assert np.abs(given.keypoints_3d - made.keypoints_3d).max() < FILE_STEP_M


def test_a_clip_rendered_by_two_processes_is_the_same(tmp_path):
    spec = dataclasses.replace(SMALL, duration_s=0.2)
    files = []
    for num_processes in (1, 2):
        video, truth = (tmp_path / f'{num_processes}.{kind}' for kind in ('mp4', 'json'))
        done = list(write_clip(spec, video, truth, rate_hz=15.0, num_processes=num_processes))
        assert done == [1, 2, 3]
        files.append((video.read_bytes(), truth.read_bytes()))
    assert files[0] == files[1]


def test_clip_that_cannot_be_written_is_told(tmp_path):
    nowhere = tmp_path / 'missing' / 'clip.mp4'
    with pytest.raises(SourceError, match='cannot write'):
        list(write_clip(SMALL, nowhere, tmp_path / 'clip.json'))


def test_saving_a_truth_again_gives_the_same_file(tmp_path, clip_truth):
    save_clip_truth(clip_truth, tmp_path / 'again.json')
    assert (tmp_path / 'again.json').read_bytes() == CLIP_TRUTH.read_bytes()


def test_missing_truth_is_told(tmp_path):
    with pytest.raises(SourceError, match='cannot be read'):
        load_clip_truth(tmp_path / 'none.json')


@pytest.mark.parametrize(
    'damage',
    [
        lambda content: content.pop('K'),
        lambda content: content['frames'][0][0].pop('keypoints_2d'),
        lambda content: content['frames'][0][0]['keypoints_3d'].pop(),
        lambda content: content.update(K=[1, 2, 3]),
    ],
)
def test_damaged_truth_is_refused_with_its_name(tmp_path, damage):
    content = json.loads(CLIP_TRUTH.read_text())
    damage(content)
    path = tmp_path / 'damaged.json'
    path.write_text(json.dumps(content))
    with pytest.raises(SourceError, match='damaged.json is not the truth'):
        load_clip_truth(path)


def test_text_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / 'text.json'
    path.write_text('hello')
    with pytest.raises(SourceError, match='not the truth'):
        load_clip_truth(path)
