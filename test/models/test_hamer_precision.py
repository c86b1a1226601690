"""Every speed mode stays near fp32 by a bound in millimetres, and the switch says what it refuses.

The bounds are for random weights, which amplify rounding: three times what was measured
(bf16 0.8 mm, fp16 0.1 mm, int8 1.3 mm in the vertices).
"""

import hamer_files
import numpy as np
import pytest
import torch

from hand_perception.errors import ConfigError
from hand_perception.models.hamer import precision as precision_module
from hand_perception.models.hamer.int8 import Int8Linear
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.precision import choose_precision

CPU, CUDA = torch.device('cpu'), torch.device('cuda')


@pytest.fixture(scope='module')
def hamer_dir(tmp_path_factory):
    return hamer_files.write_flat(tmp_path_factory.mktemp('hamer'))


def output_of(hamer_dir, precision, **options):
    network = HamerNetwork.load(hamer_dir, device='cpu', precision=precision, **options)
    crops = torch.from_numpy(hamer_files.reference()['crops_rgb'])
    return network(network.normalize(crops))


@pytest.mark.parametrize(
    ('precision', 'vertices_mm', 'crop_px'),
    [('bf16', 2.4, 1.2), ('fp16', 0.3, 0.15), ('int8', 3.9, 3.0)],
)
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_speed_mode_is_near_fp32(hamer_dir, precision, vertices_mm, crop_px):
    exact, fast = output_of(hamer_dir, 'fp32'), output_of(hamer_dir, precision)
    moved_mm = (fast.vertices - exact.vertices).norm(dim=-1).amax() * 1000
    moved_px = (fast.pred_keypoints_2d - exact.pred_keypoints_2d).norm(dim=-1).amax() * 256
    assert 0 < moved_mm < vertices_mm
    assert moved_px < crop_px


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'int8'])
def test_results_are_float32_in_every_mode(hamer_dir, precision):
    output = output_of(hamer_dir, precision)
    assert {output.vertices.dtype, output.rotations.dtype, output.pred_cam.dtype} == {
        torch.float32
    }


def test_rotations_are_rotations_in_the_coarsest_mode(hamer_dir):
    rotations = output_of(hamer_dir, 'int8').rotations
    product = rotations @ rotations.transpose(-1, -2)
    torch.testing.assert_close(product, torch.eye(3).expand_as(product), rtol=0, atol=1e-5)


def test_int8_layer_is_near_the_layer_it_stands_for():
    torch.manual_seed(0)
    linear = torch.nn.Linear(256, 96).requires_grad_(False)
    x = torch.randn(5, 7, 256) * torch.logspace(-3, 3, 7)[:, None]  # tokens of every size
    wanted, found = linear(x), Int8Linear(linear)(x)
    error = (found - wanted).norm(dim=-1) / wanted.norm(dim=-1)
    assert found.shape == wanted.shape
    assert error.max() < 0.02  # two roundings to 1 in 127


def test_int8_layer_takes_tokens_of_zeros():
    linear = torch.nn.Linear(64, 32).requires_grad_(False)
    found = Int8Linear(linear)(torch.zeros(33, 64))
    torch.testing.assert_close(found, linear.bias.expand(33, -1))


@pytest.mark.parametrize('precision', ['fp64', '', 'BF16'])
def test_unknown_precision_is_refused_with_the_known_ones(hamer_dir, precision):
    with pytest.raises(ConfigError, match='one of auto, fp32, bf16, fp16, int8'):
        HamerNetwork.load(hamer_dir, device='cpu', precision=precision)


def test_int8_on_a_gpu_is_refused():
    with pytest.raises(ConfigError, match='int8 runs on the CPU only'):
        choose_precision('int8', CUDA)


@pytest.mark.parametrize(('fast', 'chosen'), [(True, 'bf16'), (False, 'fp32')])
def test_auto_is_bf16_only_where_it_is_fast(monkeypatch, fast, chosen):
    monkeypatch.setattr(precision_module, 'has_fast_bf16', lambda device: fast)
    assert choose_precision('auto', CPU) == chosen


def test_slow_choice_is_told(monkeypatch, caplog):
    monkeypatch.setattr(precision_module, 'has_fast_bf16', lambda device: False)
    assert choose_precision('bf16', CPU) == 'bf16'
    assert 'no fast bf16' in caplog.text


def test_cuda_without_gpu_is_refused(hamer_dir, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    with pytest.raises(ConfigError, match='0 CUDA devices'):
        HamerNetwork.load(hamer_dir, device='cuda')


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')  # torch's compiler uses what torch calls deprecated
def test_compiled_backbone_gives_the_same_hands(hamer_dir):
    exact, compiled = output_of(hamer_dir, 'fp32'), output_of(hamer_dir, 'fp32', use_compile=True)
    torch.testing.assert_close(compiled.vertices, exact.vertices, rtol=0, atol=2e-6)  # metres


def test_normalisation_takes_bytes_and_floats_alike(hamer_dir):
    network = HamerNetwork.load(hamer_dir, device='cpu')
    crops = hamer_files.reference()['crops_rgb']
    as_bytes = network.normalize(torch.from_numpy(crops))
    as_floats = network.normalize(torch.from_numpy(crops.astype(np.float32)))
    assert torch.equal(as_bytes, as_floats)
