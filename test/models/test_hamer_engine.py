"""The engine runs any number of hands through few batch sizes and survives a full memory.

CUDA graphs need a GPU; here a stand-in records the work of a bucket and replays it, so that
buckets, buffers, packing and the way out of memory are the real ones.
"""

import hamer_files
import numpy as np
import pytest
import torch

from hand_perception.errors import ConfigError, ImageError
from hand_perception.models.hamer.engine import BUCKETS, HamerEngine
from hand_perception.models.hamer.network import HamerNetwork


class Recorder:
    """Stands for graph capture: replays the work, counts, and runs out of memory when told."""

    def __init__(self):
        self.captured = []
        self.replayed = []
        self.too_large = 99  # batches from this size do not fit
        self.works = {}

    def __call__(self, work):
        (bucket,) = work.args
        self._check(bucket)
        work()
        self.captured.append(bucket)

        def replay():
            self._check(bucket)
            self.replayed.append(bucket)
            work()

        return replay

    def _check(self, bucket):
        if bucket >= self.too_large:
            raise torch.cuda.OutOfMemoryError(f'CUDA out of memory with {bucket}')


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    folder = hamer_files.write_flat(tmp_path_factory.mktemp('hamer'))
    return HamerNetwork.load(folder, device='cpu')


@pytest.fixture
def recorder():
    return Recorder()


def crops(count):
    """As many crops as asked for, all different."""
    three = hamer_files.reference()['crops_rgb']
    return np.stack([np.roll(three[i % 3], i, axis=0) for i in range(count)])


def expect_same(hands, network, images):
    """What came out is what the network says of each crop alone."""
    assert len(hands) == len(images)
    for i, image in enumerate(images):
        alone = network(network.normalize(torch.from_numpy(image[None].copy())))
        for name in ('rotations', 'betas', 'pred_cam', 'pred_cam_t', 'vertices', 'keypoints',
                     'joints', 'pred_keypoints_2d'):  # fmt: skip
            found, wanted = getattr(hands, name)[i], getattr(alone, name)[0].numpy()
            # Batches of other sizes sum in another order: 1e-5 in the matrices, less elsewhere.
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize('count', [1, 2, 5, 8, 11])
def test_any_number_of_hands_comes_out_in_order(network, recorder, count):
    engine = HamerEngine(network, capture=recorder)
    images = crops(count)
    expect_same(engine.run(images), network, images)


@pytest.mark.parametrize(
    ('count', 'buckets'),
    [(1, [1]), (3, [3]), (5, [6]), (7, [8]), (8, [8]), (9, [8, 1]), (21, [8, 8, 6])],
)
def test_batch_takes_the_smallest_bucket_that_holds_it(network, recorder, count, buckets):
    engine = HamerEngine(network, capture=recorder)
    engine.warm_up()
    engine.run(crops(count))
    assert recorder.replayed[len(BUCKETS) :] == buckets


def test_warm_up_records_every_bucket_once_and_nothing_later_does(network, recorder):
    engine = HamerEngine(network, capture=recorder)
    engine.warm_up()
    assert engine.device_name == 'cpu fp32'
    assert recorder.captured == [
        8,
        6,
        4,
        3,
        2,
        1,
    ]  # the largest first: the others share its memory
    for count in (1, 5, 8, 9):
        engine.run(crops(count))
    assert len(recorder.captured) == len(BUCKETS)


def test_rows_of_hands_that_were_there_before_do_not_leak(network, recorder):
    engine = HamerEngine(network, capture=recorder)
    engine.run(crops(8))
    images = crops(8)[5:]
    expect_same(engine.run(images), network, images)


def test_results_are_the_callers_to_keep(network, recorder):
    engine = HamerEngine(network, capture=recorder)
    first = engine.run(crops(2))
    before = first.vertices.copy()
    engine.run(crops(8)[4:6])
    np.testing.assert_array_equal(first.vertices, before)


def test_no_hands_need_no_work(network, recorder):
    engine = HamerEngine(network, capture=recorder)
    engine.warm_up()
    recorder.replayed.clear()
    hands = engine.run(crops(3)[:0])
    assert len(hands) == 0
    assert hands.vertices.shape == (0, 778, 3)
    assert recorder.replayed == []


def test_bytes_floats_and_tensors_give_the_same_hands(network, recorder):
    engine = HamerEngine(network, capture=recorder)
    images = crops(2)
    wanted = engine.run(images).vertices
    for same in (images.astype(np.float32), torch.from_numpy(images)):
        np.testing.assert_array_equal(engine.run(same).vertices, wanted)


def test_without_capture_batches_run_in_their_own_size(network):
    engine = HamerEngine(network)
    images = crops(5)
    expect_same(engine.run(images), network, images)


def test_memory_that_does_not_suffice_for_the_largest_buckets_is_told_and_survived(
    network, recorder, caplog
):
    recorder.too_large = 4
    engine = HamerEngine(network, capture=recorder)
    engine.warm_up()
    assert engine.device_name == 'cpu fp32, at most 3 hands at once'
    assert engine.buckets == (1, 2, 3)
    assert 'out of memory on cpu with 8 hands at once' in caplog.text
    assert 'at most 3 at once' in caplog.text
    images = crops(7)
    expect_same(engine.run(images), network, images)


def test_memory_that_fills_up_while_running_loses_no_hand(network, recorder, caplog):
    engine = HamerEngine(network, capture=recorder)
    engine.warm_up()
    recorder.too_large = 3
    images = crops(6)
    expect_same(engine.run(images), network, images)
    assert engine.buckets == (1, 2)
    assert caplog.text.count('out of memory') == 3  # at 6, 4 and 3 hands at once


def test_memory_for_not_even_one_hand_is_an_error_that_says_what_to_do(network, recorder):
    recorder.too_large = 1
    engine = HamerEngine(network, capture=recorder)
    with pytest.raises(ConfigError, match='does not suffice for one hand'):
        engine.warm_up()
    recorder.too_large = 99  # another program gave its memory back
    images = crops(1)
    expect_same(engine.run(images), network, images)


@pytest.mark.parametrize(
    'bad',
    [
        np.zeros((2, 3, 256, 256), np.uint8),
        np.zeros((256, 256, 3), np.uint8),
        np.zeros((1, 224, 224, 3), np.uint8),
        np.zeros((1, 256, 256, 3), np.float64),
    ],
)
def test_crops_of_another_shape_or_type_are_refused(network, bad):
    with pytest.raises(ImageError, match=r'\(N, 256, 256, 3\), got'):
        HamerEngine(network).run(bad)


@pytest.mark.parametrize('buckets', [(), (0, 1)])
def test_buckets_must_be_numbers_from_one(network, buckets):
    with pytest.raises(ConfigError, match='buckets must be numbers from 1'):
        HamerEngine(network, buckets=buckets)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'fp16'])
def test_graphs_on_a_gpu_give_the_hands_of_the_cpu(tmp_path, network, precision):
    folder = hamer_files.write_flat(tmp_path)
    engine = HamerEngine(HamerNetwork.load(folder, device='cuda', precision=precision))
    engine.warm_up()
    images = crops(11)
    wanted = HamerEngine(network).run(images)
    atol_m = {'fp32': 1e-5, 'bf16': 3e-3, 'fp16': 5e-4}[precision]
    np.testing.assert_allclose(engine.run(images).vertices, wanted.vertices, rtol=0, atol=atol_m)
