import dataclasses
import sys

import augmentation_reference as official
import htt_reference
import numpy as np
import pytest

from hand_perception.augmentation.clip import (
    ClipChange,
    change_clip,
    clip_affine,
    draw_clip_change,
    move_image,
)
from hand_perception.augmentation.colour import (
    OPERATIONS,
    ColourFactors,
    blurred,
    change_colours,
)
from hand_perception.augmentation.hue import turn_hue
from hand_perception.augmentation.settings import NO_CLIP_AUGMENTATION, ClipAugmentation
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.errors import ConfigError, MissingPackageError

Image = pytest.importorskip('PIL.Image', reason='needs Pillow')
ImageEnhance = pytest.importorskip('PIL.ImageEnhance', reason='needs Pillow')
ImageFilter = pytest.importorskip('PIL.ImageFilter', reason='needs Pillow')

SIZE = (480, 270)


@pytest.fixture(scope='module')
def reference():
    return official.load()


@pytest.fixture(scope='module')
def picture():
    """The image that the published loader augmented, with its intrinsics."""
    with np.load(htt_reference.DATA / 'htt_preprocess.npz') as stored:
        return np.ascontiguousarray(stored['image'].transpose(1, 2, 0)), stored['camera']


def clip_of(images, K, joints_2d=None, not_padding=None):
    count = len(images)
    points = np.zeros((21, 2)) if joints_2d is None else joints_2d
    return Sample(
        dataset='drawn', segment='one', images=images,
        truth=HandTruth(
            joints_3d=np.ones((count, 1, 21, 3), np.float32),
            joints_2d=np.tile(points.astype(np.float32), (count, 1, 1, 1)),
            hand_valid=np.ones((count, 1), bool),
            boxes=np.tile(np.float32([10, 20, 30, 50]), (count, 1, 1)),
        ),
        is_right=(True,), K=np.tile(K.astype(np.float32), (count, 1, 1)), action=0, object=0,
        not_padding=np.ones(count, bool) if not_padding is None else not_padding,
        frames=np.arange(count),
    )  # fmt: skip


@pytest.mark.parametrize('sample', ['train0', 'train1'])
def test_augmented_samples_equal_the_published_loader(reference, picture, sample):
    image, K = picture
    order = [OPERATIONS.index(name) for name in reference[f'{sample}_order']]
    change = ClipChange(
        center=reference[f'{sample}_centre'].astype(float),
        width=480.0,
        colours=ColourFactors(
            brightness=float(reference['train_bright']),
            contrast=float(reference['train_contrast']),
            saturation=float(reference['train_sat']),
            hue=float(reference['train_hue']),
        ),
        orders=np.array([order]),
        blur_px=np.array([float(reference[f'{sample}_blur_radius'])]),
    )
    changed = change_clip(clip_of(image[None], K, reference['joints2d']), change)
    step = official.CLIP_STEP
    # The same Pillow gives the same levels; others turn colours to HSV a level differently.
    np.testing.assert_allclose(
        changed.images[0, ::step, ::step].transpose(2, 0, 1).astype(int),
        reference[f'{sample}_levels'].astype(int), atol=2,
    )  # fmt: skip
    atol_px = 1e-4  # 32 bits of 500 px
    np.testing.assert_allclose(changed.K[0], reference[f'{sample}_camintr'], atol=atol_px)
    np.testing.assert_allclose(
        changed.truth.joints_2d[0, 0], reference[f'{sample}_joints25d'][:, :2], atol=atol_px
    )
    np.testing.assert_array_equal(
        clip_affine(change, size=SIZE).astype(np.float32), reference[f'{sample}_affine']
    )


def pillow_colours(image, factors, order, radius):
    """The published operations, as Pillow itself does them."""
    changed = Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius))
    for number in order:
        if OPERATIONS[number] == 'hue':
            hsv = np.array(changed.convert('HSV'))
            hsv[..., 0] += np.uint8(int(255 * factors.hue) % 256)
            planes = [Image.fromarray(np.ascontiguousarray(hsv[..., i])) for i in range(3)]
            changed = Image.merge('HSV', planes).convert('RGB')
        else:
            name = {'saturation': 'Color'}.get(OPERATIONS[number], OPERATIONS[number].title())
            factor = getattr(factors, OPERATIONS[number])
            changed = getattr(ImageEnhance, name)(changed).enhance(factor)
    return np.asarray(changed)


def test_colours_are_those_of_pillow():
    rng = np.random.default_rng(0)
    differing = 0
    for _ in range(40):
        noise = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
        brightness, contrast, saturation = rng.uniform(0.5, 1.5, 3).tolist()
        factors = ColourFactors(
            brightness=brightness, contrast=contrast, saturation=saturation,
            hue=float(rng.uniform(-0.15, 0.15)),
        )  # fmt: skip
        order, radius = rng.permutation(4), float(rng.uniform(0, 0.5))
        wanted = pillow_colours(noise, factors, order, radius)
        found = change_colours(noise, factors, order=order, blur_px=radius)
        off = np.abs(wanted.astype(int) - found)
        differing += off.any()
        # A grey level of the blends is now and then rounded the other way; the hue of a nearly
        # grey pixel can make several of it.
        assert (off > 0).mean() < 0.02
    assert differing <= 4


def test_hues_are_those_of_pillow_for_each_kind_of_colour():
    rng = np.random.default_rng(13)
    image = rng.integers(0, 256, (300, 300, 3)).astype(np.uint8)
    image[:100] = image[:100] // 17 * 17  # often two channels are equal
    image[100:140, :, 1] = image[100:140, :, 2]
    image[140:160] = image[140:160, :, :1]  # grey
    image[160:170] = rng.integers(0, 2, (10, 300, 3)) * 255
    for steps in (0, 1, 38, 128, 217, 255):
        hsv = np.array(Image.fromarray(image).convert('HSV'))
        hsv[..., 0] += np.uint8(steps)
        wanted = Image.frombytes('HSV', (300, 300), hsv.tobytes()).convert('RGB')
        np.testing.assert_array_equal(turn_hue(image, steps), np.asarray(wanted))


@pytest.mark.parametrize('radius', [0.02, 0.2137, 0.4871, 0.8312, 2.5])
def test_blur_is_that_of_pillow(radius):
    noise = np.random.default_rng(1).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    wanted = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(radius)))
    off = np.abs(blurred(noise, radius).astype(int) - wanted)
    assert off.max() <= 1  # level; 0 but for rounding of products in 32 bits
    assert (off > 0).mean() < 1e-3


@pytest.mark.parametrize('width', [480.0, 300.7, 612.3])
def test_moved_images_are_those_of_pillow(width):
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (270, 480, 3)).astype(np.uint8)
    for center in ((240, 135), (287, 90), (900, 135), (-300, 700)):
        change = ClipChange(
            center=np.array(center, float), width=width, colours=ColourFactors(),
            orders=np.zeros((1, 4), np.int64), blur_px=np.zeros(1),
        )  # fmt: skip
        affine = clip_affine(change, size=SIZE)
        inverse = tuple(np.linalg.inv(affine)[:2].ravel().tolist())
        wanted = np.asarray(Image.fromarray(noise).transform(SIZE, Image.AFFINE, inverse))
        found = np.full_like(noise, 77)
        move_image(noise, affine, out=found)
        np.testing.assert_array_equal(found, wanted)


def test_moved_joints_stay_on_what_they_were_on():
    image = np.zeros((1, 270, 480, 3), np.uint8)
    image[0, 100:110, 200:210] = 255
    K = np.array([[300.0, 0, 240], [0, 300, 135], [0, 0, 1]])
    joints = np.full((21, 2), (204.5, 104.5))
    change = ClipChange(
        center=np.array([260.0, 120.0]), width=400.0, colours=ColourFactors(),
        orders=np.zeros((1, 4), np.int64), blur_px=np.zeros(1),
    )  # fmt: skip
    changed = change_clip(clip_of(image, K, joints), change)
    rows, columns = np.nonzero(changed.images[0, ..., 0])
    middle = np.array([columns.mean(), rows.mean()])
    # Images are sampled at the middle of pixels, joints are not moved by half a pixel: as
    # published.
    np.testing.assert_allclose(changed.truth.joints_2d[0, 0, 0], middle, atol=1.0)  # px
    # A joint in metres that was seen there is still seen there.
    ray = np.linalg.inv(K) @ (204.5, 104.5, 1)
    np.testing.assert_allclose(
        (changed.K[0] @ ray)[:2], changed.truth.joints_2d[0, 0, 0], atol=1e-3
    )  # px
    np.testing.assert_array_equal(changed.truth.joints_3d, 1)


def test_draws_follow_the_published_distributions():
    rng = np.random.default_rng(3)
    changes = [
        draw_clip_change(ClipAugmentation(), num_images=4, size=SIZE, rng=rng) for _ in range(2000)
    ]
    offsets = np.array([change.center for change in changes]) - (240, 135)
    assert np.abs(offsets).max() == 47  # below 48 px, cut to whole pixels, along both axes
    np.testing.assert_allclose(offsets.std(0), 96 / np.sqrt(12), rtol=0.05)
    assert {change.width for change in changes} == {480.0}
    for name, low, high in (
        ('brightness', 0.5, 1.5), ('contrast', 0.5, 1.5), ('saturation', 0.5, 1.5),
        ('hue', -0.15, 0.15),
    ):  # fmt: skip
        values = np.array([getattr(change.colours, name) for change in changes])
        assert low <= values.min() < low + 0.01 < high - 0.01 < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)
    blur = np.concatenate([change.blur_px for change in changes])
    assert blur.min() >= 0 and blur.max() <= 0.5 and abs(blur.mean() - 0.25) < 0.01
    orders = np.concatenate([change.orders for change in changes])
    assert len(np.unique(orders, axis=0)) == 24  # anew for each image


def test_official_scale_is_odd_and_sane_scale_is_not():
    def widths(rule):
        rng = np.random.default_rng(4)
        augmentation = ClipAugmentation(scale=0.2, scale_rule=rule)
        drawn = [
            draw_clip_change(augmentation, num_images=1, size=SIZE, rng=rng) for _ in range(500)
        ]
        return np.array([change.width for change in drawn]) / 480

    official_widths, sane = widths('official'), widths('sane')
    assert (official_widths == 0.8).mean() > 0.99  # clip(0.2 (1 + n), 0.8, 1.2)
    assert sane.min() < 0.81 and sane.max() > 1.19 and abs(sane.mean() - 1) < 0.02


@pytest.mark.parametrize(
    'name', ['shift', 'scale', 'blur', 'brightness', 'contrast', 'saturation', 'hue']
)
def test_each_kind_can_be_switched_off_alone(name):
    on = ClipAugmentation(scale=0.2, scale_rule='sane')
    off = on.replace(**{name: 0.0})

    def drawn(augmentation):
        rng = np.random.default_rng(6)
        return draw_clip_change(augmentation, num_images=3, size=SIZE, rng=rng)

    with_it, without = drawn(on), drawn(off)
    values = {
        'shift': (without.center, np.array([240.0, 135.0])),
        'scale': (without.width, 480.0),
        'blur': (without.blur_px, np.zeros(3)),
        'brightness': (without.colours.brightness, 1.0),
        'contrast': (without.colours.contrast, 1.0),
        'saturation': (without.colours.saturation, 1.0),
        'hue': (without.colours.hue, 0.0),
    }
    np.testing.assert_array_equal(*values.pop(name))
    # The others are drawn as they were.
    other = {
        'shift': with_it.center, 'scale': with_it.width, 'blur': with_it.blur_px,
        **dataclasses.asdict(with_it.colours),
    }  # fmt: skip
    for kind, (value, _) in values.items():
        np.testing.assert_array_equal(value, other[kind])


def test_nothing_switched_on_changes_nothing():
    images = np.random.default_rng(7).integers(0, 256, (3, 270, 480, 3)).astype(np.uint8)
    clip = clip_of(images, np.eye(3))
    rng = np.random.default_rng(0)
    change = draw_clip_change(NO_CLIP_AUGMENTATION, num_images=3, size=SIZE, rng=rng)
    changed = change_clip(clip, change)
    np.testing.assert_array_equal(changed.images, clip.images)
    np.testing.assert_array_equal(changed.truth.joints_2d, clip.truth.joints_2d)
    np.testing.assert_array_equal(changed.truth.boxes, clip.truth.boxes)
    np.testing.assert_array_equal(changed.K, clip.K)


def test_padding_repeats_the_last_changed_image():
    images = np.random.default_rng(8).integers(0, 256, (4, 270, 480, 3)).astype(np.uint8)
    images[2:] = images[1]
    not_padding = np.array([True, True, False, False])
    rng = np.random.default_rng(0)
    change = draw_clip_change(ClipAugmentation(), num_images=4, size=SIZE, rng=rng)
    changed = change_clip(clip_of(images, np.eye(3), not_padding=not_padding), change)
    assert not np.array_equal(changed.images[0], changed.images[1])
    np.testing.assert_array_equal(changed.images[2], changed.images[1])
    np.testing.assert_array_equal(changed.images[3], changed.images[1])


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match='hue must be 0 to 0.5, got 0.6'):
        ClipAugmentation(hue=0.6)
    with pytest.raises(ConfigError, match="'official' or 'sane'"):
        ClipAugmentation(scale_rule='normal')


def test_missing_pillow_is_told_with_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'PIL.Image', None)
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(
        MissingPackageError, match=r'augmentation of clips.*hand_perception\[train'
    ):
        change_colours(image, ColourFactors(contrast=1.2), order=np.arange(4))
