"""Turn image messages into arrays: colour for the networks, metres for depth.

Own conversion of what cameras really send, with row padding (``step``) and byte order honoured;
``cv_bridge`` is asked only for rarer encodings, where a ROS distribution has it.
"""

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import FloatArray, ImageArray
from hand_perception.errors import ImageError
from hand_perception.ros.cdr import CompressedPacket, ImagePacket

#: Channels of encodings with one byte per channel that need no more than a channel order.
_CHANNELS_8: Final = {
    'rgb8': 3, 'bgr8': 3, '8UC3': 3, 'rgba8': 4, 'bgra8': 4, '8UC4': 4, 'mono8': 1, '8UC1': 1,
}  # fmt: skip
#: The same with two bytes per channel; the high byte is taken.
_CHANNELS_16: Final = {
    'rgb16': 3, 'bgr16': 3, '16UC3': 3, 'rgba16': 4, 'bgra16': 4, '16UC4': 4, 'mono16': 1,
}  # fmt: skip
_TO_BGR: Final = {
    'rgba8': cv2.COLOR_RGBA2BGR, 'bgra8': cv2.COLOR_BGRA2BGR, '8UC4': cv2.COLOR_BGRA2BGR,
    'rgba16': cv2.COLOR_RGBA2BGR, 'bgra16': cv2.COLOR_BGRA2BGR, '16UC4': cv2.COLOR_BGRA2BGR,
    'mono8': cv2.COLOR_GRAY2BGR, '8UC1': cv2.COLOR_GRAY2BGR, 'mono16': cv2.COLOR_GRAY2BGR,
}  # fmt: skip
#: ROS names a Bayer pattern by its first two pixels, OpenCV by the second row's second and third.
_BAYER: Final = {
    'rggb': cv2.COLOR_BayerBG2BGR, 'bggr': cv2.COLOR_BayerRG2BGR,
    'gbrg': cv2.COLOR_BayerGR2BGR, 'grbg': cv2.COLOR_BayerGB2BGR,
}  # fmt: skip
_YUV_422: Final = {
    'yuv422': cv2.COLOR_YUV2BGR_UYVY, 'uyvy': cv2.COLOR_YUV2BGR_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2BGR_YUY2, 'yuyv': cv2.COLOR_YUV2BGR_YUY2,
}  # fmt: skip
_YUV_420: Final = {'nv12': cv2.COLOR_YUV2BGR_NV12, 'nv21': cv2.COLOR_YUV2BGR_NV21}
_DEPTH: Final = ('16UC1', '32FC1')

#: Millimetres of a 16UC1 depth image to metres; 0 says that the sensor saw nothing.
_METRES: Final = np.arange(65536, dtype=np.float32) * np.float32(1e-3)
_METRES[0] = np.nan

#: First and last bytes of compressed images that are whole.
_JPEG: Final = (b'\xff\xd8', b'\xff\xd9')
_PNG: Final = (b'\x89PNG', b'IEND\xaeB`\x82')


def packet_from_message(message: Any) -> ImagePacket:
    """Read the fields of a sensor_msgs/Image object; the pixels are not copied."""
    stamp = message.header.stamp
    return ImagePacket(
        stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
        frame_id=message.header.frame_id,
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=bool(message.is_bigendian),
        step=message.step,
        pixels=memoryview(message.data).cast('B'),
    )


def colour_image(packet: ImagePacket) -> tuple[ImageArray, bool]:
    """Give the pixels of an image as colour.

    Args:
        packet: the fields of a sensor_msgs/Image.

    Returns:
        (H, W, 3) uint8, and whether its channels are red-green-blue (else blue-green-red).
        A view of the message for rgb8, bgr8 and 8UC3; one new array for all others.

    Raises:
        ImageError: an encoding that is not known or holds depth, or data shorter than its size.
    """
    encoding = packet.encoding
    if encoding in _DEPTH:
        raise ImageError(
            f'expected a colour image, got encoding {encoding!r}, which holds depth; remap the '
            'topic "image" to the colour camera'
        )
    _check_size(packet)
    if encoding in _CHANNELS_8:
        pixels = _rows(packet, packet.height, (packet.width, _CHANNELS_8[encoding]))
    elif encoding in _CHANNELS_16:
        pixels = _high_bytes(packet, _CHANNELS_16[encoding])
    elif encoding.startswith('bayer_') and encoding[6:10] in _BAYER:
        code = _BAYER[encoding[6:10]]
        if encoding[10:] == '8':
            mosaic = _rows(packet, packet.height, (packet.width,))
        elif encoding[10:] == '16':
            mosaic = _high_bytes(packet, 1)[..., 0]
        else:
            return _with_cv_bridge(packet), False
        return _converted(mosaic, code), False
    elif encoding in _YUV_422:
        _check_even(packet, 'width')
        return _converted(
            _rows(packet, packet.height, (packet.width, 2)), _YUV_422[encoding]
        ), False
    elif encoding in _YUV_420:
        _check_even(packet, 'width', 'height')
        planes = _rows(packet, packet.height * 3 // 2, (packet.width,))
        return _converted(planes, _YUV_420[encoding]), False
    else:
        return _with_cv_bridge(packet), False
    if encoding in _TO_BGR:
        return _converted(pixels, _TO_BGR[encoding]), False
    return pixels, encoding.startswith('rgb')


def depth_image(packet: ImagePacket) -> FloatArray:
    """Give the pixels of a depth image in metres.

    Returns:
        (H, W) float32, NaN where the sensor saw nothing (0, negative, NaN or infinite).

    Raises:
        ImageError: not 16UC1 (millimetres) or 32FC1 (metres), or data shorter than its size.
    """
    if packet.encoding not in (*_DEPTH, 'mono16'):
        raise ImageError(
            f'expected depth as 16UC1 (millimetres) or 32FC1 (metres), got {packet.encoding!r}; '
            'remap the topic "depth" to the aligned depth image'
        )
    _check_size(packet)
    order = '>' if packet.is_bigendian else '<'
    if packet.encoding == '32FC1':
        metres = _typed_rows(packet, np.dtype(order + 'f4')).astype(np.float32)
        with np.errstate(invalid='ignore'):
            metres[~((metres > 0) & (metres < np.inf))] = np.nan
        return metres
    return np.asarray(_METRES[_typed_rows(packet, np.dtype(order + 'u2'))])


def decode_compressed(packet: CompressedPacket) -> ImageArray:
    """Decode a JPEG or PNG image.

    Returns:
        (H, W, 3) uint8, blue-green-red.

    Raises:
        ImageError: not an image, or one that is cut short.
    """
    stream = packet.stream
    head, tail = bytes(stream[:4]), bytes(stream[-64:])
    for begin, end in (_JPEG, _PNG):
        # OpenCV fills the missing part of a cut JPEG with grey and says nothing.
        if head.startswith(begin) and not tail.rstrip(b'\0').endswith(end):
            raise ImageError(
                f'compressed image ({packet.format!r}, {len(stream)} bytes) is cut short'
            )
    image = None
    if len(stream):
        try:
            image = cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise ImageError(f'compressed image cannot be decoded: {error}') from error
    if image is None:
        raise ImageError(
            f'compressed image ({packet.format!r}, {len(stream)} bytes, starts with '
            f'{head.hex() or "nothing"}) cannot be decoded; expected JPEG or PNG'
        )
    return image


def _check_size(packet: ImagePacket) -> None:
    if not packet.width or not packet.height:
        raise ImageError(f'image has no pixels: its size is {packet.width}x{packet.height}')


def _check_even(packet: ImagePacket, *sides: str) -> None:
    for side in sides:
        if getattr(packet, side) % 2:
            raise ImageError(
                f'{packet.encoding} needs an even {side}, got {packet.width}x{packet.height}'
            )


def _strides(packet: ImagePacket, num_rows: int, row_bytes: int) -> int:
    """Give the bytes from row to row, after checking that all rows are there."""
    step = packet.step or row_bytes
    needed = step * (num_rows - 1) + row_bytes
    have = packet.pixels.nbytes
    if step < row_bytes or have < needed:
        raise ImageError(
            f'{packet.encoding} image of {packet.width}x{packet.height} needs rows of {row_bytes} '
            f'bytes and {needed} bytes in all, got step {packet.step} and {have} bytes'
        )
    return step


def _rows(packet: ImagePacket, num_rows: int, row_shape: tuple[int, ...]) -> ImageArray:
    """View the bytes as (num_rows, *row_shape) uint8, padding skipped."""
    channels = row_shape[1] if len(row_shape) > 1 else 1
    step = _strides(packet, num_rows, row_shape[0] * channels)
    strides = (step, channels, 1)[: 1 + len(row_shape)]
    return np.ndarray((num_rows, *row_shape), np.uint8, packet.pixels, strides=strides)


def _typed_rows(packet: ImagePacket, dtype: np.dtype[Any]) -> NDArray[Any]:
    step = _strides(packet, packet.height, packet.width * dtype.itemsize)
    shape = (packet.height, packet.width)
    return np.ndarray(shape, dtype, packet.pixels, strides=(step, dtype.itemsize))


def _high_bytes(packet: ImagePacket, channels: int) -> ImageArray:
    """Take the more significant byte of 16-bit channels: (H, W, channels) uint8, contiguous."""
    pairs = _rows(packet, packet.height, (packet.width, 2 * channels))
    first = 0 if packet.is_bigendian else 1
    return np.ascontiguousarray(pairs[:, :, first::2])


def _converted(pixels: ImageArray, code: int) -> ImageArray:
    try:
        return cv2.cvtColor(pixels, code)
    except cv2.error as error:  # a mosaic of one row, for example
        raise ImageError(
            f'image of {pixels.shape[1]}x{pixels.shape[0]} cannot be converted: {error}'
        ) from error


def _with_cv_bridge(packet: ImagePacket) -> ImageArray:
    """Convert a rarer encoding where cv_bridge is installed."""
    known = [*_CHANNELS_8, *_CHANNELS_16, *(f'bayer_{p}8' for p in _BAYER), *_YUV_422, *_YUV_420]
    advice = f'set the camera driver to one of {", ".join(known)}, or install cv_bridge'
    convert = _cv_bridge_converter()
    if convert is None:
        raise ImageError(f'image encoding {packet.encoding!r} is not known; {advice}')
    try:
        return convert(packet)
    except (TypeError, ValueError, RuntimeError, cv2.error) as error:  # CvBridgeError: TypeError
        raise ImageError(
            f'cv_bridge cannot convert encoding {packet.encoding!r}: {error}; {advice}'
        ) from error


def _cv_bridge_converter() -> Callable[[ImagePacket], ImageArray] | None:
    try:
        from cv_bridge import CvBridge
    except ImportError:
        return None
    from sensor_msgs.msg import Image

    def convert(packet: ImagePacket) -> ImageArray:
        message = Image(height=packet.height, width=packet.width, encoding=packet.encoding)
        message.is_bigendian, message.step = int(packet.is_bigendian), packet.step
        message.data = packet.pixels.tobytes()
        return np.asarray(CvBridge().imgmsg_to_cv2(message, desired_encoding='bgr8'))

    return convert
