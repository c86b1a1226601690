import dataclasses

import numpy as np
import pytest
import torch
from drawn_samples import DrawnClips, collate_unsendable

from hand_perception.augmentation.settings import ClipAugmentation, CropAugmentation
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.training.hamer_batches import (
    MEAN_RGB,
    STD_RGB,
    HandCrops,
    collate_crops,
    normalise,
)
from hand_perception.training.htt_batches import HttClips, collate_clips
from hand_perception.training.htt_losses import UNLABELLED
from hand_perception.training.loading import BatchOrder, Loader
from hand_perception.training.mixtures import Mixture
from hand_perception.training.task import Draw

CPU = torch.device('cpu')
#: All but what Pillow is needed for.
SHIFTS = ClipAugmentation(saturation=0.0, contrast=0.0, hue=0.0)


def tensors(record):
    """All tensors of a batch, by name."""
    found = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, torch.Tensor):
            found[field.name] = value
        elif dataclasses.is_dataclass(value):
            found |= tensors(value)
    return found


def assert_same(batch, other):
    ours, theirs = tensors(batch), tensors(other)
    assert ours.keys() == theirs.keys() and ours
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_clips_become_what_the_losses_of_htt_take():
    clips = DrawnClips(6)
    batch = collate_clips([HttClips(clips)[Draw(0, number)] for number in (2, 3)])
    first, second = clips[2], clips[3]
    assert batch.images.shape == (6, 24, 40, 3) and batch.images.dtype == torch.uint8
    assert batch.window == 3 and batch.segments == ('segment 2', 'segment 3')
    targets = batch.targets
    assert targets.joints_2d.shape == (6, 42, 2) and targets.joints_3d.shape == (6, 42, 3)
    np.testing.assert_array_equal(targets.joints_3d[4, 21:], second.truth.joints_3d[1, 1])
    np.testing.assert_array_equal(targets.is_hand_valid[:3], first.truth.hand_valid)
    np.testing.assert_array_equal(batch.not_padding[3:], second.not_padding)
    assert targets.objects.tolist() == [2, 2, 2, 0, 0, 0]
    assert targets.actions.tolist() == [1, 2]
    images = batch.network_images()
    np.testing.assert_allclose(images[1].permute(1, 2, 0), first.images[1] / 255 - 0.5, atol=1e-7)
    assert batch.to(CPU).images.shape == batch.images.shape


def test_unlabelled_clips_stay_unlabelled():
    batch = collate_clips([HttClips(DrawnClips(6))[Draw(0, 4)]])
    assert batch.targets.actions.tolist() == [UNLABELLED]


def test_same_draw_gives_the_same_sample_and_others_differ():
    clips = HttClips(DrawnClips(6), augmentation=SHIFTS, seed=3)
    sample = clips[Draw(1, 2)]
    np.testing.assert_array_equal(clips[Draw(1, 2)].images, sample.images)
    assert not np.array_equal(clips[Draw(2, 2)].images, sample.images)
    other_seed = HttClips(DrawnClips(6), augmentation=SHIFTS, seed=4)
    assert not np.array_equal(other_seed[Draw(1, 2)].images, sample.images)


def test_crops_are_changed_by_their_draw_alone():
    crops = HandCrops(DrawnClips(6, num_images=1, num_hands=1), augmentation=CropAugmentation())
    batch = collate_crops([crops[Draw(0, 1)], crops[Draw(1, 1)], crops[Draw(0, 1)]])
    assert torch.equal(batch.images[0], batch.images[2])
    assert not torch.equal(batch.images[0], batch.images[1])
    assert batch.images.shape == (3, 3, 256, 256) and batch.images.dtype == torch.float32
    assert batch.image_sizes.tolist() == [[40, 24]] * 3


def test_crops_are_coloured_and_normalised_as_published():
    crops = HandCrops(DrawnClips(6, num_images=1, num_hands=1), augmentation=CropAugmentation())
    batch = collate_crops([crops[Draw(epoch, 1)] for epoch in range(5)])
    levels = batch.crops.numpy() * batch.colours.numpy()[:, None, None]
    assert levels.max() > 255  # some are cut
    wanted = (np.clip(levels, 0, 255) - MEAN_RGB) / STD_RGB
    np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1), wanted, atol=1e-6)
    on_gpu = normalise(batch.crops, batch.colours)  # in planes, as there
    assert torch.equal(batch.images, on_gpu)


def test_samples_that_are_no_single_hands_are_refused_by_name():
    crops = HandCrops(DrawnClips(6))
    with pytest.raises(DatasetError, match='segment 5 has 3 images of 2 hands'):
        crops[Draw(0, 5)]


@pytest.mark.parametrize('world_size', [1, 2])
def test_every_epoch_has_each_sample_at_most_once_in_another_order(world_size):
    orders = [
        BatchOrder(23, batch_size=3, seed=0, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    per_epoch = orders[0].batches_per_epoch
    assert per_epoch == 23 // (3 * world_size)
    epochs = []
    for epoch in range(3):
        draws = [
            draw
            for order in orders
            for batch in range(epoch * per_epoch, (epoch + 1) * per_epoch)
            for draw in order.draws(batch)
        ]
        assert {draw.epoch for draw in draws} == {epoch}
        numbers = [draw.number for draw in draws]
        assert len(set(numbers)) == len(numbers) == per_epoch * 3 * world_size
        epochs.append(numbers)
    assert epochs[0] != epochs[1] != epochs[2]


def test_two_programs_see_what_one_sees_with_batches_twice_as_large():
    one = BatchOrder(23, batch_size=6, seed=5)
    first, second = (
        BatchOrder(23, batch_size=3, seed=5, rank=rank, world_size=2) for rank in range(2)
    )
    for batch in (0, 2, 3, 7):
        assert one.draws(batch) == first.draws(batch) + second.draws(batch)


def test_order_goes_on_from_any_batch():
    order = BatchOrder(10, batch_size=4, seed=1)
    whole = order.from_batch(0)
    batches = [next(whole) for _ in range(7)]
    later = BatchOrder(10, batch_size=4, seed=1).from_batch(5)
    assert [next(later), next(later)] == batches[5:]
    assert [draw.number for draw in BatchOrder(10, batch_size=4, seed=1, is_shuffled=False).draws(1)] == [4, 5, 6, 7]  # fmt: skip # noqa: E501


def test_batch_larger_than_the_data_set_is_refused():
    with pytest.raises(ConfigError, match='need at least 8 samples, the data set has 7'):
        BatchOrder(7, batch_size=4, seed=0, world_size=2)


@pytest.mark.parametrize('workers', [0, 2])
def test_batches_do_not_depend_on_who_reads_and_where_reading_began(workers):
    clips = HttClips(DrawnClips(10), augmentation=SHIFTS, seed=2)
    order = BatchOrder(len(clips), batch_size=4, seed=2)
    batches = Loader(clips, collate_clips, order, workers=workers).batches(1, CPU)
    for number in range(1, 5):
        wanted = collate_clips([clips[draw] for draw in order.draws(number)])
        batch = next(batches)
        assert_same(batch, wanted)
        assert batch.segments == wanted.segments
    batches.close()


@pytest.mark.parametrize('workers', [0, 1])
def test_damaged_sample_is_named_whoever_reads(workers):
    clips = HttClips(DrawnClips(4, damaged=3))
    order = BatchOrder(len(clips), batch_size=2, seed=0, is_shuffled=False)
    batches = Loader(clips, collate_clips, order, workers=workers).batches(0, CPU)
    next(batches)
    with pytest.raises(DatasetError, match=r'^the image 3\.png is damaged$'):
        next(batches)


def test_reading_process_that_is_killed_ends_the_run_with_what_to_do():
    clips = HttClips(DrawnClips(4, deadly=3))
    order = BatchOrder(len(clips), batch_size=2, seed=0, is_shuffled=False)
    batches = Loader(clips, collate_clips, order, workers=1).batches(0, CPU)
    with pytest.raises(DatasetError, match=r'process that reads samples has ended .*run\.workers'):
        for _ in range(2):  # the first batch may be lost with the process
            next(batches)


def test_batch_that_cannot_be_sent_ends_the_run_and_is_not_waited_for():
    order = BatchOrder(4, batch_size=2, seed=0)
    batches = Loader(HttClips(DrawnClips(4)), collate_unsendable, order, workers=1).batches(0, CPU)
    with pytest.raises(DatasetError, match=r'process that reads samples has ended .*/dev/shm'):
        next(batches)


def test_time_spent_waiting_is_told_from_time_spent_working(monkeypatch):
    now = [0.0]
    monkeypatch.setattr('hand_perception.training.loading.time.perf_counter', lambda: now[0])

    class SlowClips(DrawnClips):
        def __getitem__(self, index):
            now[0] += 0.5  # s
            return super().__getitem__(index)

    clips = HttClips(SlowClips(8))
    loader = Loader(clips, collate_clips, BatchOrder(8, batch_size=2, seed=0))
    batches = loader.batches(0, CPU)
    next(batches)
    loader.reset_times()
    for _ in range(3):
        now[0] += 4.0  # the step
        next(batches)
    assert (loader.waited_s, loader.worked_s) == (3.0, 12.0)
    assert loader.waiting_share == 0.2


def test_mixture_draws_by_weight_and_changes_repeats_anew():
    parts = [HttClips(DrawnClips(size)) for size in (5, 50)]
    mixture = Mixture(parts, [3, 1], length=2000, seed=1)
    chosen = [mixture.choose(Draw(2, number)) for number in range(len(mixture))]
    share = np.mean([part == 0 for part, _ in chosen])
    assert abs(share - 0.75) < 0.03
    assert {draw.number for part, draw in chosen if part == 0} == set(range(5))
    assert {draw.number for part, draw in chosen if part == 1} == set(range(50))
    # The epoch handed on is another one each time, and so is what is drawn for the sample.
    assert len({draw.epoch for _, draw in chosen}) == 2000
    assert mixture.choose(Draw(2, 7)) == chosen[7]
    assert mixture.choose(Draw(3, 7)) != chosen[7]
    assert mixture[Draw(2, 7)].segment == f'segment {chosen[7][1].number}'


@pytest.mark.parametrize('weights', [[1], [1, -1], [0, 0]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ConfigError, match='2 data sets need as many weights'):
        Mixture([HttClips(DrawnClips(3))] * 2, weights)


def test_empty_part_of_a_mixture_is_refused():
    with pytest.raises(ConfigError, match='data set 1 of the mixture has no samples'):
        Mixture([HttClips(DrawnClips(3)), HttClips(DrawnClips(0))], [1, 1])
