"""Depth images matched to colour images by stamp."""

import threading

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from ros_fakes import set_stamp
from sensor_msgs.msg import Image

from hand_perception.errors import ImageError
from hand_perception.ros.depth import DepthBuffer

MS = 1_000_000


def depth_wire(stamp_ns, metres=0.5, *, width=4, height=2):
    message = Image(height=height, width=width, encoding='16UC1', step=2 * width)
    set_stamp(message, stamp_ns)
    message.data = np.full((height, width), round(metres * 1000), np.uint16).tobytes()
    return serialize_message(message)


def buffer(*stamps_ms):
    made = DepthBuffer()
    for stamp_ms in stamps_ms:
        made.add(depth_wire(stamp_ms * MS, metres=stamp_ms / 1000))
    return made


def test_nearest_depth_within_twenty_milliseconds_is_taken():
    depth = buffer(100, 133, 166).match(130 * MS, 4, 2)
    np.testing.assert_allclose(depth, 0.133, atol=1e-6)


def test_depth_further_away_is_not_taken():
    assert buffer(100, 200).match(150 * MS, 4, 2) is None


def test_without_depth_there_is_none():
    assert DepthBuffer().match(100 * MS, 4, 2) is None


def test_depth_on_its_way_is_waited_for(monkeypatch):
    monkeypatch.setattr('hand_perception.ros.depth.WAIT_S', 30.0)
    made = buffer(100)
    found = []
    thread = threading.Thread(target=lambda: found.append(made.match(133 * MS, 4, 2)))
    thread.start()
    made.add(depth_wire(133 * MS))
    thread.join(30)
    np.testing.assert_allclose(found[0], 0.5, atol=1e-6)


def test_after_stamps_jumped_back_old_depth_is_forgotten():
    made = buffer(10_000, 100)
    assert made.match(10_000 * MS, 4, 2) is None
    assert made.match(100 * MS, 4, 2) is not None


def test_depth_of_another_size_is_refused():
    with pytest.raises(ImageError, match='depth image is 4x2, the colour image 8x4; remap'):
        buffer(100).match(100 * MS, 8, 4)


def test_memory_is_bounded():
    made = buffer(*range(0, 3000, 30))
    assert len(made._images) == 15
