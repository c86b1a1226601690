"""Videos, image folders and cameras, read without ROS."""

import logging

import cv2
import numpy as np
import pytest

from hand_perception.errors import SourceError
from hand_perception.video import open_source


class FakeCamera:
    """Gives ``count`` images and then nothing, like a camera whose plug was pulled."""

    def __init__(self, count, *, is_opened=True, rate_hz=25.0):
        self.count = count
        self.is_opened = is_opened
        self.rate_hz = rate_hz
        self.is_released = False

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.is_opened

    def read(self):
        if not self.count:
            return False, None
        self.count -= 1
        return True, np.zeros((4, 6, 3), np.uint8)

    def get(self, property_id):
        return self.rate_hz if property_id == cv2.CAP_PROP_FPS else 0.0

    def set(self, property_id, value):
        return True

    def release(self):
        self.is_released = True


@pytest.fixture
def video(tmp_path):
    """A video of ten grey images that grow brighter, at 20 Hz."""
    path = tmp_path / 'grey.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 20.0, (64, 48))
    assert writer.isOpened()
    for level in range(10):
        writer.write(np.full((48, 64, 3), 20 * level, np.uint8))
    writer.release()
    return path


def levels(source):
    return [round(float(frame.image_bgr.mean()) / 20) for frame in source.frames()]


def test_video_is_read_in_order_with_its_times(video):
    source = open_source(str(video))
    assert (source.rate_hz, source.num_frames, source.is_live) == (20.0, 10, False)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(10))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(10) / 20, atol=1e-3)
    assert frames[3].image_bgr.shape == (48, 64, 3)


def test_video_can_be_read_again(video):
    source = open_source(str(video))
    assert levels(source) == levels(source) == list(range(10))


def test_synthetic_clip_has_its_true_camera():
    source = open_source('synthetic')
    first = next(source.frames())
    assert (source.camera.height, source.camera.width) == first.image_bgr.shape[:2]
    assert source.num_frames > 10
    assert not source.camera.is_assumed
    source.close()


def write_image(path, level=0, *, size=(6, 8)):
    assert cv2.imwrite(str(path), np.full((*size, 3), level, np.uint8))


def test_folder_is_read_in_the_order_people_number(tmp_path):
    for name, level in (('img10.png', 60), ('img2.png', 40), ('IMG1.png', 20), ('note.txt', 0)):
        if name.endswith('.txt'):
            (tmp_path / name).write_text('no image')
        else:
            write_image(tmp_path / name, level)
    source = open_source(str(tmp_path))
    assert source.num_frames == 3
    assert [f.name for f in source.frames()] == ['IMG1.png', 'img2.png', 'img10.png']
    assert levels(source) == [1, 2, 3]


def test_images_of_several_sizes_keep_them_with_a_warning(tmp_path, caplog):
    write_image(tmp_path / '1.png')
    write_image(tmp_path / '2.png', size=(10, 20))
    with caplog.at_level(logging.WARNING):
        shapes = [f.image_bgr.shape for f in open_source(str(tmp_path)).frames()]
    assert shapes == [(6, 8, 3), (10, 20, 3)]
    assert '2.png is 20x10, the images before it 8x6; each keeps its own size' in caplog.text


def test_grey_and_deep_images_become_colour_of_eight_bits(tmp_path):
    cv2.imwrite(str(tmp_path / '1.png'), np.full((4, 4), 100, np.uint8))
    cv2.imwrite(str(tmp_path / '2.png'), np.full((4, 4, 3), 100 << 8, np.uint16))
    for frame in open_source(str(tmp_path)).frames():
        assert (frame.image_bgr.shape, frame.image_bgr.dtype) == ((4, 4, 3), np.uint8)
        assert (frame.image_bgr == 100).all()


def test_an_image_that_cannot_be_read_is_left_out_with_a_warning(tmp_path, caplog):
    write_image(tmp_path / '1.png')
    (tmp_path / '2.png').write_bytes(b'not a picture')
    with caplog.at_level(logging.WARNING):
        names = [f.name for f in open_source(str(tmp_path)).frames()]
    assert names == ['1.png']
    assert '2.png cannot be read as an image and is left out' in caplog.text


def test_one_image_is_a_source(tmp_path):
    write_image(tmp_path / 'one.jpg')
    assert len(list(open_source(str(tmp_path / 'one.jpg')).frames())) == 1


def test_folder_of_nothing_but_broken_images_is_refused(tmp_path):
    (tmp_path / '1.png').write_bytes(b'not a picture')
    with pytest.raises(SourceError, match='none of the 1 images'):
        list(open_source(str(tmp_path)).frames())


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"'nowhere.mp4' is no file or folder; expected 'synth"):
        open_source('nowhere.mp4')
    with pytest.raises(SourceError, match='holds no images; expected .png'):
        open_source(str(tmp_path))


def test_a_file_that_is_no_video_is_refused(tmp_path):
    path = tmp_path / 'letter.mp4'
    path.write_bytes(b'dear reader' * 100)
    with pytest.raises(SourceError, match=r'cannot be opened as a video; .* ffmpeg -i'):
        open_source(str(path))


def test_a_video_that_ends_early_is_told(tmp_path, caplog):
    class Cut(FakeCamera):
        def get(self, property_id):
            return 100.0 if property_id == cv2.CAP_PROP_FRAME_COUNT else super().get(property_id)

    path = tmp_path / 'cut.mp4'
    path.touch()
    source = open_source(str(path), open_capture=lambda _: Cut(3))
    with caplog.at_level(logging.WARNING):
        assert len(list(source.frames())) == 3
    assert 'ends after 3 of 100 images' in caplog.text


def test_a_video_without_an_image_is_refused(tmp_path):
    path = tmp_path / 'empty.mp4'
    path.touch()
    with pytest.raises(SourceError, match='holds no image that can be read'):
        list(open_source(str(path), open_capture=lambda _: FakeCamera(0)).frames())


def test_a_rate_nobody_has_becomes_thirty(tmp_path, caplog):
    path = tmp_path / 'rateless.mp4'
    path.touch()
    with caplog.at_level(logging.WARNING):
        source = open_source(str(path), open_capture=lambda _: FakeCamera(2, rate_hz=90000.0))
    assert source.rate_hz == 30
    assert 'does not tell its rate' in caplog.text
    assert [f.time_s for f in source.frames()] == [0, pytest.approx(1 / 30)]


def test_camera_number_opens_a_camera():
    opened = []
    source = open_source('2', open_capture=lambda number: opened.append(number) or FakeCamera(1))
    assert opened == [2]
    assert (source.is_live, source.num_frames, source.rate_hz) == (True, None, 25.0)


def test_camera_that_is_not_there_is_refused_and_let_go():
    camera = FakeCamera(0, is_opened=False)
    with pytest.raises(SourceError, match=r'camera 7 cannot be opened; cameras of this computer'):
        open_source('7', open_capture=lambda _: camera)
    assert camera.is_released


def test_camera_that_is_unplugged_is_an_error_after_its_last_image():
    frames = open_source('0', open_capture=lambda _: FakeCamera(2)).frames()
    assert [next(frames).index, next(frames).index] == [0, 1]
    with pytest.raises(SourceError, match='camera 0 stopped delivering after 2 images; was it un'):
        next(frames)
