"""Image messages in their wire format, against what rclpy itself reads and writes."""

import struct

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros_fakes import image_message
from sensor_msgs.msg import CompressedImage, Image

from hand_perception.errors import ImageError
from hand_perception.ros.cdr import (
    read_compressed_image,
    read_image,
    read_stamp_ns,
    write_compressed_image,
    write_image,
)

STAMP_NS = 1_700_000_000_123_456_789


@pytest.mark.parametrize('frame_id', ['', 'c', 'cam', 'camera', 'hand_camera_optical_frame'])
@pytest.mark.parametrize('encoding', ['bgr8', 'rgb16', 'bayer_rggb8'])
def test_image_is_read_as_rclpy_wrote_it(frame_id, encoding):
    message = image_message(STAMP_NS, frame_id=frame_id, encoding=encoding)
    packet = read_image(serialize_message(message))
    assert packet[:7] == (STAMP_NS, frame_id, 48, 64, encoding, False, 192)
    assert packet.pixels == message.data.tobytes()


def test_pixels_are_not_copied():
    wire = serialize_message(image_message(STAMP_NS))
    assert np.shares_memory(
        np.frombuffer(read_image(wire).pixels, np.uint8), np.frombuffer(wire, np.uint8)
    )


def test_big_endian_wire_is_read():
    wire = b'\0\0\0\0' + struct.pack('>iII4s', 5, 7, 4, b'cam\0')
    wire += struct.pack('>III5s', 2, 3, 5, b'mono8'[:4] + b'\0') + b'\1' + b'\0\0'
    wire += struct.pack('>II6s', 3, 6, b'abcdef')
    packet = read_image(wire)
    assert packet[:7] == (5_000_000_007, 'cam', 2, 3, 'mono', True, 3)
    assert bytes(packet.pixels) == b'abcdef'


def test_every_cut_of_an_image_is_refused():
    wire = serialize_message(image_message(STAMP_NS, width=4, height=2))
    unpadded = len(wire) - 3  # rclpy may add up to 3 bytes of padding at the end
    for length in range(unpadded):
        with pytest.raises(ImageError, match=r'expected a CDR|ends after|claims'):
            read_image(wire[:length])


def test_garbage_is_refused_or_read_but_nothing_else():
    rng = np.random.default_rng(0)
    num_refused = 0
    for _ in range(500):
        wire = b'\0\1\0\0' + rng.bytes(rng.integers(0, 200))
        try:
            read_image(wire)
        except ImageError:
            num_refused += 1
    assert num_refused > 490


def test_written_image_is_what_rclpy_reads():
    pixels = np.arange(24, dtype=np.uint8)
    wire = write_image(
        stamp_ns=STAMP_NS, frame_id='cam', height=2, width=4, encoding='bgr8', step=12,
        pixels=memoryview(pixels),
    )  # fmt: skip
    message = deserialize_message(wire, Image)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == divmod(STAMP_NS, 10**9)
    assert (message.header.frame_id, message.encoding, message.is_bigendian) == ('cam', 'bgr8', 0)
    assert (message.height, message.width, message.step) == (2, 4, 12)
    np.testing.assert_array_equal(message.data, pixels)


def test_compressed_image_round_trips_through_rclpy():
    stream = np.arange(5, dtype=np.uint8)
    wire = write_compressed_image(
        stamp_ns=STAMP_NS, frame_id='camera', format_name='jpeg', stream=memoryview(stream)
    )
    message = deserialize_message(wire, CompressedImage)
    assert message.format == 'jpeg'
    np.testing.assert_array_equal(message.data, stream)
    packet = read_compressed_image(serialize_message(message))
    assert packet[:3] == (STAMP_NS, 'camera', 'jpeg')
    assert bytes(packet.stream) == stream.tobytes()


def test_stamp_alone_can_be_read():
    assert read_stamp_ns(serialize_message(image_message(STAMP_NS))) == STAMP_NS
