"""Images for HTT: official pixels, both kernels, other aspect ratios, positions, cameras."""

import cv2
import htt_reference as official
import numpy as np
import pytest

from hand_perception.datatypes import Camera
from hand_perception.errors import ConfigError, ImageError
from hand_perception.models.htt.preprocess import KERNELS, fit, network_image

SIZES = ((1920, 1080), (1280, 720), (640, 480), (320, 180), (1366, 768), (300, 1000), (1000, 300))


def image_of(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def averaging_matrix(pixels_in, pixels_out):
    """Weights of Pillow's BILINEAR: triangles as wide as the pixels that fall together."""
    scale = pixels_in / pixels_out
    support = max(scale, 1.0)
    matrix = np.zeros((pixels_out, pixels_in))
    for i in range(pixels_out):
        centre = (i + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), pixels_in)
        distances = np.abs(np.arange(low, high) - centre + 0.5) / support
        weights = np.clip(1 - distances, 0, None)
        matrix[i, low:high] = weights / weights.sum()
    return matrix


def covered(view, size, result):
    """The part of the network image that shows the image."""
    width, height = size
    return result[view.pad_y : view.pad_y + height, view.pad_x : view.pad_x + width]


@pytest.mark.parametrize('kernel', KERNELS)
def test_official_test_image_passes_bit_for_bit(kernel):
    with np.load(official.DATA / 'htt_preprocess.npz') as stored:
        image, levels = (
            np.ascontiguousarray(stored[name].transpose(1, 2, 0))
            for name in ('image', 'test_levels')
        )
        K, wanted_K = stored['camera'], stored['test_camera']
    view, result = network_image(image, is_rgb=True, kernel=kernel)
    np.testing.assert_array_equal(result, levels)
    assert np.shares_memory(result, image)
    camera = Camera(
        width=480, height=270, fx=K[0, 0], fy=K[1, 1], cx=K[0, 2], cy=K[1, 2]
    )  # fmt: skip
    np.testing.assert_array_equal(view.K_of(camera), wanted_K)


@pytest.mark.parametrize('size', SIZES)
def test_antialiased_kernel_is_that_of_pillow(size):
    image = image_of(*size)
    view, result = network_image(image, is_rgb=True, kernel='antialias')
    width, height = fit(*size)[1]
    across = averaging_matrix(size[0], width)
    down = averaging_matrix(size[1], height)
    rows = np.tensordot(image.astype(np.float64), across, (1, 1))  # (H, 3, width)
    columns = np.tensordot(down, np.floor(rows + 0.5), 1)  # (height, 3, width)
    expected = np.floor(columns + 0.5).transpose(0, 2, 1)
    difference = np.abs(covered(view, (width, height), result) - expected)
    # Pillow and torch calculate in whole numbers: a half may fall to the other side, in each of
    # the two passes.
    assert difference.max() <= (1 if width < size[0] else 2)
    assert difference.mean() < 0.15


@pytest.mark.parametrize('size', SIZES)
def test_linear_kernel_is_that_of_opencv(size):
    image = image_of(*size)
    view, result = network_image(image, is_rgb=True, kernel='linear')
    resized = fit(*size)[1]
    np.testing.assert_array_equal(covered(view, resized, result), cv2.resize(image, resized))


def test_kernels_differ_visibly_at_a_quarter_of_the_size():
    image = image_of(1920, 1080)
    averaged, picked = (
        network_image(image, is_rgb=True, kernel=kernel)[1].astype(float) for kernel in KERNELS
    )
    assert np.abs(averaged - picked).mean() > 10


@pytest.mark.parametrize(
    ('size', 'shown'),
    [
        ((640, 480), (60, 0, 420, 270)),  # 4:3
        ((1920, 1200), (24, 0, 456, 270)),  # 16:10
        ((1000, 300), (0, 63, 480, 207)),
        ((300, 1000), (199, 0, 280, 270)),
        ((1, 1), (105, 0, 375, 270)),
        ((4000, 1), (0, 134, 480, 135)),
    ],
)
@pytest.mark.parametrize('kernel', KERNELS)
def test_other_aspect_ratios_lie_in_the_middle_and_the_rest_is_black(size, shown, kernel):
    white = np.full((size[1], size[0], 3), 255, np.uint8)
    _, result = network_image(white, is_rgb=True, kernel=kernel)
    x_min, y_min, x_max, y_max = shown
    expected = np.zeros((270, 480, 3), np.uint8)
    expected[y_min:y_max, x_min:x_max] = 255
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize('size', [*SIZES, (480, 270), (1440, 1080), (7, 3000)])
def test_positions_return_from_the_network_image(size):
    view, _ = fit(*size)
    points = np.random.default_rng(1).uniform(-0.2, 1.2, (50, 2)) * size
    returned = view.to_source(view.to_network(points))
    np.testing.assert_allclose(returned, points, rtol=0, atol=1e-9)  # px


def test_position_of_a_mark_is_where_it_is_drawn():
    image = np.zeros((480, 640, 3), np.uint8)
    image[312:328, 400:416] = 255
    view, result = network_image(image, is_rgb=True, kernel='antialias')
    rows, columns = np.nonzero(result[..., 0] > 127)
    # Pixels are squares around whole numbers; scaling from pixel 0 to pixel 0, as in training,
    # is off by less than half a pixel.
    centre = view.to_network(np.array([407.5, 319.5]))
    assert np.abs(centre - (columns.mean(), rows.mean())).max() < 0.5


@pytest.mark.parametrize('size', [*SIZES, (480, 270)])
def test_point_in_metres_falls_on_the_same_spot_through_both_cameras(size):
    camera = Camera(width=size[0], height=size[1], fx=700.0, fy=650.0, cx=301.5, cy=222.25)
    view, _ = fit(*size)
    K = view.K_of(camera)
    assert K.dtype == np.float32
    point = np.array([0.05, -0.03, 0.6])
    in_source, in_network = (m @ point for m in (camera.K, K.astype(np.float64)))
    np.testing.assert_allclose(
        view.to_source(in_network[:2] / in_network[2]),
        in_source[:2] / in_source[2],
        rtol=0,
        atol=1e-3,  # px of the source; K is float32
    )


def test_intrinsics_of_the_published_cameras_come_out():
    fpha = Camera(width=1920, height=1080, fx=1395.749023, fy=1395.749268, cx=935.732544,
                  cy=540.681030)  # fmt: skip
    h2o = Camera(width=1280, height=720, fx=636.6593017578125, fy=636.251953125,
                 cx=635.283881879317, cy=366.8740353496978)  # fmt: skip
    for camera, wanted in (
        (fpha, (348.93725575, 348.937317, 233.933136, 135.1702575)),
        (h2o, (238.7472, 238.5945, 238.2315, 137.5778)),
    ):
        K = fit(camera.width, camera.height)[0].K_of(camera)
        got = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize('size', [(480, 270), (640, 480)])
@pytest.mark.parametrize('kernel', KERNELS)
def test_channel_order_and_memory_of_the_source_do_not_matter(size, kernel):
    rgb = image_of(*size)
    wanted = network_image(rgb, is_rgb=True, kernel=kernel)[1]
    padded = np.zeros((size[1], size[0] + 5, 3), np.uint8)
    padded[:, : size[0]] = rgb
    locked = rgb.copy()
    locked.flags.writeable = False
    sources = [
        (padded[:, : size[0]], True), (locked, True), (rgb[..., ::-1], False),
        (np.ascontiguousarray(rgb[..., ::-1]), False), (rgb[::-1].copy()[::-1], True),
    ]  # fmt: skip
    for source, is_rgb in sources:
        before = source.copy()
        got = network_image(source, is_rgb=is_rgb, kernel=kernel)[1]
        np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(source, before)
        assert got.flags.c_contiguous and got.flags.writeable


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((270, 480), np.uint8),
        np.zeros((270, 480, 1), np.uint8),
        np.zeros((270, 480, 4), np.uint8),
        np.zeros((270, 480, 3), np.float32),
        np.zeros((270, 480, 3), np.uint16),
        np.zeros((0, 480, 3), np.uint8),
        np.zeros((270, 0, 3), np.uint8),
    ],
    ids=['grey', 'one channel', 'four channels', 'float', '16 bit', 'no rows', 'no columns'],
)
def test_what_is_no_colour_image_of_bytes_is_refused(image):
    with pytest.raises(ImageError, match=r'needs a colour image, uint8 of shape .*, got'):
        network_image(image, is_rgb=True, kernel='linear')


def test_kernel_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="antialias or linear, got 'cubic'"):
        network_image(image_of(4, 4), is_rgb=True, kernel='cubic')
