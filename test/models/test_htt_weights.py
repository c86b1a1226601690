"""Weights of HTT load strictly and safely, from every file that users have."""

import os
import pickle
import sys
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import ModuleType

import hamer_files
import htt_files
import numpy as np
import pytest
import torch

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.checkpoint import read_checkpoint as read_hamer
from hand_perception.models.hamer.files import find_files
from hand_perception.models.htt.files import NAMES, find_checkpoint
from hand_perception.models.htt.weight_files import load_module
from tools.make_htt_checkpoint import official_content, random_tensor

ROOT = Path(__file__).resolve().parents[2]


def refused(path: Path, match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        load_module(path)


def refused_state(tmp_path: Path, match: str, *, without: str = '', **changes: object) -> None:
    state = htt_files.state_dict()
    state = {k: v for k, v in state.items() if not without or not k.startswith(without)}
    state |= {key.replace('__', '.'): value for key, value in changes.items()}
    refused(htt_files.save(tmp_path / 'checkpoint_45.pth', {'state_dict': state}), match)


# Files that load.


@pytest.mark.parametrize(('dataset', 'hands'), [('fpha', 1), ('h2o', 2)])
def test_official_container_loads_with_its_scheduler_unread(tmp_path, dataset, hands):
    path = htt_files.write(tmp_path, dataset)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)  # it holds more than weights
    loaded = load_module(path)
    htt_files.expect_same(loaded.module, htt_files.state_dict(dataset))
    assert loaded.how.startswith('restricted unpickler')
    assert (loaded.sizes, loaded.dataset) == (htt_files.small_sizes(dataset), dataset)
    assert loaded.sizes.num_hands == hands
    assert loaded.notes == {'epoch': '45', 'network': 'HTT'}
    assert loaded.labels is None
    assert not loaded.module.training


def test_published_size_loads_with_all_194_names(tmp_path):
    loaded = load_module(htt_files.write(tmp_path, is_full_size=True))
    state = loaded.module.state_dict()
    assert len(state) == 194
    # Counted on the official network: buffers are not parameters.
    assert sum(p.numel() for p in loaded.module.parameters()) == 25_981_102
    htt_files.expect_same(loaded.module, htt_files.state_dict(is_full_size=True))


def test_moments_of_the_optimizer_are_left_in_the_file(tmp_path):
    content = official_content(htt_files.network(), with_moments=True)
    assert content['optimizer']['state']
    path = htt_files.save(tmp_path / 'checkpoint_45.pth', content)
    htt_files.expect_same(load_module(path).module, htt_files.state_dict())


@pytest.mark.parametrize('has_objects', [True, False])
def test_file_written_on_a_gpu_loads_on_the_cpu(tmp_path, monkeypatch, has_objects):
    monkeypatch.setattr(torch.serialization, 'location_tag', lambda storage: 'cuda:0')
    content = htt_files.content() if has_objects else {'state_dict': htt_files.state_dict()}
    path = htt_files.save(tmp_path / 'checkpoint_45.pth', content)
    monkeypatch.undo()
    with zipfile.ZipFile(path) as archive:
        assert b'cuda:0' in archive.read('checkpoint_45/data.pkl')
    loaded = load_module(path)
    htt_files.expect_same(loaded.module, htt_files.state_dict())
    assert {p.device.type for p in loaded.module.parameters()} == {'cpu'}


@pytest.mark.parametrize('module', ['torch.optim.gone', 'torch.optim'])
def test_optimizers_that_this_version_of_torch_does_not_have_become_inert(
    tmp_path, monkeypatch, module
):
    old = type('OldAdam', (), {'__module__': module})
    monkeypatch.setitem(sys.modules, 'torch.optim.gone', ModuleType('torch.optim.gone'))
    monkeypatch.setattr(sys.modules[module], 'OldAdam', old, raising=False)
    optimizer = old()
    optimizer.__dict__ = {'state': defaultdict(dict), 'param_groups': [{'lr': np.float64(3e-5)}]}
    path = htt_files.save(tmp_path / 'a.pth', htt_files.content(scheduler=optimizer))
    monkeypatch.undo()
    htt_files.expect_same(load_module(path).module, htt_files.state_dict())


def test_bare_state_dict_and_training_on_several_gpus_load(tmp_path):
    state = htt_files.state_dict()
    htt_files.expect_same(load_module(htt_files.save(tmp_path / 'a.pth', state)).module, state)
    parallel = OrderedDict((f'module.{name}', tensor) for name, tensor in state.items())
    path = htt_files.save(tmp_path / 'b.pth', {'state_dict': parallel})
    htt_files.expect_same(load_module(path).module, state)


def test_weights_of_half_precision_become_float32(tmp_path):
    state = htt_files.state_dict()
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    loaded = load_module(htt_files.save(tmp_path / 'a.pth', {'state_dict': half}))
    htt_files.expect_same(
        loaded.module, {k: v.float() if v.is_floating_point() else v for k, v in half.items()}
    )


def test_table_of_positions_is_that_of_the_file(tmp_path):
    state = htt_files.state_dict()
    state['transformer_pe.pe'] = state['transformer_pe.pe'] + 1e-3
    loaded = load_module(htt_files.save(tmp_path / 'a.pth', {'state_dict': state}))
    assert torch.equal(loaded.module.transformer_pe.pe, state['transformer_pe.pe'])


def test_loaded_weights_outlive_their_file(tmp_path):
    path = htt_files.write(tmp_path)
    loaded = load_module(path)
    with path.open('r+b') as stream:
        stream.truncate(100)  # a mapped file would end the process here
    htt_files.expect_same(loaded.module, htt_files.state_dict())


def test_weights_depend_on_seed_and_name_alone():
    first = random_tensor('image_to_olabel_embed.weight', (2, 3), seed=11)
    # Drawn once; the stream of RandomState is frozen by NumPy's policy.
    assert first.ravel()[:3].tolist() == pytest.approx(
        [-0.2996393, 0.92057264, -0.36929214], abs=1e-6
    )
    assert (random_tensor('image_to_olabel_embed.weight', (2, 3), seed=12) != first).all()


# Where the file is.


def test_folder_gives_our_export_first_then_the_official_names_in_their_order(tmp_path):
    for name in reversed(NAMES):
        (tmp_path / name).touch()
        assert find_checkpoint(tmp_path).name == name
    assert NAMES == ('htt.safetensors', 'checkpoint_45.pth', 'model_best.pth', 'checkpoint.pth')


def test_folder_without_checkpoint_names_those_further_down(tmp_path):
    path = htt_files.write(tmp_path / 'ckpts' / 'fpha')
    with pytest.raises(WeightsError, match=f'holds none of .*Give one of those .*: {path}'):
        find_checkpoint(tmp_path)
    path.unlink()
    with pytest.raises(WeightsError, match=r'holds none of htt\.safetensors.*fylwen/HTT'):
        find_checkpoint(tmp_path)


def test_missing_file_says_where_weights_come_from(tmp_path):
    with pytest.raises(WeightsError, match=r'nowhere\.pth does not exist.*fylwen/HTT.*docs/htt'):
        find_checkpoint(tmp_path / 'nowhere.pth')
    with pytest.raises(WeightsError, match='htt_checkpoint is empty'):
        find_checkpoint('')


# Files that are refused, and what the message names.


def test_missing_names_are_listed_and_counted(tmp_path):
    refused_state(
        tmp_path, r'lacks image_to_olabel_embed\.bias', without='image_to_olabel_embed.b'
    )
    refused_state(
        tmp_path, r'lacks meshregnet\.base_net\.layer3\.0\.bn1\.bias, (\S+, ){3}\S+ and 25 more',
        without='meshregnet.base_net.layer3',
    )  # fmt: skip


def test_unknown_names_are_listed_and_counted(tmp_path):
    extra = {f'extra__{index}': torch.zeros(1) for index in range(8)}
    refused_state(tmp_path, r'has unknown extra\.0, extra\.1, .* and 3 more', **extra)


def test_tensor_of_another_shape_or_type_is_named(tmp_path):
    match = (
        r'image_to_olabel_embed\.weight is torch\.float32 of shape \(64, 63\), expected .*64, 64'
    )
    refused_state(tmp_path, match, image_to_olabel_embed__weight=torch.zeros(64, 63))
    match = (
        r'concat_to_action_input\.bias is torch\.int64 of shape \(64,\), expected torch\.float32'
    )
    whole = torch.zeros(64, dtype=torch.int64)
    refused_state(tmp_path, match, concat_to_action_input__bias=whole)


def test_layer_missing_in_the_middle_is_named(tmp_path):
    state = {
        name.replace('transformer_pose.encoder.layers.1.', 'transformer_pose.encoder.layers.2.'): t
        for name, t in htt_files.state_dict().items()
    }
    path = htt_files.save(tmp_path / 'a.pth', {'state_dict': state})
    refused(path, r'lacks transformer_pose\.encoder\.layers\.1\.linear1\.bias')


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_named(tmp_path, value):
    state = htt_files.state_dict()
    state['transformer_action.encoder.norm.bias'][3] = value
    path = htt_files.save(tmp_path / 'a.pth', {'state_dict': state})
    match = r'transformer_action\.encoder\.norm\.bias has values that are not finite; .* another'
    refused(path, match)


def test_weights_too_large_for_float32_are_named(tmp_path):
    state = htt_files.state_dict()
    state['action_token'] = torch.full((1, 1, 64), 1e300, dtype=torch.float64)
    path = htt_files.save(tmp_path / 'a.pth', {'state_dict': state})
    refused(path, 'action_token has values that are not finite')


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        ({'state_dict': {'conv1.weight': 1, 'layer1.0.conv1.weight': 2}}, 'holds no tensors'),
        (
            {name: torch.zeros(1) for name in ('conv1.weight', 'layer1.0.conv1.weight')},
            'is a plain ResNet',
        ),
        ({'encoder.layer.0.weight': torch.zeros(1)}, r'another network \(encoder\.layer\.0'),
        ({'state': {0: {'step': 3}}, 'param_groups': []}, 'optimizer and no weights'),
        ({'epoch': 3, 'optimizer': {'state': {}}, 'state_dict': {}}, 'optimizer and no weights'),
        ({'v_template': torch.zeros(1), 'shapedirs': torch.zeros(1)}, 'is a hand model'),
        ({'state_dict': [1]}, 'state_dict is list'),
        ([1, 2], 'holds list'),
        ({}, 'holds no tensors'),
    ],
)
def test_file_of_something_else_is_told_what_it_is(tmp_path, content, match):
    refused(htt_files.save(tmp_path / 'checkpoint_45.pth', content), match)


def test_checkpoints_of_hamer_and_htt_are_told_apart(tmp_path):
    folder = hamer_files.write_flat(tmp_path / 'hamer')
    refused(folder / 'hamer.ckpt', r'is a checkpoint of HaMeR, which goes to hamer_dir')
    htt_files.save(folder / 'hamer.ckpt', htt_files.content())
    with pytest.raises(WeightsError, match='is a checkpoint of HTT, which goes to htt_checkpoint'):
        read_hamer(find_files(folder))


@pytest.mark.parametrize(
    ('start', 'match'),
    [
        (b'', 'copy or download it again'),
        (b'<!DOCTYPE html><html>', 'web page'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
        (pickle.dumps({'state_dict': {}}), 'plain pickle'),
        (pickle.dumps({'hands_mean': 0, 'J_regressor': 0}, 2), 'hand model MANO'),
        (b'\x10\0\0\0\0\0\0\0{"a":{}}        ', r'safetensors file; let its name end in'),
        (b'\x89HDF\r\n\x1a\n', 'copy or download it again'),
    ],
)
def test_file_that_is_no_container_is_told_what_it_seems_to_be(tmp_path, start, match):
    path = tmp_path / 'checkpoint_45.pth'
    path.write_bytes(start)
    refused(path, rf'checkpoint_45\.pth is not a file of torch\.save .*{match}')


def test_format_of_torch_before_1_6_is_refused_unread(tmp_path):
    path = tmp_path / 'checkpoint_45.pth'
    torch.save({'state_dict': {}}, path, _use_new_zipfile_serialization=False)
    refused(path, r'torch before 1\.6 wrote it, and reading that runs what is in it')


def test_archive_of_the_release_is_to_be_unpacked(tmp_path):
    path = tmp_path / 'ws.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('ws/ckpts/checkpoint_45.pth', b'')
    refused(path, r'not a file of torch\.save; unpack it')


@pytest.mark.parametrize('share', [0.1, 0.5, 0.999])
def test_truncated_checkpoint_is_refused(tmp_path, share):
    path = htt_files.write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, r'checkpoint_45\.pth: it is cut off or damaged .*compare its size')


class Calls:
    """Pickles as a call of any function."""

    def __reduce__(self):
        return os.system, ('touch pwned',)


@pytest.mark.parametrize('place', ['scheduler', 'optimizer', 'epoch', 'state_dict'])
def test_hostile_checkpoint_is_refused_by_the_name_it_asks_for(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    path = htt_files.save(tmp_path / 'a.pth', htt_files.content(**{place: Calls()}))
    refused(path, r'refused to read .*a\.pth: it asks for (posix|nt)\.system')
    assert not (tmp_path / 'pwned').exists()
