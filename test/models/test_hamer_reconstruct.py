"""HaMeR through the pipeline: boxes in, metric hands out, with a tiny random network."""

import dataclasses

import cv2
import hamer_files
import numpy as np
import pytest
import torch

from hand_perception import geometry
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Box, Camera, DepthSource, Frame
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.hamer.cameras import keypoints_in_image, official_camera
from hand_perception.models.hamer.crop_geometry import square_boxes
from hand_perception.models.hamer.crops import cut_crops
from hand_perception.pipeline.hamer_reconstruct import HamerReconstructor
from hand_perception.pipeline.lift import project
from hand_perception.pipeline.stream import HandPipeline

# The principal point is the middle of the pixels, so that a mirrored image has the same camera.
CAMERA = Camera(width=640, height=480, fx=520.0, fy=505.0, cx=319.5, cy=239.5)
RIGHT = Box(xyxy=(380.0, 150.0, 520.0, 330.0), is_right=True, score=0.9)
LEFT = Box(xyxy=(90.0, 200.0, 240.0, 340.0), is_right=False, score=0.8)


@pytest.fixture(scope='module')
def settings(tmp_path_factory):
    folder = hamer_files.write_flat(tmp_path_factory.mktemp('hamer'))
    return PipelineSettings(
        backend='hamer', hamer_dir=str(folder), precision='fp32', device='cpu', hold_shape_after=0
    )


@pytest.fixture(scope='module')
def pipeline(settings):
    return HandPipeline.load(settings)


@pytest.fixture
def with_settings(pipeline):
    """Change live settings for one test."""
    before = pipeline.settings
    yield lambda **values: pipeline.replace_settings(pipeline.settings.replace(**values))
    pipeline.replace_settings(before)


def picture():
    """Something with structure at all scales: the network must see a difference."""
    rng = np.random.default_rng(5)
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.float32)
    for cells in (4, 16, 64):
        noise = rng.uniform(0, 1, (cells * 3 // 4, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (CAMERA.width, CAMERA.height))
    return (image / 3 * 255).astype(np.uint8)


def frame(boxes, *, image=None, stamp_s=0.0, camera=CAMERA, depth_m=None, is_rgb=True):
    return Frame(
        image=picture() if image is None else image,
        is_rgb=is_rgb,
        stamp_ns=round(stamp_s * 1e9),
        frame_id='camera',
        camera=camera,
        boxes=None if boxes is None else tuple(boxes),
        depth_m=depth_m,
    )


def run(pipeline, *frames):
    """Hands as HaMeR reconstructs them, before they are smoothed."""
    state = pipeline.new_stream()
    results = [pipeline.step(state, item) for item in frames]
    return [r.hands if r.raw_hands is None else r.raw_hands for r in results]


def test_the_pipeline_says_what_it_runs(pipeline):
    assert pipeline.backend_name == 'hamer'
    assert pipeline.hand_model_name == 'mano'
    assert pipeline.num_vertices == 778
    assert 'fp32' in pipeline.device_name


def test_given_boxes_give_one_hand_each_left_first(pipeline):
    (hands,) = run(pipeline, frame([RIGHT, LEFT]))
    assert [hand.is_right for hand in hands] == [False, True]
    assert [hand.confidence for hand in hands] == pytest.approx([0.8, 0.9])
    assert all(hand.vertices.shape == (778, 3) for hand in hands)
    assert all(hand.depth_source == DepthSource.MONO for hand in hands)


def test_published_pixels_are_the_projection_of_the_published_points(pipeline):
    distorted = dataclasses.replace(
        CAMERA, distortion_model='plumb_bob', distortion=(-0.2, 0.05, 0.0, 0.0, 0.0)
    )
    for camera in (CAMERA, distorted):
        for hand in run(pipeline, frame([RIGHT, LEFT], camera=camera))[0]:
            seen = project(camera, hand.keypoints_3d)
            np.testing.assert_allclose(hand.keypoints_2d, seen, atol=0.01)  # px: float32


def test_hands_lie_where_the_network_sees_them_in_the_image(pipeline):
    (hands,) = run(pipeline, frame([RIGHT, LEFT]))
    crops = cut_crops(picture(), [LEFT.xyxy, RIGHT.xyxy], [False, True], is_rgb=True)
    result = pipeline._reconstructor._engine.run(crops.images_rgb)
    keypoints_2d = result.pred_keypoints_2d * [[[-1, 1]], [[1, 1]]]  # the left one was mirrored
    wanted = keypoints_in_image(keypoints_2d, crops.centers, crops.sizes)
    for hand, pixels in zip(hands, wanted, strict=True):
        # A weak-perspective view and a true camera agree up to the hand's depth over its distance.
        size = np.ptp(pixels, axis=0).max()
        assert np.abs(hand.keypoints_2d - pixels).mean() < 0.1 * size


@pytest.mark.parametrize('box', [RIGHT, LEFT], ids=['right', 'left'])
def test_published_parameters_give_the_published_mesh_again(pipeline, box):
    ((hand,),) = run(pipeline, frame([box]))
    p = hand.parameters
    orient, pose, transl = p.global_orient, p.hand_pose.reshape(15, 3), p.transl
    if not box.is_right:
        orient, pose = map(geometry.mirror_axis_angle, (orient, pose))
        transl = geometry.mirror_points(transl)
    mesh = pipeline._reconstructor.model(
        global_orient=torch.from_numpy(orient)[None].float(),
        hand_pose=torch.from_numpy(pose.reshape(1, 45)).float(),
        betas=torch.from_numpy(p.betas)[None].float(),
        transl=torch.from_numpy(transl)[None].float(),
    )
    vertices = mesh.vertices[0].numpy()
    vertices = vertices if box.is_right else geometry.mirror_points(vertices)
    np.testing.assert_allclose(hand.vertices, vertices, atol=2e-5)  # m: float32 and axis-angle


def test_a_mirrored_image_gives_the_mirrored_hand(pipeline):
    x_min, y_min, x_max, y_max = RIGHT.xyxy
    last = CAMERA.width - 1
    mirrored = Box(xyxy=(last - x_max, y_min, last - x_min, y_max), is_right=False)
    ((hand,),) = run(pipeline, frame([RIGHT]))
    flipped = np.ascontiguousarray(picture()[:, ::-1])
    ((other,),) = run(pipeline, frame([mirrored], image=flipped))
    np.testing.assert_allclose(
        other.keypoints_3d, geometry.mirror_points(hand.keypoints_3d), atol=1e-5
    )
    np.testing.assert_allclose(other.vertices, geometry.mirror_points(hand.vertices), atol=1e-5)
    np.testing.assert_array_equal(other.hamer.pred_cam, hand.hamer.pred_cam * [1, -1, 1])


def test_hands_together_equal_hands_alone(pipeline):
    (together,) = run(pipeline, frame([RIGHT, LEFT]))
    ((right,),) = run(pipeline, frame([RIGHT]))
    np.testing.assert_allclose(together[1].vertices, right.vertices, atol=5e-6)  # m: noise floor


def test_channel_order_of_the_image_does_not_matter(pipeline):
    ((rgb,),) = run(pipeline, frame([RIGHT]))
    ((bgr,),) = run(pipeline, frame([RIGHT], image=picture()[..., ::-1].copy(), is_rgb=False))
    np.testing.assert_array_equal(rgb.vertices, bgr.vertices)


def test_the_official_camera_is_that_of_the_official_code(settings):
    official = HandPipeline.load(settings.replace(official_camera=True))
    ((hand,),) = run(official, frame([LEFT]))
    center, size = square_boxes([LEFT.xyxy])
    cam_t, focal = official_camera(hand.hamer.pred_cam[None], center, size, (640, 480))
    np.testing.assert_array_equal(hand.hamer.cam_t_full, cam_t[0])
    assert hand.hamer.focal_full_px == focal[0] == 12500
    np.testing.assert_allclose(hand.parameters.transl, cam_t[0], rtol=1e-6)
    assert hand.depth_source == DepthSource.ASSUMED_CAMERA


def test_hands_of_the_official_camera_are_not_smoothed(settings):
    official = HandPipeline.load(settings.replace(official_camera=True))
    state = official.new_stream()
    moved = dataclasses.replace(LEFT, xyxy=tuple(v + 12.0 for v in LEFT.xyxy))
    for k, box in enumerate((LEFT, moved, LEFT, moved)):
        ((alone,),) = run(official, frame([box]))
        (hand,) = official.step(state, frame([box], stamp_s=0.033 * k)).hands
        np.testing.assert_array_equal(hand.keypoints_3d, alone.keypoints_3d)


def test_boxes_are_followed_by_their_overlap(pipeline):
    moved = dataclasses.replace(RIGHT, xyxy=tuple(v + 12.0 for v in RIGHT.xyxy))
    far = dataclasses.replace(RIGHT, xyxy=(20.0, 20.0, 90.0, 110.0))
    first, second, third = run(
        pipeline,
        frame([RIGHT, LEFT], stamp_s=0.0),
        frame([moved, LEFT], stamp_s=0.033),
        frame([far, LEFT], stamp_s=0.066),
    )
    ids = [[hand.track_id for hand in hands] for hands in (first, second, third)]
    assert ids[0] == ids[1] == [2, 1]
    assert ids[2] == [2, 3]


def test_no_boxes_are_no_hands(pipeline):
    assert run(pipeline, frame([])) == [()]


def test_a_shape_is_held_after_confident_images(pipeline, with_settings):
    with_settings(hold_shape_after=2)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(4)]
    results = run(
        pipeline, *(frame([RIGHT], image=im, stamp_s=i / 30) for i, im in enumerate(images))
    )
    betas = [hands[0].parameters.betas for hands in results]
    assert not np.array_equal(betas[0], betas[1])
    np.testing.assert_array_equal(betas[1], betas[2])
    np.testing.assert_array_equal(betas[1], betas[3])


def test_a_larger_hand_scale_puts_the_hand_farther_away(pipeline, with_settings):
    ((mean,),) = run(pipeline, frame([RIGHT]))
    with_settings(hand_scale=1.1)
    ((larger,),) = run(pipeline, frame([RIGHT]))
    ratio = larger.keypoints_3d[:, 2].mean() / mean.keypoints_3d[:, 2].mean()
    assert ratio == pytest.approx(1.1, abs=0.05)


def test_a_depth_image_moves_the_hand_along_its_ray(pipeline):
    inside = Box(xyxy=(290.0, 210.0, 350.0, 270.0), is_right=True)
    ((hand,),) = run(pipeline, frame([inside]))
    columns, rows = np.rint(project(CAMERA, hand.vertices)).astype(int).T
    is_inside = (columns >= 0) & (columns < 640) & (rows >= 0) & (rows < 480)
    order = np.argsort(-hand.vertices[:, 2])
    order = order[is_inside[order]]
    assert len(order) > 100
    depth = np.full((480, 640), np.nan, np.float32)
    depth[rows[order], columns[order]] = 1.2 * hand.vertices[order, 2]
    ((measured,),) = run(pipeline, frame([inside], depth_m=depth))
    assert measured.depth_source == DepthSource.SENSOR
    ratio = measured.keypoints_3d[:, 2].mean() / hand.keypoints_3d[:, 2].mean()
    # The nearest vertex of a pixel stands for all of them: a few percent nearer.
    assert ratio == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize(
    'box',
    [
        (700.0, 10.0, 800.0, 90.0),
        (float('nan'), 10.0, 50.0, 60.0),
        (10.0, 10.0, 10.0, 60.0),
        (-9000.0, -9000.0, 9000.0, 9000.0),
    ],
    ids=['outside', 'not a number', 'empty', 'gigantic'],
)
def test_a_box_without_a_hand_is_left_out_and_the_others_are_not(pipeline, box):
    wrong = Box(xyxy=box, is_right=False)
    (hands,) = run(pipeline, frame([RIGHT, wrong]))
    assert [hand.is_right for hand in hands] == [True]


def test_more_hands_than_the_largest_bucket_are_all_reconstructed(pipeline):
    boxes = [
        Box(xyxy=(20.0 + 60 * i, 100.0, 70.0 + 60 * i, 160.0), is_right=bool(i % 2))
        for i in range(9)
    ]
    (hands,) = run(pipeline, frame(boxes))
    assert len(hands) == 9


def test_boxes_for_the_landmark_back_end_are_refused():
    landmarks = HandPipeline.load(PipelineSettings())
    with pytest.raises(ConfigError, match="set backend to 'hamer'"):
        landmarks.step(landmarks.new_stream(), frame([RIGHT]))


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r'hamer\.ckpt'):
        HamerReconstructor.load(PipelineSettings(backend='hamer', hamer_dir=str(tmp_path)))
