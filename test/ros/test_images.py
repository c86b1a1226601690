"""Image messages of every encoding, and of broken ones."""

import sys
import types

import cv2
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from hand_perception.errors import ImageError
from hand_perception.ros.cdr import CompressedPacket, ImagePacket, read_image
from hand_perception.ros.images import (
    colour_image,
    decode_compressed,
    depth_image,
    packet_from_message,
)

RNG = np.random.default_rng(1)
BGR = RNG.integers(0, 256, (6, 8, 3), np.uint8)


def packet(pixels, encoding, *, width=8, height=6, padding=0, is_bigendian=False, step=None):
    """An image whose rows are followed by ``padding`` bytes of rubbish."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rubbish = RNG.integers(0, 256, (len(rows), padding), np.uint8)
    wire = np.hstack([rows, rubbish])
    step = wire.shape[1] if step is None else step
    return ImagePacket(
        0, 'cam', height, width, encoding, is_bigendian, step, memoryview(wire.tobytes())
    )


def as_bgr(image, is_rgb):
    return image[..., ::-1] if is_rgb else image


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'pixels'),
    [
        ('bgr8', BGR),
        ('8UC3', BGR),
        ('rgb8', BGR[..., ::-1]),
        ('bgra8', np.dstack([BGR, BGR[..., 0]])),
        ('8UC4', np.dstack([BGR, BGR[..., 0]])),
        ('rgba8', np.dstack([BGR[..., ::-1], BGR[..., 0]])),
    ],
)
def test_colour_of_eight_bits_is_read(encoding, pixels, padding):
    np.testing.assert_array_equal(
        as_bgr(*colour_image(packet(pixels, encoding, padding=padding))), BGR
    )


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_is_read_as_equal_channels(encoding):
    image, _ = colour_image(packet(BGR[..., 0], encoding, padding=3))
    np.testing.assert_array_equal(image, np.repeat(BGR[..., :1], 3, -1))


@pytest.mark.parametrize('is_bigendian', [False, True])
@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize(
    ('encoding', 'order'), [('rgb16', [2, 1, 0]), ('bgr16', [0, 1, 2]), ('mono16', [0])]
)
def test_colour_of_sixteen_bits_keeps_its_high_byte(encoding, order, padding, is_bigendian):
    low = RNG.integers(0, 256, BGR.shape, np.uint16)
    pixels = ((BGR.astype(np.uint16) << 8) | low)[..., order]
    pixels = pixels.astype('>u2' if is_bigendian else '<u2')
    image = as_bgr(
        *colour_image(packet(pixels, encoding, padding=padding, is_bigendian=is_bigendian))
    )
    expected = np.repeat(BGR[..., :1], 3, -1) if encoding == 'mono16' else BGR
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_mosaic_gives_its_colour(pattern, bits):
    colour = {'r': 200, 'g': 120, 'b': 40}
    mosaic = np.zeros((6, 8), np.uint8)
    for place, name in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 :: 2] = colour[name]
    pixels = mosaic if bits == 8 else mosaic.astype('<u2') << 8
    image = as_bgr(*colour_image(packet(pixels, f'bayer_{pattern}{bits}', padding=2)))
    # A picture of one colour has that colour everywhere, whatever the interpolation.
    np.testing.assert_array_equal(image, np.broadcast_to([40, 120, 200], image.shape))


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv'])
def test_yuv422_gives_its_colour(encoding, padding):
    luma, blue, red = 128, 90, 180
    pair = [luma, blue, luma, red] if encoding.startswith('yu') and encoding != 'yuv422' else [
        blue, luma, red, luma]  # fmt: skip
    pixels = np.tile(np.array(pair, np.uint8), (6, 4))
    image = as_bgr(*colour_image(packet(pixels, encoding, padding=padding)))
    # ITU-R BT.601, limited range; 2 grey levels for rounding.
    scaled = 1.164 * (luma - 16)
    expected = [
        scaled + 2.018 * (blue - 128),
        scaled - 0.391 * (blue - 128) - 0.813 * (red - 128),
        scaled + 1.596 * (red - 128),
    ]
    np.testing.assert_allclose(image[0, 0], np.clip(expected, 0, 255), atol=2)
    assert (image == image[0, 0]).all()


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize(('encoding', 'chroma'), [('nv12', [90, 180]), ('nv21', [180, 90])])
def test_yuv420_gives_its_colour(encoding, chroma, padding):
    planes = np.full((9, 8), 128, np.uint8)
    planes[6:] = np.tile(np.array(chroma, np.uint8), (3, 4))
    image = as_bgr(*colour_image(packet(planes, encoding, padding=padding)))
    yuyv = np.tile(np.array([128, 90, 128, 180], np.uint8), (6, 4))
    np.testing.assert_array_equal(image, as_bgr(*colour_image(packet(yuyv, 'yuyv'))))


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', '8UC3'])
def test_colour_of_three_bytes_is_viewed_not_copied(encoding):
    source = packet(BGR, encoding, padding=4)
    image, _ = colour_image(source)
    assert np.shares_memory(image, np.frombuffer(source.pixels, np.uint8))


def test_message_object_and_wire_give_the_same_image():
    message = Image(height=6, width=8, encoding='bgr8', step=24, data=BGR.tobytes())
    for source in (packet_from_message(message), read_image(serialize_message(message))):
        np.testing.assert_array_equal(colour_image(source)[0], BGR)


def test_step_of_zero_means_rows_without_padding():
    np.testing.assert_array_equal(colour_image(packet(BGR, 'bgr8', step=0))[0], BGR)


def test_last_row_may_lack_its_padding():
    source = packet(BGR, 'bgr8', padding=5)
    cut = source._replace(pixels=source.pixels[:-5])
    np.testing.assert_array_equal(colour_image(cut)[0], BGR)


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        (
            packet(BGR, 'bgr8', height=7),
            r'needs rows of 24 bytes and 168 bytes in all, got .* 144',
        ),
        (packet(BGR, 'bgr8', width=9), r'needs rows of 27 bytes'),
        (packet(BGR, 'bgr8', step=23), r'needs rows of 24 bytes .* step 23'),
        (packet(BGR[..., 0], 'rgb16'), r'needs rows of 48 bytes'),
        (packet(BGR, 'bgr8', width=0), r'no pixels: its size is 0x6'),
        (packet(BGR, 'bgr8', height=0), r'no pixels: its size is 8x0'),
        (packet(BGR[..., :2], '16UC1'), r"'16UC1', which holds depth; remap"),
        (packet(BGR[..., :2], '32FC1'), r"'32FC1', which holds depth; remap"),
        (packet(BGR[:, :7, :2], 'yuyv', width=7), r'needs an even width, got 7x6'),
        (packet(BGR[:5, :, 0], 'nv12', height=5), r'needs an even height, got 8x5'),
        (packet(BGR, 'jpeg2000'), r"encoding 'jpeg2000' is not known; set the camera driver to"),
        (packet(BGR, ''), r"encoding '' is not known"),
        (packet(BGR[..., 0], 'bayer_rggb12'), r"'bayer_rggb12' is not known"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(source, message):
    with pytest.raises(ImageError, match=message):
        colour_image(source)


def test_rarer_encodings_go_through_cv_bridge_where_it_is(monkeypatch):
    class CvBridge:
        def imgmsg_to_cv2(self, message, desired_encoding):
            assert (message.encoding, desired_encoding) == ('yuv444', 'bgr8')
            return np.frombuffer(message.data, np.uint8).reshape(6, 8, 3)

    module = types.ModuleType('cv_bridge')
    module.CvBridge = CvBridge
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    np.testing.assert_array_equal(colour_image(packet(BGR, 'yuv444'))[0], BGR)


def test_refusal_of_cv_bridge_is_an_image_error(monkeypatch):
    class CvBridge:
        def imgmsg_to_cv2(self, message, desired_encoding):
            raise TypeError('Unrecognized image encoding [strange]')

    module = types.ModuleType('cv_bridge')
    module.CvBridge = CvBridge
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    with pytest.raises(ImageError, match=r'cv_bridge cannot convert .*\[strange\]'):
        colour_image(packet(BGR, 'strange'))


@pytest.mark.parametrize('is_bigendian', [False, True])
def test_depth_in_millimetres_becomes_metres(is_bigendian):
    order = '>' if is_bigendian else '<'
    millimetres = np.array([[0, 1, 500], [1000, 65535, 0]], order + 'u2')
    depth = depth_image(
        packet(millimetres, '16UC1', width=3, height=2, padding=2, is_bigendian=is_bigendian)
    )
    assert depth.dtype == np.float32
    # float32 holds a millimetre in 65 m to 4 micrometres.
    np.testing.assert_allclose(depth, [[np.nan, 0.001, 0.5], [1, 65.535, np.nan]], atol=4e-6)


@pytest.mark.parametrize('is_bigendian', [False, True])
def test_missing_depth_is_nan(is_bigendian):
    order = '>' if is_bigendian else '<'
    metres = np.array([[0, 0.5, np.nan], [np.inf, -np.inf, -1.0]], order + 'f4')
    depth = depth_image(
        packet(metres, '32FC1', width=3, height=2, padding=3, is_bigendian=is_bigendian)
    )
    np.testing.assert_array_equal(depth, [[np.nan, 0.5, np.nan], [np.nan] * 3])
    assert depth.dtype == np.float32


def test_colour_is_no_depth():
    with pytest.raises(ImageError, match=r"expected depth as 16UC1 .* got 'bgr8'"):
        depth_image(packet(BGR, 'bgr8'))


def jpeg(quality=95):
    return cv2.imencode('.jpg', np.tile(BGR, (8, 8, 1)), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]


def compressed(stream, format_name='bgr8; jpeg compressed bgr8'):
    return CompressedPacket(0, 'cam', format_name, memoryview(bytes(stream)))


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_compressed_image_is_decoded(suffix):
    picture = np.full((6, 8, 3), (10, 100, 200), np.uint8)
    stream = cv2.imencode(suffix, picture)[1].tobytes()
    np.testing.assert_allclose(decode_compressed(compressed(stream)), picture, atol=3)  # JPEG


def test_decoded_image_is_blue_green_red():
    picture = np.full((16, 16, 3), (255, 0, 0), np.uint8)  # blue
    image = decode_compressed(compressed(cv2.imencode('.jpg', picture)[1].tobytes()))
    assert image[8, 8, 0] > 250
    assert image[8, 8, 2] < 5


@pytest.mark.parametrize(
    ('stream', 'message'),
    [
        (b'', r'cannot be decoded; expected JPEG or PNG'),
        (b'no image at all', r'starts with 6e6f2069\) cannot be decoded'),
        (jpeg()[: len(jpeg()) // 2], r'is cut short'),
        (jpeg()[:-2], r'is cut short'),
        (b'\xff\xd8' + bytes(100) + b'\xff\xd9', r'cannot be decoded'),
        (cv2.imencode('.png', BGR)[1][:40], r'is cut short'),
    ],
)
def test_broken_compressed_image_is_refused(stream, message):
    with pytest.raises(ImageError, match=message):
        decode_compressed(compressed(stream))


def test_zeros_after_a_jpeg_do_no_harm():
    stream = jpeg().tobytes() + bytes(16)
    assert decode_compressed(compressed(stream)).shape == (48, 64, 3)
