import augmentation_reference as official
import cv2
import numpy as np
import pytest
import torch

from hand_perception.augmentation.crop import (
    NO_CHANGE,
    CropChange,
    draw_crop_change,
    square_side,
)
from hand_perception.augmentation.settings import NO_CROP_AUGMENTATION, CropAugmentation
from hand_perception.datasets.sample import HandTruth, ManoTruth, Sample
from hand_perception.errors import DatasetError
from hand_perception.models.hand_model import load_hand_model
from hand_perception.training.hamer_batches import (
    MEAN_RGB,
    STD_RGB,
    HandCrops,
    collate_crops,
    crop_sample,
)
from hand_perception.training.task import Draw

#: Grey levels: OpenCV 5 rounds 8-bit images differently from OpenCV 4.
ATOL_LEVELS = 2


@pytest.fixture(scope='module')
def reference():
    return official.load()


def hand_sample(image, *, box, is_right, joints_2d, confidence_2d=None, **truth):
    def one(values):
        return None if values is None else np.asarray(values)[None, None]

    return Sample(
        dataset='drawn', segment='one', images=image[None],
        truth=HandTruth(
            joints_2d=one(joints_2d), joints_3d=one(truth.get('joints_3d', np.zeros((21, 3)))),
            hand_valid=np.ones((1, 1), bool), boxes=one(box), confidence_2d=one(confidence_2d),
            confidence_3d=one(truth.get('confidence_3d')), mano=truth.get('mano'),
        ),
        is_right=(is_right,), K=np.eye(3, dtype=np.float32)[None], action=-1, object=-1,
        not_padding=np.ones(1, bool), frames=np.zeros(1, np.int64),
    )  # fmt: skip


def mano_of(orient, pose, betas):
    return ManoTruth(
        global_orient=orient[None, None], hand_pose=pose[None, None], betas=betas[None, None],
        has_pose=np.ones((1, 1), bool), has_betas=np.ones((1, 1), bool),
    )  # fmt: skip


def drawn_hand(is_right):
    hand = official.crop_hand()
    center, half = np.array(official.CENTER_PX), official.SIDE_PX / 2
    return hand_sample(
        official.crop_image(),
        box=np.concatenate((center - half, center + half)).astype(np.float32),
        is_right=is_right,
        joints_2d=hand['joints_2d'], confidence_2d=hand['confidence_2d'],
        joints_3d=hand['joints_3d'], confidence_3d=hand['confidence_3d'],
        mano=mano_of(hand['global_orient'], hand['hand_pose'], hand['betas']),
    )  # fmt: skip


def grey_levels(batch):
    """(B, 256, 256, 3) of normalised images."""
    return batch.images.permute(0, 2, 3, 1).numpy() * STD_RGB + MEAN_RGB


@pytest.mark.parametrize('number', range(len(official.CROPS)))
def test_training_crops_equal_the_published_loader(reference, number):
    is_right, scale, turn, shift, colour = official.CROPS[number]
    change = CropChange(scale=scale, rotation_deg=turn, shift=shift, colour=colour)
    crop = crop_sample(
        drawn_hand(is_right), change, number=0, square_rule='longer_side', box_growth=1.0
    )
    batch = collate_crops([crop])
    step = official.CROP_STEP
    np.testing.assert_allclose(
        grey_levels(batch)[0, ::step, ::step].transpose(2, 0, 1),
        reference[f'crop{number}_levels'], atol=ATOL_LEVELS,
    )  # fmt: skip
    targets = batch.targets
    for name, atol in (
        ('keypoints_2d', 1e-6),  # crop units, 2.6e-4 px
        ('keypoints_3d', 1e-7),  # m
        ('global_orient', 1e-6),  # rad
        ('hand_pose', 0.0),
        ('betas', 0.0),
    ):
        np.testing.assert_allclose(
            getattr(targets, name)[0].numpy(), reference[f'crop{number}_{name}'], atol=atol
        )


@pytest.mark.parametrize('rule', list(official.EVALUATION_RULES))
def test_evaluation_crops_equal_the_published_loader(reference, rule):
    with np.load(official.PATH.parent / 'hamer_crops.npz') as stored:
        image = cv2.imdecode(stored['image_png'], cv2.IMREAD_COLOR)[..., ::-1]
    square_rule, growth = official.EVALUATION_RULES[rule]
    samples = []
    for center, size, is_right, points in zip(
        *(reference[f'eval_{name}'] for name in ('center', 'scale', 'right', 'hand_keypoints_2d')),
        strict=True,
    ):
        box = np.concatenate((center - size / 2, center + size / 2)).astype(np.float32)
        samples.append(
            hand_sample(image, box=box, is_right=bool(is_right), joints_2d=points[:, :2],
                        confidence_2d=points[:, 2])
        )  # fmt: skip
    crops = HandCrops(samples, square_rule=square_rule, box_growth=growth)
    batch = collate_crops([crops[Draw(0, number)] for number in range(len(samples))])
    step = official.EVALUATION_STEP
    np.testing.assert_allclose(
        grey_levels(batch).transpose(0, 3, 1, 2)[..., ::step, ::step],
        reference[f'eval_{rule}_levels'].astype(float), atol=ATOL_LEVELS,
    )  # fmt: skip
    np.testing.assert_allclose(
        batch.targets.keypoints_2d, reference[f'eval_{rule}_keypoints_2d'], atol=5e-7
    )  # crop units
    np.testing.assert_allclose(batch.sides, reference[f'eval_{rule}_box_size'], rtol=1e-6)
    np.testing.assert_allclose(
        batch.expansions, reference[f'eval_{rule}_bbox_expand_factor'], rtol=1e-6
    )
    np.testing.assert_array_equal(batch.centers, reference['eval_center'])
    np.testing.assert_array_equal(batch.is_right, reference['eval_right'] > 0)


@pytest.mark.parametrize('turn', [0.0, 40.0, -55.0])
@pytest.mark.parametrize('is_right', [True, False])
def test_turned_parameters_and_turned_joints_tell_the_same_hand(turn, is_right):
    """With the changed parameters the model makes the changed joints, mirrored if left."""
    rng = np.random.default_rng(9)
    right_hand = load_hand_model('default')
    orient, pose = rng.uniform(-1, 1, 3), rng.uniform(-0.3, 0.3, 45)
    betas = np.zeros(10)

    def keypoints(orient, pose):
        rotations = [
            cv2.Rodrigues(np.asarray(a, float))[0] for a in (orient, *pose.reshape(-1, 3))
        ]
        mesh = right_hand.from_rotations(
            rotations=torch.tensor(np.array(rotations)[None], dtype=torch.float32),
            betas=torch.tensor(betas[None], dtype=torch.float32),
        )
        return mesh.keypoints[0].numpy()

    mirror = np.array([1, -1, -1])
    joints = keypoints(orient, pose)
    if not is_right:  # the parameters of MANO's left hand, and what it looks like
        joints = joints * (-1, 1, 1)
        orient, pose = orient * mirror, (pose.reshape(-1, 3) * mirror).reshape(45)
    image = np.zeros((100, 120, 3), np.uint8)
    sample = hand_sample(
        image, box=np.float32([10, 10, 90, 90]), is_right=is_right,
        joints_2d=np.zeros((21, 2), np.float32), joints_3d=joints.astype(np.float32),
        mano=mano_of(orient.astype(np.float32), pose.astype(np.float32), np.zeros(10, np.float32)),
    )  # fmt: skip
    change = CropChange(scale=1.1, rotation_deg=turn, shift=(0.0, 0.0), colour=(1.0, 1.0, 1.0))
    crop = crop_sample(sample, change, number=0, square_rule='longer_side', box_growth=1.0)
    found = keypoints(crop.global_orient, crop.hand_pose)
    wanted = crop.keypoints_3d[:, :3]
    # The root joint lies off the origin of the model, so only what is relative to it turns.
    np.testing.assert_allclose(found - found[0], wanted - wanted[0], atol=2e-6)  # m


@pytest.mark.parametrize('is_right', [True, False])
def test_turned_keypoints_stay_on_what_they_were_on(is_right):
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(image, (250, 120), 4, (255, 255, 255), -1)
    joints = np.full((21, 2), (250, 120), np.float32)
    sample = hand_sample(
        image, box=np.float32([150, 60, 290, 200]), is_right=is_right, joints_2d=joints
    )
    for seed in range(5):
        change = draw_crop_change(CropAugmentation(), np.random.default_rng(seed))
        crop = crop_sample(sample, change, number=0, square_rule='longer_side', box_growth=2.0)
        rows, columns = np.nonzero(crop.image[..., 0] > 100)
        middle = np.array([columns.mean(), rows.mean()]) / 256 - 0.5
        np.testing.assert_allclose(crop.keypoints_2d[0, :2], middle, atol=0.3 / 256)  # 0.3 px


def test_draws_follow_the_published_distributions():
    rng = np.random.default_rng(10)
    changes = [draw_crop_change(CropAugmentation(), rng) for _ in range(4000)]
    scales = np.array([change.scale for change in changes])
    # Normal numbers that are cut at 1: a third of them end up at the limits.
    assert scales.min() == 0.7 and scales.max() == 1.3
    assert 0.28 < np.isin(scales, (scales.min(), scales.max())).mean() < 0.36
    turns = np.array([change.rotation_deg for change in changes])
    assert turns.min() == -60 and turns.max() == 60
    assert 0.36 < (turns == 0).mean() < 0.44
    assert 24 < turns[turns != 0].std() < 30
    shifts = np.array([change.shift for change in changes])
    np.testing.assert_allclose(np.abs(shifts).max(0), 0.02)
    colours = np.array([change.colour for change in changes])
    assert 0.8 <= colours.min() < 0.81 and 1.19 < colours.max() <= 1.2
    np.testing.assert_allclose(np.corrcoef(colours.T) - np.eye(3), 0, atol=0.06)


@pytest.mark.parametrize('name', ['scale', 'rotation_deg', 'rotation_share', 'shift', 'colour'])
def test_each_kind_can_be_switched_off_alone(name):
    changed = draw_crop_change(CropAugmentation(rotation_share=1.0), np.random.default_rng(11))
    without = CropAugmentation(rotation_share=1.0).replace(**{name: 0.0})
    found = draw_crop_change(without, np.random.default_rng(11))
    field = 'rotation_deg' if name == 'rotation_share' else name
    assert getattr(found, field) == getattr(NO_CHANGE, field)
    for other in {'scale', 'rotation_deg', 'shift', 'colour'} - {field}:
        assert getattr(found, other) == getattr(changed, other) != getattr(NO_CHANGE, other)


def test_nothing_switched_on_changes_nothing():
    assert draw_crop_change(NO_CROP_AUGMENTATION, np.random.default_rng(0)) == NO_CHANGE


@pytest.mark.parametrize(
    ('rule', 'size', 'side', 'expansion'),
    [
        ('longer_side', (60, 100), 200, 2.0),
        ('longer_side', (100, 60), 200, 2.0),
        ('three_by_four', (60, 100), 200, 2.0),
        ('three_by_four', (90, 60), 240, 240 / 90),
    ],
)
def test_squares_follow_their_rule(rule, size, side, expansion):
    found = square_side(np.float32(size), rule=rule, growth=2.0)
    np.testing.assert_allclose(found, (side, expansion), rtol=1e-6)


def test_hand_without_box_gets_one_around_its_annotated_joints():
    joints = np.random.default_rng(12).uniform(40, 90, (21, 2)).astype(np.float32)
    confidence = np.ones(21, np.float32)
    joints[3], confidence[3] = (5000, 5000), 0
    sample = hand_sample(
        np.zeros((100, 120, 3), np.uint8), box=None, is_right=True, joints_2d=joints,
        confidence_2d=confidence,
    )  # fmt: skip
    crop = crop_sample(sample, NO_CHANGE, number=0, square_rule='longer_side', box_growth=2.0)
    seen = np.delete(joints, 3, 0)
    low, high = seen.min(0), seen.max(0)
    np.testing.assert_allclose(crop.center, (low + high) / 2)
    np.testing.assert_allclose(crop.side, 2 * (high - low).max(), rtol=1e-6)


def test_hand_that_lies_nowhere_is_refused_by_name():
    sample = hand_sample(
        np.zeros((100, 120, 3), np.uint8), box=None, is_right=True,
        joints_2d=np.zeros((21, 2), np.float32), confidence_2d=np.zeros(21, np.float32),
    )  # fmt: skip
    with pytest.raises(DatasetError, match='one has neither a box nor joints'):
        crop_sample(sample, NO_CHANGE, number=0, square_rule='longer_side', box_growth=2.0)


def test_unknown_parameters_have_no_flag():
    sample = hand_sample(
        np.zeros((100, 120, 3), np.uint8), box=np.float32([10, 10, 50, 60]), is_right=False,
        joints_2d=np.zeros((21, 2), np.float32),
    )  # fmt: skip
    batch = collate_crops(
        [crop_sample(sample, NO_CHANGE, number=4, square_rule='longer_side', box_growth=2.0)]
    )
    assert not batch.targets.has_hand_pose and not batch.targets.has_betas
    assert batch.numbers.tolist() == [4] and batch.names == ('one',)
    assert not batch.is_right
