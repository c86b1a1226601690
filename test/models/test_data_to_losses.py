"""What data sets give at their edges goes through loading and losses without harm."""

import pickle

import ego_trees
import hand_trees
import numpy as np
import pytest
import torch

from hand_perception.augmentation.settings import ClipAugmentation, CropAugmentation
from hand_perception.datasets.clips import open_clips, open_images, open_split
from hand_perception.datasets.hands import open_hands
from hand_perception.errors import DatasetError
from hand_perception.models.hamer.network import HamerOutput
from hand_perception.models.htt.module import HttHeads, HttOutput
from hand_perception.training.hamer_batches import HandCrops, collate_crops
from hand_perception.training.hamer_losses import hamer_losses
from hand_perception.training.htt_batches import HttClips, collate_clips
from hand_perception.training.htt_losses import htt_losses
from hand_perception.training.loading import BatchOrder, Loader
from hand_perception.training.task import Draw

CPU = torch.device('cpu')
SHORT = {'window': 8, 'pose_window': 4}


@pytest.fixture(scope='module')
def h2o(tmp_path_factory):
    return ego_trees.h2o(tmp_path_factory.mktemp('h2o'))


def htt_output(num_images, num_clips, joints=42):
    """What an untrained network might say."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=random).requires_grad_()

    heads = HttHeads(
        raw=draw(num_images, joints, 3), object_logits=draw(num_images, 8),
        action_inputs=draw(num_images, 4),
    )  # fmt: skip
    return HttOutput(
        feat_resnet=draw(num_images, 4), feat_pose=draw(num_images, 4), heads=heads,
        action_logits=draw(num_clips, 36),
    )  # fmt: skip


def test_a_segment_of_one_image_counts_as_one_image(h2o):
    clips = open_clips('h2o', h2o, 'val', windows='training', **SHORT)
    (number,) = (
        index
        for index, (segment, _) in enumerate(clips.starts)
        if clips.split.segments[segment].num_frames == 1
    )
    data = HttClips(clips, augmentation=ClipAugmentation(), seed=1)
    batch = collate_clips([data[Draw(0, number)]])
    assert batch.not_padding.tolist() == [True, *[False] * 7]
    output = htt_output(8, 1)
    losses = htt_losses(output, batch.targets)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    grad = output.hand_raw.grad
    assert grad[0].abs().sum() > 0 and not grad[1:].any()


def test_the_unlabelled_test_table_teaches_hands_and_no_actions(h2o):
    clips = open_clips('h2o', h2o, 'test', windows='evaluation', **SHORT)
    batch = collate_clips([HttClips(clips)[Draw(0, 0)]])
    output = htt_output(8, 1)
    losses = htt_losses(output, batch.targets)
    losses.total.backward()
    assert losses.actions == 0 and losses.objects == 0
    assert not output.action_logits.grad.any()
    assert output.hand_raw.grad.abs().sum() > 0


def test_a_hand_that_is_not_annotated_teaches_nothing(tmp_path):
    root = ego_trees.h2o(tmp_path)
    for path in (root / 'subject3/k2/0/cam4/hand_pose').iterdir():
        path.write_text(' '.join(['0', *['nan'] * 63] + path.read_text().split()[64:]))
    clips = open_clips('h2o', root, 'val', windows='evaluation', **SHORT)
    names = [clips.split.segments[segment].recording for segment, _ in clips.starts]
    data = HttClips(clips, augmentation=ClipAugmentation(), seed=1)
    batch = collate_clips([data[Draw(0, names.index('subject3/k2/0'))]])
    output = htt_output(8, 1)
    htt_losses(output, batch.targets).total.backward()
    grad = output.hand_raw.grad
    assert torch.isfinite(grad).all()
    assert not grad[:, :21].any() and grad[:, 21:].abs().sum() > 0


def test_nan_in_an_annotation_stops_loading_by_the_name_of_the_file(tmp_path):
    root = ego_trees.h2o(tmp_path)
    path = root / 'subject2/k1/3/cam4/hand_pose/000004.txt'
    words = path.read_text().split()
    path.write_text(' '.join([words[0], 'nan', *words[2:]]))
    data = HttClips(open_clips('h2o', root, 'train', windows='evaluation', **SHORT))
    batches = Loader(
        data, collate_clips, BatchOrder(len(data), batch_size=len(data), seed=0)
    ).batches(0, CPU)  # fmt: skip
    with pytest.raises(DatasetError, match=r'hand_pose/000004\.txt.* 1 of 126 numbers are not'):
        next(batches)


def test_loading_processes_read_an_lmdb_folder_that_this_one_has_open(h2o, tmp_path):
    split = open_split('h2o', h2o, 'val')
    files = open_images(split, 'files')
    content = {
        segment.database.encode(): {
            split.image_key(segment, frame).encode(): files.read(segment, [frame])[0].tobytes()
            for frame in range(segment.num_frames)
        }
        for segment in split.segments
    }
    root = ego_trees.h2o(tmp_path, with_images=False)
    ego_trees.write_real_lmdb(root / 'lmdb_imgs/val', content)
    data = HttClips(open_clips('h2o', root, 'val', windows='evaluation', images='lmdb', **SHORT))
    wanted = HttClips(open_clips('h2o', h2o, 'val', windows='evaluation', **SHORT))
    order = BatchOrder(len(data), batch_size=2, seed=0)
    with data.clips.images:
        data[Draw(0, 0)]  # opens the folder
        batches = Loader(data, collate_clips, order, workers=1).batches(0, CPU)
        for number in range(2):
            read = next(batches)
            known = collate_clips([wanted[draw] for draw in order.draws(number)])
            assert read.segments == known.segments
            assert torch.equal(read.images, known.images)
        batches.close()


def hamer_output(count):
    """What an untrained network might say."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=random).requires_grad_()

    return HamerOutput(
        rotations=draw(count, 16, 3, 3), betas=draw(count, 10), pred_cam=draw(count, 3),
        pred_cam_t=draw(count, 3), vertices=draw(count, 5, 3), keypoints=draw(count, 21, 3),
        joints=draw(count, 16, 3), pred_keypoints_2d=draw(count, 21, 2),
    )  # fmt: skip


@pytest.mark.parametrize(
    ('kind', 'split', 'knows'),
    [
        ('freihand', 'train', {'keypoints_2d', 'keypoints_3d', 'betas'}),
        ('ho3d', 'train', {'keypoints_2d', 'keypoints_3d', 'global_orient', 'hand_pose', 'betas'}),
        ('hint', 'train', {'keypoints_2d'}),
        ('hamer_eval', 'test', {'keypoints_2d', 'keypoints_3d', 'global_orient', 'hand_pose'}),
    ],
)
def test_hands_teach_what_their_data_set_knows_and_nothing_else(tmp_path, kind, split, knows):
    hands = open_hands(kind, getattr(hand_trees, kind)(tmp_path), split)
    data = HandCrops(hands, augmentation=CropAugmentation(), seed=3)
    order = BatchOrder(len(data), batch_size=len(data), seed=3)
    batch = next(Loader(data, collate_crops, order).batches(0, CPU))
    assert sorted(batch.names) == sorted(hands.name(index) for index in range(len(hands)))
    output = hamer_output(len(hands))
    losses = hamer_losses(output, batch.targets)
    losses.total.backward()
    for name in ('keypoints_2d', 'keypoints_3d', 'global_orient', 'hand_pose', 'betas'):
        value = getattr(losses, name).item()
        assert np.isfinite(value)
        assert (value > 0) == (name in knows), name
    assert torch.isfinite(output.keypoints.grad).all()


def test_an_image_of_ho3d_without_annotation_teaches_nothing_and_stops_nothing(tmp_path):
    root = hand_trees.ho3d(tmp_path)
    path = root / 'train/ABF10/meta/0000.pkl'
    hand_trees.write_meta(path, pickle.loads(path.read_bytes()) | {'handJoints3D': None})
    data = HandCrops(open_hands('ho3d', root, 'train'), augmentation=CropAugmentation())
    output = hamer_output(1)
    losses = hamer_losses(output, collate_crops([data[Draw(0, 0)]]).targets)
    losses.total.backward()
    assert losses.total.item() == 0
    assert not output.keypoints.grad.any()


@pytest.mark.parametrize('kind', ['freihand', 'ho3d', 'hint', 'hamer_eval'])
def test_crops_show_the_whole_hand_and_points_lie_in_it(tmp_path, kind):
    split = 'test'
    hands = open_hands(kind, getattr(hand_trees, kind)(tmp_path), split)
    batch = collate_crops([HandCrops(hands)[Draw(0, number)] for number in range(len(hands))])
    points = batch.targets.keypoints_2d
    seen = points[..., :2][points[..., 2] > 0]
    # The box is grown to twice its size, so that joints keep to the middle half of the crop.
    assert seen.abs().max() <= 0.26
    assert seen.abs().max() > 0.15


def test_a_damaged_hand_is_named_whoever_reads(tmp_path):
    root = hand_trees.freihand(tmp_path)
    path = root / 'training/rgb/00000002.jpg'
    path.write_bytes(path.read_bytes()[:-50])
    data = HandCrops(open_hands('freihand', root, 'train', version='gs'))
    order = BatchOrder(len(data), batch_size=1, seed=0, is_shuffled=False)
    batches = Loader(data, collate_crops, order, workers=1).batches(0, CPU)
    assert next(batches).names == ('00000000',)
    assert next(batches).names == ('00000001',)
    with pytest.raises(DatasetError, match=r'00000002\.jpg ends in the middle'):
        next(batches)
