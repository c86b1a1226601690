"""The video source with real topics."""

import itertools

import cv2
import numpy as np
import pytest
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_perception.errors import ConfigError, SourceError
from hand_perception.ros import video_source_node
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.ros.video_source_node import VideoSourceNode

NUM_IMAGES = 6


@pytest.fixture
def folder(tmp_path):
    """Images that grow brighter, as PNG, so that every pixel is known."""
    for number in range(NUM_IMAGES):
        picture = np.full((48, 64, 3), (0, 40 * number, 255), np.uint8)
        assert cv2.imwrite(str(tmp_path / f'{number}.png'), picture)
    return tmp_path


@pytest.fixture
def start(bench):
    def start(source, *, open_capture=cv2.VideoCapture, **parameters):
        done = Future()
        defaults = {'loop': False, 'rate_hz': 100.0, 'wait_for_subscribers': 1}
        options = bench.node_options(source=str(source), **{**defaults, **parameters})
        node = VideoSourceNode(done, open_capture=open_capture, **options)
        return bench.add(node), done

    return start


def wait_for_end(bench, done):
    bench.wait_until(done.done, what='the end of the video')
    return done.result()


def stamps(inbox):
    return [stamp_ns_of(message.header) for message in inbox.messages]


def test_every_image_comes_once_in_order_and_then_the_end(bench, start, folder):
    images = bench.listen(Image, 'image', wait=False)
    node, done = start(folder)
    assert wait_for_end(bench, done) == 0
    messages = images.wait_count(NUM_IMAGES)
    for number, message in enumerate(messages):
        assert (message.encoding, message.header.frame_id) == ('bgr8', 'camera_optical_frame')
        pixels = np.frombuffer(message.data, np.uint8).reshape(48, 64, 3)
        assert (pixels == (0, 40 * number, 255)).all()
    assert sorted(set(stamps(images))) == stamps(images)


def test_images_start_again_when_looped(bench, start, folder):
    images = bench.listen(Image, 'image', wait=False)
    start(folder, loop=True)
    images.wait_count(2 * NUM_IMAGES + 1)
    green = [message.data[1] for message in images.messages]
    assert green[: 2 * NUM_IMAGES] == [40 * n for n in range(NUM_IMAGES)] * 2
    assert sorted(set(stamps(images))) == stamps(images)


def test_images_come_at_the_rate_asked_for(bench, start, folder):
    images = bench.listen(Image, 'image', wait=False)
    _, done = start(folder, rate_hz=20.0)
    wait_for_end(bench, done)
    images.wait_count(NUM_IMAGES)
    seconds = (stamps(images)[-1] - stamps(images)[0]) * 1e-9
    # Deadlines are absolute: never early (1 ms of timer), and late by no more than a busy machine.
    assert (NUM_IMAGES - 1) / 20 - 1e-3 <= seconds < 5


def test_synthetic_clip_comes_with_its_true_camera_at_the_same_stamps(bench, start):
    images = bench.listen(Image, 'image', wait=False)
    infos = bench.listen(CameraInfo, 'camera_info', wait=False)
    start('synthetic', loop=True)
    infos.wait_matched()
    image = images.wait_count(3)[2]
    info = infos.wait(lambda message: message.header == image.header, what='its camera_info')
    assert (info.height, info.width) == (image.height, image.width)
    assert list(info.k) == [520, 0, 319.5, 0, 520, 239.5, 0, 0, 1]


def test_without_a_known_camera_there_is_no_camera_info(bench, start, folder):
    images = bench.listen(Image, 'image', wait=False)
    infos = bench.listen(CameraInfo, 'camera_info', wait=False)
    _, done = start(folder)
    wait_for_end(bench, done)
    images.wait_count(NUM_IMAGES)
    assert not infos.messages


def test_focal_length_asked_for_is_published(bench, start, folder):
    infos = bench.listen(CameraInfo, 'camera_info', wait=False)
    bench.listen(Image, 'image', wait=False)
    start(folder, focal_px=70.0, loop=True)
    info = infos.wait_count(1)[0]
    assert list(info.k) == [70, 0, 31.5, 0, 70, 23.5, 0, 0, 1]


def test_compressed_images_hold_the_same_picture(bench, start, folder):
    images = bench.listen(CompressedImage, 'image/compressed', wait=False)
    start(folder, transport='compressed', loop=True)
    message = images.wait_count(1)[0]
    picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    # JPEG at quality 90 keeps one colour to a few grey levels.
    np.testing.assert_allclose(picture[20, 20], (0, picture[20, 20, 1], 255), atol=6)
    assert message.format.startswith('bgr8; jpeg')


class FlakyCamera:
    """Plugged in, unplugged after three images, away for one try, and plugged in again."""

    def __init__(self):
        self.opened = itertools.count(1)

    def __call__(self, number):
        is_there = next(self.opened) != 2
        return FlakyCapture(3 if is_there else 0, is_opened=is_there)


class FlakyCapture:
    def __init__(self, count, *, is_opened):
        self.count, self.is_opened = count, is_opened

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.is_opened

    def read(self):
        self.count -= 1
        return self.count >= 0, np.zeros((48, 64, 3), np.uint8)

    def get(self, property_id):
        return 0.0

    def set(self, property_id, value):
        return True

    def release(self):
        pass


def test_camera_that_is_unplugged_is_told_and_taken_again(bench, start, monkeypatch, capfd):
    monkeypatch.setattr(video_source_node, 'REOPEN_INTERVAL_S', 0.01)
    images = bench.listen(Image, 'image', wait=False)
    node, done = start('0', open_capture=FlakyCamera())
    images.wait_count(7)
    assert not done.done()
    assert sorted(set(stamps(images))) == stamps(images)
    node.close()
    told = capfd.readouterr().err
    assert 'camera 0 stopped delivering after 3 images; was it unplugged?; trying to open' in told
    assert 'camera 0 cannot be opened' in told
    assert 'camera 0 is back' in told


def test_video_that_cannot_be_opened_ends_the_start(start, tmp_path):
    with pytest.raises(SourceError, match='is no file or folder; expected'):
        start(tmp_path / 'nowhere.mp4')


def test_folder_that_cannot_be_read_ends_with_an_error(bench, start, tmp_path, capfd):
    (tmp_path / '1.png').write_bytes(b'not a picture')
    _, done = start(tmp_path, wait_for_subscribers=0)
    assert wait_for_end(bench, done) == 1
    assert 'none of the 1 images' in capfd.readouterr().err


def test_wrong_parameter_is_refused_with_what_is_allowed(start, folder):
    with pytest.raises(ConfigError, match='jpeg_quality must be 1 to 100, got 101'):
        start(folder, jpeg_quality=101)


def test_calibration_of_another_picture_is_refused(bench, start, folder, capfd):
    calibration = folder / 'camera.yaml'
    calibration.write_text(
        'image_width: 64\nimage_height: 64\n'
        'camera_matrix: {data: [60, 0, 32, 0, 60, 32, 0, 0, 1]}\ndistortion_model: ""\n'
    )
    _, done = start(folder, camera_info_file=str(calibration), wait_for_subscribers=0)
    assert wait_for_end(bench, done) == 1
    assert 'camera_info_file does not fit the images' in capfd.readouterr().err
