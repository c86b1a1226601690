"""Crops for HaMeR against reference numbers of the official code and its arithmetic in float64."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hand_perception.models.hamer.crop_geometry import (
    blur_kernel,
    crop_from_view,
    is_smoothed,
    square_boxes,
    square_in_view,
)
from hand_perception.models.hamer.crops import cut_crops
from hand_perception.models.hamer.device_crops import plan_crops, sample_crops

REFERENCE = Path(__file__).parents[1] / 'data' / 'hamer_crops.npz'
MEAN, STD = 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])
MAJOR = int(cv2.__version__.split('.')[0])

#: Input units, where numbers reach 2.6: two and a half steps of float32, of which the input itself
#: takes one; float64 sums leave one and a half.
CLOSE, CLOSER = 6e-7, 4e-7
#: Grey levels. OpenCV 5 samples 8 bits at exact positions, OpenCV 4 at 1/32 pixel.
ACROSS_MAJORS = 2
#: Grey levels, float32 sums of 255.
SUM_ERROR, TORCH_SUM_ERROR = 4e-5, 1e-4

SMALL, SMALL_LEFT, BLURRED, BLURRED_LEFT, OUTSIDE = range(5)
BOXES = np.array(
    [[300, 200, 380, 290], [60, 50, 200, 150], [100, 30, 500, 440], [-80, 100, 420, 700],
     [-90, 300, 60, 470]], np.float32,
)  # fmt: skip
IS_RIGHT = np.array([True, False, True, False, False])


@pytest.fixture(scope='module')
def reference():
    with np.load(REFERENCE) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope='module')
def reference_image(reference):
    return cv2.imdecode(reference['image_png'], cv2.IMREAD_COLOR)


@pytest.fixture(scope='module')
def noise():
    return np.random.default_rng(3).integers(0, 256, (480, 640, 3), np.uint8)


def to_input(images_rgb):
    """Normalise (B, 256, 256, 3) as officially: (B, 3, 256, 256) float32."""
    return ((images_rgb - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)


def published_float_crop(image, box, *, is_right):
    """Blur the whole image in float64 and sample it, as published: (256, 256, 3)."""
    centers, sizes = square_boxes(box)
    kernel = blur_kernel(float(sizes[0]))
    radius = len(kernel) // 2
    padded = np.pad(image.astype(np.float64), ((radius, radius), (radius, radius), (0, 0)), 'edge')
    height, width = image.shape[:2]
    rows = sum(weight * padded[k : k + height] for k, weight in enumerate(kernel))
    blurred = sum(weight * rows[:, k : k + width] for k, weight in enumerate(kernel))
    view = blurred if is_right else np.ascontiguousarray(blurred[:, ::-1])
    square = square_in_view(centers[0], sizes[0], is_right=is_right, image_width=width)
    return cv2.warpAffine(view, crop_from_view(square), (256, 256))


def published_8bit_crop(image, box, *, is_right):
    """Mirror and sample the whole image with 8 bits, as published: (256, 256, 3)."""
    centers, sizes = square_boxes(box)
    view = image if is_right else np.ascontiguousarray(image[:, ::-1])
    square = square_in_view(centers[0], sizes[0], is_right=is_right, image_width=image.shape[1])
    return cv2.warpAffine(view, crop_from_view(square), (256, 256))


def test_squares_are_the_official_ones_to_the_last_bit(reference):
    centers, sizes = square_boxes(reference['boxes'])
    np.testing.assert_array_equal(centers, reference['crop/box_center'])
    np.testing.assert_array_equal(sizes, reference['crop/box_size'])


def test_rescale_factor_of_the_dataset_class_gives_its_squares(reference):
    _, sizes = square_boxes(reference['boxes'][:2], rescale_factor=2.5)
    np.testing.assert_array_equal(sizes, reference['crop_r25/box_size'])


def test_boxes_grow_to_three_by_four(reference):
    wide = np.zeros((len(reference['unit/aspect_in']), 4), np.float32)
    wide[:, 2:] = reference['unit/aspect_in']
    _, sizes = square_boxes(wide, rescale_factor=1.0)
    expected = reference['unit/aspect_out'].max(1)
    np.testing.assert_allclose(sizes, expected, rtol=2e-7)  # float32 against float64


def test_affines_are_the_official_ones(reference):
    for center, size, right, expected in zip(
        reference['crop/box_center'], reference['crop/box_size'], reference['right'],
        reference['crop/affine'], strict=True,
    ):  # fmt: skip
        square = square_in_view(center, size, is_right=right > 0, image_width=1440)
        # pixels; the solver of OpenCV changes its rounding between versions
        np.testing.assert_allclose(crop_from_view(square), expected, atol=1e-9)


def test_small_squares_have_the_official_pixels(reference, reference_image):
    hands = reference['plain_hands']
    crops = cut_crops(
        reference_image, reference['boxes'][hands], reference['right'][hands] > 0, is_rgb=False
    )
    assert crops.images_rgb.dtype == np.uint8
    difference = crops.images_rgb[:, ::2, ::2].astype(int) - reference['plain_grey']
    limit = 0 if reference['opencv_major'] == MAJOR else ACROSS_MAJORS
    assert np.abs(difference).max() <= limit


def test_left_hand_has_the_official_pixels_up_to_its_border(reference, reference_image):
    hand = int(reference['whole_hand'])
    assert not reference['right'][hand]
    crops = cut_crops(reference_image, reference['boxes'][hand], [False], is_rgb=False)
    difference = crops.images_rgb[0].astype(int) - reference['whole_grey']
    limit = 0 if reference['opencv_major'] == MAJOR else ACROSS_MAJORS
    assert np.abs(difference).max() <= limit


@pytest.mark.parametrize(('is_double', 'tolerance'), [(False, CLOSE), (True, CLOSER)])
def test_blurred_square_has_the_official_values(reference, reference_image, is_double, tolerance):
    hand = int(reference['smoothed_hand'])
    crops = cut_crops(
        reference_image, reference['boxes'][hand], [reference['right'][hand] > 0], is_rgb=False,
        is_double=is_double,
    )  # fmt: skip
    assert crops.images_rgb.dtype == np.float32
    ours = to_input(crops.images_rgb)[0, :, ::2, ::2]
    np.testing.assert_allclose(ours, reference['smoothed'], rtol=0, atol=tolerance)


@pytest.mark.parametrize('box', [(100, 30, 500, 440), (-80, 100, 420, 700), (0, 0, 290, 200)])
@pytest.mark.parametrize('is_right', [True, False])
def test_large_squares_equal_the_blur_of_the_whole_image(noise, box, is_right):
    box = np.array(box, np.float32) + 0.31
    crops = cut_crops(noise, box, [is_right], is_rgb=True)
    published = published_float_crop(noise, box, is_right=is_right)
    np.testing.assert_allclose(crops.images_rgb[0], published, rtol=0, atol=SUM_ERROR)


@pytest.mark.parametrize('seed', range(8))
def test_small_squares_equal_sampling_the_whole_image_bit_for_bit(noise, seed):
    rng = np.random.default_rng(seed)
    center, half = rng.uniform((-50, -50), (690, 530)), rng.uniform(3, 100, 2)
    box = np.concatenate([center - half, center + half]).astype(np.float32)
    for is_right in (True, False):
        crops = cut_crops(noise, box, [is_right], is_rgb=True)
        published = published_8bit_crop(noise, box, is_right=is_right)
        np.testing.assert_array_equal(crops.images_rgb[0], published)


def test_blur_begins_as_officially():
    assert not is_smoothed(563.0)
    assert is_smoothed(563.5)
    assert len(blur_kernel(639.9)) == 1  # smoothed, but the radius is still 0
    assert len(blur_kernel(640.0)) == 3
    assert blur_kernel(2000.0).sum() == pytest.approx(1, abs=1e-12)


def test_mirrored_image_gives_the_same_crops_exactly(noise):
    mirrored = np.ascontiguousarray(noise[:, ::-1])
    boxes = np.array([[300, 200, 380, 290], [100, 30, 500, 440]], np.float32)
    mirrored_boxes = boxes.copy()
    mirrored_boxes[:, [0, 2]] = 639 - boxes[:, [2, 0]]
    crops = cut_crops(noise, boxes, [True, False], is_rgb=False)
    others = cut_crops(mirrored, mirrored_boxes, [False, True], is_rgb=False)
    np.testing.assert_array_equal(crops.images_rgb, others.images_rgb)


def test_mirrored_crop_is_mirrored_about_column_128(noise):
    box = np.array([200, 200, 296, 328], np.float32)  # 256 px: one pixel is one pixel
    right = cut_crops(noise, box, [True], is_rgb=True).images_rgb[0]
    left = cut_crops(noise, box, [False], is_rgb=True).images_rgb[0]
    np.testing.assert_array_equal(left[:, 1:], right[:, :0:-1])


def test_padded_rows_and_channel_order_do_not_matter(noise):
    padded = np.zeros((480, 700, 3), np.uint8)
    padded[:, :640] = noise
    rgb_view = padded[:, :640]
    from_rgb = cut_crops(rgb_view, BOXES, IS_RIGHT, is_rgb=True)
    bgr = np.ascontiguousarray(noise[..., ::-1])
    from_bgr = cut_crops(bgr, BOXES, IS_RIGHT, is_rgb=False)
    # float sums are tiled the same way: equal up to the order of channels, thus exactly
    np.testing.assert_array_equal(from_rgb.images_rgb, from_bgr.images_rgb)


def test_image_is_not_written_to(noise):
    before = noise.copy()
    cut_crops(noise, BOXES, IS_RIGHT, is_rgb=False)
    np.testing.assert_array_equal(noise, before)


def test_batch_equals_single(noise):
    batch = cut_crops(noise, BOXES, IS_RIGHT, is_rgb=False).images_rgb
    for i in range(len(BOXES)):
        single = cut_crops(noise, BOXES[i], IS_RIGHT[i : i + 1], is_rgb=False).images_rgb
        np.testing.assert_array_equal(batch[i], single[0])


def test_no_hands_give_no_crops(noise):
    crops = cut_crops(noise, np.zeros((0, 4)), [], is_rgb=False)
    assert crops.images_rgb.shape == (0, 256, 256, 3)
    assert crops.image_size == (640, 480)


@pytest.mark.parametrize('box', [(2000, 100, 2100, 200), (-5000, -5000, -4000, -4000)])
@pytest.mark.parametrize('is_right', [True, False])
def test_square_without_a_pixel_of_the_image_is_black(noise, box, is_right):
    crops = cut_crops(noise, box, [is_right], is_rgb=False)
    assert not crops.images_rgb.any()


def test_torch_crops_equal_the_float_crops_and_round_as_opencv_4(noise):
    crops = cut_crops(noise, BOXES, IS_RIGHT, is_rgb=True, is_double=True)
    plan = plan_crops(BOXES, IS_RIGHT, image_size=(640, 480))
    window = plan.window
    pixels = torch.from_numpy(noise)[window.y_min : window.y_max, window.x_min : window.x_max]
    ours = sample_crops(pixels, plan).numpy()
    large = ~plan.is_rounded.numpy()
    assert large.sum() == 2
    np.testing.assert_allclose(ours[large], crops.images_rgb[large], rtol=0, atol=TORCH_SUM_ERROR)
    difference = np.abs(ours[~large] - crops.images_rgb[~large])
    if MAJOR == 4:
        assert difference.max() == 0
    else:  # positions in 1/32 pixel against exact ones: 255 levels x 1/64 pixel, along both axes
        assert difference.max() <= 8
        assert difference.mean() < 2
    assert (ours[~large] == np.rint(ours[~large])).all()


def test_torch_crops_have_the_official_pixels(reference, reference_image):
    hands = [*reference['plain_hands'], int(reference['smoothed_hand'])]
    boxes, right = reference['boxes'][hands], reference['right'][hands] > 0
    plan = plan_crops(boxes, right, image_size=(1440, 1080))
    window = plan.window
    image = torch.from_numpy(np.ascontiguousarray(reference_image[..., ::-1]))
    pixels = image[window.y_min : window.y_max, window.x_min : window.x_max]
    ours = sample_crops(pixels, plan).numpy()
    plain = ours[:-1, ::2, ::2] - reference['plain_grey']
    assert np.abs(plain).max() <= ACROSS_MAJORS
    smoothed = to_input(ours[-1:])[0, :, ::2, ::2]
    # input units: 1e-4 grey levels over 57 per unit
    np.testing.assert_allclose(smoothed, reference['smoothed'], rtol=0, atol=2e-6)


def test_torch_batch_with_padded_taps_equals_single(noise):
    pixels = torch.from_numpy(noise)
    for i in range(len(BOXES)):
        alone = plan_crops(BOXES[i], IS_RIGHT[i : i + 1], image_size=(640, 480))
        padded = plan_crops(BOXES[i], IS_RIGHT[i : i + 1], image_size=(640, 480), min_taps=24)
        assert padded.row_index.shape == (1, 256, 24)
        x_min, y_min, x_max, y_max = alone.window
        part = pixels[y_min:y_max, x_min:x_max]
        assert torch.equal(sample_crops(part, alone), sample_crops(part, padded))


def test_torch_plan_of_no_hands_gives_no_crops(noise):
    plan = plan_crops(np.zeros((0, 4)), [], image_size=(640, 480))
    assert sample_crops(torch.from_numpy(noise), plan).shape == (0, 256, 256, 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_crops_equal_those_of_the_cpu(noise):
    plan = plan_crops(BOXES, IS_RIGHT, image_size=(640, 480))
    x_min, y_min, x_max, y_max = plan.window
    pixels = torch.from_numpy(noise)[y_min:y_max, x_min:x_max]
    on_cpu = sample_crops(pixels, plan)
    on_gpu = sample_crops(pixels.cuda(), plan.to('cuda')).cpu()
    # grey levels; sums of whole grey levels are exact, the others may be fused differently
    torch.testing.assert_close(on_gpu, on_cpu, rtol=0, atol=TORCH_SUM_ERROR)
