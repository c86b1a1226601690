"""Bad input: a clear warning, counted in diagnostics, and the next good image is processed."""

import cv2
import numpy as np
import pytest
from ros_bench import values_of
from ros_fakes import FakePipeline, camera_info, image_message, make_hand, set_stamp
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_perception.msg import HandPoseArray
from hand_perception.ros.messages import stamp_ns_of

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333
BAD = 'dropped: bad image'


class Camera:
    """A perception node with one camera, and what it answers."""

    def __init__(self, bench, kind=Image, topic='image', **parameters):
        self.pipeline = FakePipeline([make_hand()])
        self.node = bench.start_perception(self.pipeline, **parameters)
        self.hands = bench.listen(HandPoseArray, 'pose')
        self.diagnostics = bench.diagnostics()
        self.images = bench.talk(kind, topic)
        self.bench = bench

    def expect_dropped(self, message, *, cause, error=''):
        """Publish an image that must be dropped, counted and named."""
        self.images.publish(message)
        status = self.diagnostics.wait(
            lambda status, values: values[cause] == '1' and error in status.message,
            what=f'{cause} with {error!r}',
        )
        assert status.level == status.WARN
        return status

    def expect_processed(self, message):
        """Publish a good image and get its hands."""
        self.images.publish(message)
        return self.hands.wait(lambda hands: hands.header == message.header, what='a good image')


def good(number=5):
    return image_message(START_NS + number * FRAME_NS)


def broken(**changes):
    message = image_message(START_NS)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ('message', 'error'),
    [
        (broken(encoding='rgb24'), "image encoding 'rgb24' is not known; set the camera driver"),
        (broken(encoding=''), "image encoding '' is not known"),
        (broken(encoding='16UC1'), "got encoding '16UC1', which holds depth"),
        (broken(data=bytes(100)), 'needs rows of 192 bytes and 9216 bytes in all, got step 192'),
        (broken(data=b''), 'and 0 bytes'),
        (broken(step=100), 'got step 100'),
        (broken(width=0), 'image has no pixels: its size is 0x48'),
        (broken(height=0), 'image has no pixels: its size is 64x0'),
        (broken(width=2**31), 'needs rows of'),
        (broken(encoding='nv12', height=47), 'nv12 needs an even height'),
    ],
)
def test_broken_image_is_counted_and_the_next_one_processed(bench, message, error):
    camera = Camera(bench)
    status = camera.expect_dropped(message, cause=BAD, error=error)
    assert error in values_of(status)['last error']
    hands = camera.expect_processed(good())
    assert (hands.frames_processed, hands.frames_dropped) == (1, 1)


def test_padded_rows_are_skipped(bench):
    camera = Camera(bench)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    padded = np.zeros((48, 200), np.uint8)
    padded[:, :192] = pixels.reshape(48, 192)
    camera.expect_processed(broken(step=200, data=padded.tobytes()))
    np.testing.assert_array_equal(camera.pipeline.frames[0].image, pixels)


@pytest.mark.parametrize('is_bigendian', [0, 1])
def test_sixteen_bit_images_are_read_in_their_byte_order(bench, is_bigendian):
    camera = Camera(bench)
    pixels = np.full((48, 64, 3), (1, 20, 200), np.uint8)
    words = (pixels.astype(np.uint16) << 8).astype('>u2' if is_bigendian else '<u2')
    camera.expect_processed(
        broken(encoding='bgr16', is_bigendian=is_bigendian, step=384, data=words.tobytes())
    )
    np.testing.assert_array_equal(camera.pipeline.frames[0].image, pixels)


def compressed(stream):
    message = CompressedImage(format='jpeg', data=stream)
    set_stamp(message, START_NS)
    return message


@pytest.mark.parametrize(
    ('cut', 'error'), [(slice(0, 300), 'is cut short'), (slice(30, None), 'cannot be decoded')]
)
def test_corrupt_jpeg_is_counted_and_the_next_one_processed(bench, cut, error):
    camera = Camera(bench, CompressedImage, 'image/compressed', image_transport='compressed')
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    stream = cv2.imencode('.jpg', picture)[1].tobytes()
    camera.expect_dropped(compressed(stream[cut]), cause=BAD, error=error)
    whole = compressed(stream)
    set_stamp(whole, START_NS + FRAME_NS)
    camera.expect_processed(whole)


def test_camera_info_of_zeros_is_refused_by_name_and_a_focal_length_assumed(bench):
    camera = Camera(bench)
    infos = bench.talk(CameraInfo, 'camera_info')
    infos.publish(camera_info(focal=0.0, width=0, height=0))
    expected = "camera_info: camera_info (frame_id 'camera') has zeros in width, height"
    camera.diagnostics.wait(
        lambda status, _: expected in status.message, what='the refused camera_info'
    )
    camera.expect_processed(good())
    assert camera.pipeline.frames[0].camera.is_assumed


def test_camera_info_of_another_size_is_told_and_a_focal_length_assumed(bench):
    camera = Camera(bench)
    infos = bench.talk(CameraInfo, 'camera_info')
    infos.publish(camera_info(width=640, height=640))
    bench.wait_until(lambda: camera.node._cameras._latched, what='camera_info')
    camera.expect_processed(good())
    assert camera.pipeline.frames[0].camera.is_assumed
    camera.diagnostics.wait(
        lambda status, values: (
            'is for 640x640 images, the image is 64x48' in status.message
            and values['camera'] == 'assumed'
        ),
        what='the camera_info of another size',
    )


def test_stamps_that_stand_still_are_counted(bench):
    camera = Camera(bench)
    camera.expect_processed(good(0))
    camera.expect_dropped(good(0), cause='dropped: stamp standing still')
    camera.expect_processed(good(1))


def test_stamps_that_go_back_start_a_new_run(bench):
    camera = Camera(bench)
    for number in (5, 6, 0, 1):
        camera.expect_processed(good(number))
    came = [stamp_ns_of(hands.header) - START_NS for hands in camera.hands.messages]
    assert came == [number * FRAME_NS for number in (5, 6, 0, 1)]


def test_images_of_another_clock_are_dropped_with_its_offset_named(bench):
    camera = Camera(bench, max_age_ms=500.0)
    camera.images.publish(good())
    status = camera.diagnostics.wait(
        lambda _, values: values['dropped: too old'] == '1', what='a count of the old image'
    )
    assert "behind the node's clock and all images are dropped" in status.message
    assert 'use_sim_time' in status.message
    fresh = image_message(bench.node.get_clock().now().nanoseconds)
    camera.expect_processed(fresh)


def test_depth_that_cannot_be_used_leaves_the_image(bench):
    camera = Camera(bench, use_depth=True)
    depths = bench.talk(Image, 'depth')
    depth = Image(height=10, width=10, encoding='16UC1', step=20, data=bytes(200))
    set_stamp(depth, START_NS + 5 * FRAME_NS)
    depths.publish(depth)
    bench.wait_until(lambda: camera.node._depth._images, what='depth')
    camera.expect_processed(good())
    assert camera.pipeline.frames[0].depth_m is None
    camera.diagnostics.wait(
        lambda status, _: (
            'depth is not used: depth image is 10x10, the colour image 64x48' in status.message
        ),
        what='the depth image of another size',
    )


def test_an_error_of_the_pipeline_costs_one_image(bench):
    camera = Camera(bench)
    camera.pipeline.error = RuntimeError('the fit went wild')
    camera.images.publish(good(0))
    status = camera.diagnostics.wait(
        lambda status, values: (
            values['dropped: error while processing'] == '1'
            and 'RuntimeError: the fit went wild' in status.message
        ),
        what='the error',
    )
    assert status.level == status.ERROR
    camera.expect_processed(good(1))
