"""The back end on real photos, odd images and odd regions."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hand_perception.datatypes import Region
from hand_perception.errors import ConfigError
from hand_perception.models.device import select_device
from hand_perception.models.landmarks.backend import LandmarkBackend
from hand_perception.models.landmarks.regions import (
    are_duplicates,
    hand_size_px,
    region_from_keypoints,
)

DATA_DIR = Path(__file__).resolve().parents[1] / 'data'
PHOTOS = ('fullcurl', 'halfcurl', 'nocurl')


@pytest.fixture(scope='module')
def backend():
    return LandmarkBackend.load(device='cpu')


@pytest.fixture(scope='module')
def crops():
    """Return a left and a right hand, fingers up, RGB."""
    with np.load(DATA_DIR / 'landmarks_parity.npz') as archive:
        images, right = archive['crops'], archive['crop_outputs'][:, 127]
    return images[right.argmin()], images[right.argmax()]


def photo(name):
    return cv2.imread(str(DATA_DIR / 'photos' / f'{name}.jpg'))


def find_hands(backend, image, *, with_tiles=False):
    palms = backend.search(image, is_rgb=False, threshold=0.5, with_tiles=with_tiles)
    hands = []
    for found in backend.observe(image, [palm.region for palm in palms], is_rgb=False):
        if found.presence > 0.5 and not any(are_duplicates(found, other) for other in hands):
            hands.append(found)
    return hands


def whole(image):
    height, width = image.shape[:2]
    center = ((width - 1) / 2, (height - 1) / 2)
    return Region(center_px=center, size_px=float(max(width, height)), angle_rad=0.0)


def assert_same_hand(a, b, *, atol):
    np.testing.assert_allclose(a.keypoints_2d, b.keypoints_2d, rtol=0, atol=atol)
    np.testing.assert_allclose(a.world_m, b.world_m, rtol=0, atol=1e-5)  # 10 um
    np.testing.assert_allclose(
        [a.presence, a.right_score], [b.presence, b.right_score], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize('with_tiles', [False, True])
@pytest.mark.parametrize('name', PHOTOS)
def test_photo_shows_the_one_hand_that_mediapipe_sees(backend, name, with_tiles):
    with np.load(DATA_DIR / 'landmarks_mediapipe.npz') as archive:
        expected = archive[f'{name}_keypoints_2d']
        expected_world = archive[f'{name}_world_m']
    (hand,) = find_hands(backend, photo(name), with_tiles=with_tiles)
    assert len(expected) == 1
    # mediapipe shrinks the image by another filter, so the palm and with it the crop differ:
    # 2 % of hand size was seen there and 3 mm; with tiles the palm is a mean of several.
    error = np.linalg.norm(hand.keypoints_2d - expected[0], axis=1).mean()
    assert error < (0.06 if with_tiles else 0.03) * hand_size_px(expected[0])
    error_m = np.linalg.norm(hand.world_m - expected_world[0], axis=1).mean()
    assert error_m < (0.015 if with_tiles else 0.005)


@pytest.mark.parametrize('name', PHOTOS)
def test_second_look_from_the_landmarks_stays_on_the_hand(backend, name):
    image = photo(name)
    (hand,) = find_hands(backend, image)
    for _ in range(3):
        region = region_from_keypoints(hand.keypoints_2d)
        (again,) = backend.observe(image, [region], is_rgb=False)
        assert again.presence > 0.9
        moved = np.linalg.norm(again.keypoints_2d - hand.keypoints_2d, axis=1).mean()
        assert moved < 0.06 * hand_size_px(hand.keypoints_2d)
        hand = again


def test_photo_turned_upside_down_shows_the_same_hand_turned(backend):
    image = photo('nocurl')
    (hand,) = find_hands(backend, image)
    turned_image = np.ascontiguousarray(image[::-1, ::-1])
    (turned,) = find_hands(backend, turned_image)
    back = np.array(image.shape[1::-1]) - 1 - turned.keypoints_2d
    error = np.linalg.norm(back - hand.keypoints_2d, axis=1).mean()
    assert error < 0.05 * hand_size_px(hand.keypoints_2d)
    # 15 mm: an upside-down photo is another input to the palm detector, which sees less of it
    np.testing.assert_allclose(turned.world_m * [-1, -1, 1], hand.world_m, atol=0.015)


def test_value_above_half_means_a_right_hand(backend, crops):
    left, right = crops
    scores = [backend.observe(c, [whole(c)], is_rgb=True)[0].right_score for c in (left, right)]
    assert scores[0] < 0.1
    assert scores[1] > 0.9


def test_mirrored_image_swaps_the_side(backend, crops):
    for crop in crops:
        mirrored = np.ascontiguousarray(crop[:, ::-1])
        (hand,) = backend.observe(crop, [whole(crop)], is_rgb=True)
        (swapped,) = backend.observe(mirrored, [whole(crop)], is_rgb=True)
        assert hand.right_score + swapped.right_score == pytest.approx(1, abs=0.1)


def test_hands_in_one_pass_equal_hands_one_by_one(backend, crops):
    image = np.concatenate(crops, axis=1)
    regions = [
        Region(center_px=(112.0 + 224 * i, 112.0), size_px=size, angle_rad=angle)
        for i, size, angle in [(0, 224.0, 0.0), (1, 200.0, 0.1), (0, 180.0, -0.2)]
    ]
    together = backend.observe(image, regions, is_rgb=True)
    for found, where in zip(together, regions, strict=True):
        (alone,) = backend.observe(image, [where], is_rgb=True)
        assert found.region == where
        assert_same_hand(found, alone, atol=1e-3)  # pixels


def test_channel_order_does_not_matter_when_it_is_told(backend):
    bgr = photo('halfcurl')
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    from_bgr = backend.search(bgr, is_rgb=False, threshold=0.5, with_tiles=True)
    from_rgb = backend.search(rgb, is_rgb=True, threshold=0.5, with_tiles=True)
    assert from_bgr == from_rgb
    regions = [palm.region for palm in from_bgr]
    pairs = zip(
        backend.observe(bgr, regions, is_rgb=False), backend.observe(rgb, regions, is_rgb=True),
        strict=True,
    )  # fmt: skip
    for a, b in pairs:
        assert_same_hand(a, b, atol=0)


def test_wrong_channel_order_is_seen(backend):
    # Otherwise the test above could not fail.
    bgr = photo('halfcurl')
    where = [whole(bgr)]
    (right_order,) = backend.observe(bgr, where, is_rgb=False)
    (wrong_order,) = backend.observe(bgr, where, is_rgb=True)
    assert np.abs(right_order.keypoints_2d - wrong_order.keypoints_2d).max() > 0.5


def test_padded_read_only_rows_equal_a_plain_image(backend):
    plain = photo('nocurl')
    height, width = plain.shape[:2]
    rows = np.full((height, width * 3 + 37), 255, np.uint8)
    rows[:, : width * 3] = plain.reshape(height, -1)
    padded = np.lib.stride_tricks.as_strided(
        rows, (height, width, 3), (rows.strides[0], 3, 1), writeable=False
    )
    assert not padded.flags.c_contiguous
    palms = backend.search(plain, is_rgb=False, threshold=0.5, with_tiles=True)
    assert backend.search(padded, is_rgb=False, threshold=0.5, with_tiles=True) == palms
    regions = [palm.region for palm in palms]
    (a,) = backend.observe(plain, regions[:1], is_rgb=False)
    (b,) = backend.observe(padded, regions[:1], is_rgb=False)
    assert_same_hand(a, b, atol=0)
    assert (rows[:, width * 3 :] == 255).all()


def test_higher_threshold_gives_a_part_of_the_palms(backend):
    image = photo('nocurl')
    few = backend.search(image, is_rgb=False, threshold=0.9, with_tiles=True)
    many = backend.search(image, is_rgb=False, threshold=0.05, with_tiles=True)
    assert 1 <= len(few) <= len(many)
    assert all(palm.score > 0.9 for palm in few)
    scores = [palm.score for palm in many]
    assert scores == sorted(scores, reverse=True)


def test_small_hand_is_found_in_a_tile_only(backend):
    photo_image = cv2.resize(photo('nocurl'), (90, 120), interpolation=cv2.INTER_AREA)
    image = np.full((720, 1280, 3), 160, np.uint8)
    image[40:160, 1100:1190] = photo_image
    assert backend.search(image, is_rgb=False, threshold=0.5, with_tiles=False) == []
    palms = backend.search(image, is_rgb=False, threshold=0.5, with_tiles=True)
    assert palms
    assert palms[0].is_from_tile
    x, y = palms[0].region.center_px
    assert 1100 < x < 1190
    assert 40 < y < 160


def test_picture_without_hands_gives_no_palms(backend):
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    for image in (noise, np.zeros_like(noise)):
        assert backend.search(image, is_rgb=True, threshold=0.5, with_tiles=True) == []
        (nothing,) = backend.observe(image, [whole(image)], is_rgb=True)
        assert nothing.presence < 0.5


@pytest.mark.parametrize('size', [(8, 8), (1, 1000), (1000, 1), (1, 1), (2, 3)])
def test_tiny_images_are_searched_without_error(backend, size):
    image = np.full((*size, 3), 90, np.uint8)
    backend.search(image, is_rgb=True, threshold=0.5, with_tiles=True)
    (found,) = backend.observe(image, [whole(image)], is_rgb=True)
    assert np.isfinite(found.keypoints_2d).all()
    assert np.isfinite(found.world_m).all()


@pytest.mark.parametrize(
    ('center', 'size'),
    [((-80.0, 300.0), 400.0), ((1e4, 1e4), 300.0), ((100.0, 100.0), 1e5), ((50.0, 50.0), 0.0)],
)
def test_regions_outside_the_image_are_black_not_an_error(backend, center, size):
    image = photo('nocurl')
    region = Region(center_px=center, size_px=size, angle_rad=0.3)
    (found,) = backend.observe(image, [region], is_rgb=False)
    assert np.isfinite(found.keypoints_2d).all()
    assert 0 <= found.presence <= 1


def test_no_regions_are_no_work(backend):
    assert backend.observe(photo('nocurl'), [], is_rgb=False) == []


def test_image_is_not_written_to(backend):
    image = photo('nocurl')
    before = image.copy()
    find_hands(backend, image, with_tiles=True)
    np.testing.assert_array_equal(image, before)


def test_loading_sets_the_threads_asked_for():
    before = torch.get_num_threads()
    try:
        LandmarkBackend.load(device='cpu', num_threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize('name', ['gpu0', 'mps', 'cuda:99'])
def test_device_that_is_not_there_is_refused_with_what_to_do(name):
    with pytest.raises(ConfigError, match='auto'):
        select_device(name)


def test_auto_takes_cuda_when_there_is_one():
    expected = 'cuda' if torch.cuda.is_available() else 'cpu'
    assert select_device('auto').type == expected


@pytest.mark.gpu
def test_back_end_on_cuda_finds_the_same_hands(backend):
    if not torch.cuda.is_available():
        pytest.skip('torch finds no CUDA device')
    on_cuda = LandmarkBackend.load(device='cuda')
    image = photo('halfcurl')
    (expected,) = find_hands(backend, image, with_tiles=True)
    (found,) = find_hands(on_cuda, image, with_tiles=True)
    # 1 pixel of a hand of 300: cuDNN may multiply with 10 bits of mantissa (TF32).
    np.testing.assert_allclose(found.keypoints_2d, expected.keypoints_2d, atol=1)
