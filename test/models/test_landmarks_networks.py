"""The networks give what the published ones give, on any device and in any batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hand_perception.models.landmarks.frozen import freeze_for_cpu
from hand_perception.models.landmarks.networks import (
    HandLandmarkNetwork,
    PalmDetector,
    SameConv2d,
)
from hand_perception.models.landmarks.weight_files import WEIGHTS_DIR, load_network

DATA_DIR = Path(__file__).resolve().parents[1] / 'data'


@pytest.fixture(scope='module')
def reference():
    with np.load(DATA_DIR / 'landmarks_parity.npz') as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(scope='module')
def palm():
    return load_network(PalmDetector, WEIGHTS_DIR / 'palm_detection_full.npz')


@pytest.fixture(scope='module')
def landmark():
    return load_network(HandLandmarkNetwork, WEIGHTS_DIR / 'hand_landmark_full.npz')


def to_tensor(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def run(network, images):
    with torch.inference_mode():
        return network(to_tensor(images)).numpy()


def test_palm_detector_equals_litert_on_stored_images(palm, reference):
    ours = run(palm, reference['palm_inputs'])
    # Input pixels, values up to 180: the sums are taken in another order, nothing else differs.
    np.testing.assert_allclose(ours, reference['palm_outputs'], rtol=0, atol=1e-3)


def test_landmark_network_equals_litert_on_stored_crops(landmark, reference):
    ours = run(landmark, reference['crops'])
    expected = reference['crop_outputs']
    np.testing.assert_allclose(ours[:, :63], expected[:, :63], rtol=0, atol=1e-3)  # crop pixels
    np.testing.assert_allclose(ours[:, 63:126], expected[:, 63:126], rtol=0, atol=1e-5)  # 10 um
    np.testing.assert_allclose(ours[:, 126:], expected[:, 126:], rtol=0, atol=1e-4)  # scores


def test_stored_crops_show_what_the_outputs_say(reference):
    # Guards the fixture itself: hands in all crops, spread over the crop, both sides among them.
    outputs = reference['crop_outputs']
    assert (outputs[:, 126] > 0.9).all()
    xy = outputs[:, :63].reshape(-1, 21, 3)[..., :2]
    assert np.ptp(xy, axis=1).max(-1).min() > 50  # crop pixels
    assert outputs[:, 127].min() < 0.1
    assert outputs[:, 127].max() > 0.9


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_memory_layout_does_not_change_the_result(landmark, reference, layout):
    crop = to_tensor(reference['crops'][:1]).contiguous(memory_format=layout)
    with torch.inference_mode():
        ours = landmark(crop).numpy()
    np.testing.assert_allclose(ours, reference['crop_outputs'][:1], rtol=0, atol=1e-3)


@pytest.mark.parametrize('name', ['palm', 'landmark'])
def test_batch_equals_single_images(name, request, reference):
    network = request.getfixturevalue(name)
    images = reference['palm_inputs' if name == 'palm' else 'crops']
    singles = np.concatenate([run(network, images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_allclose(run(network, images), singles, rtol=0, atol=1e-3)  # input pixels


@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('name', ['palm', 'landmark'])
def test_frozen_network_equals_litert_for_any_batch(name, batch, request, reference):
    network = request.getfixturevalue(name)
    images = reference['palm_inputs' if name == 'palm' else 'crops'][:batch]
    expected = reference['palm_outputs' if name == 'palm' else 'crop_outputs'][:batch]
    frozen = freeze_for_cpu(network, to_tensor(images[:1]))
    assert frozen is not network
    for _ in range(3):  # torch.jit changes a graph in its first runs
        np.testing.assert_allclose(run(frozen, images), expected, rtol=0, atol=1e-3)


def test_network_runs_unfrozen_where_torch_jit_is_gone(landmark, monkeypatch, caplog):
    def gone(*args, **kwargs):
        raise RuntimeError('torch.jit was removed')

    monkeypatch.setattr(torch.jit, 'trace', gone)
    assert freeze_for_cpu(landmark, torch.zeros(1, 3, 224, 224)) is landmark
    assert 'torch.jit was removed' in caplog.text


def test_frozen_network_that_gives_something_else_is_not_used(landmark, monkeypatch, caplog):
    def twice(frozen):
        return lambda x: frozen(x) * 2

    monkeypatch.setattr(torch.jit, 'optimize_for_inference', twice)
    assert freeze_for_cpu(landmark, torch.zeros(1, 3, 224, 224)) is landmark
    assert 'changed a result' in caplog.text


@pytest.mark.gpu
@pytest.mark.parametrize('name', ['palm', 'landmark'])
def test_cuda_equals_cpu(name, reference):
    if not torch.cuda.is_available():
        pytest.skip('torch finds no CUDA device')
    network_class, file = {
        'palm': (PalmDetector, 'palm_detection_full'),
        'landmark': (HandLandmarkNetwork, 'hand_landmark_full'),
    }[name]
    network = load_network(network_class, WEIGHTS_DIR / f'{file}.npz').cuda()
    images = reference['palm_inputs' if name == 'palm' else 'crops']
    with torch.inference_mode():
        ours = network(to_tensor(images).cuda()).cpu().numpy()
    expected = reference['palm_outputs' if name == 'palm' else 'crop_outputs']
    # Input pixels: cuDNN may multiply with 10 bits of mantissa (TF32).
    np.testing.assert_allclose(ours, expected, rtol=0, atol=0.25)


@pytest.mark.parametrize(('kernel', 'stride'), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_same_convolution_pads_more_at_the_right_and_bottom(kernel, stride):
    torch.manual_seed(0)
    layer = SameConv2d(2, 3, kernel, stride=stride)
    x = torch.randn(1, 2, 8, 8)
    total = kernel - stride
    before, after = total // 2, total - total // 2
    padded = torch.nn.functional.pad(x, (before, after, before, after))
    expected = torch.nn.functional.conv2d(padded, layer.weight, layer.bias, stride=stride)
    assert layer(x).shape == (1, 3, 8 // stride, 8 // stride)
    torch.testing.assert_close(layer(x), expected)
