"""Weights of HaMeR load strictly and safely, from every file that users have."""

import json
import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path

import hamer_files
import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.export import write_export
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.weight_files import published_name
from hand_perception.models.safetensors_file import file_sha256

CKPTS = '/checkpoints'
CROPS = torch.from_numpy(hamer_files.reference()['crops_rgb'])


def vertices_of(hamer_dir: Path | str, **options: object) -> torch.Tensor:
    network = HamerNetwork.load(hamer_dir, device='cpu', **options)
    return network(network.normalize(CROPS)).vertices


def expect_official(vertices: torch.Tensor) -> None:
    wanted = torch.from_numpy(hamer_files.reference()['vertices'])
    torch.testing.assert_close(vertices, wanted, rtol=0, atol=2e-6)  # metres, as the network test


def without(prefix: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in hamer_files.state_dict().items() if not k.startswith(prefix)}


@pytest.mark.parametrize('leftover', ['plain', 'omegaconf', 'yacs'])
def test_official_container_loads_whatever_its_hyper_parameters_are(
    tmp_path, monkeypatch, leftover
):
    if leftover == 'plain':
        hyper_parameters: object = {'cfg': {'MODEL': {'IMAGE_SIZE': 256}}}
    else:
        hyper_parameters = getattr(hamer_files.Leftovers(monkeypatch), leftover)()
    content = hamer_files.lightning(hamer_files.state_dict(), hyper_parameters)
    folder = hamer_files.write_official(tmp_path, content)
    monkeypatch.undo()  # neither package can be imported
    how = read_checkpoint(find_files(folder)).how
    assert how.startswith('torch.load' if leftover == 'plain' else 'restricted')
    expect_official(vertices_of(folder))


def test_file_with_objects_gives_the_same_tensors_as_one_without(tmp_path, monkeypatch):
    leftovers = hamer_files.Leftovers(monkeypatch)
    state = hamer_files.state_dict()
    state['backbone.blocks.0.attn.proj.weight'] = (
        state['backbone.blocks.0.attn.proj.weight'].T.contiguous().T  # another stride
    )
    state['backbone.last_norm.weight'] = torch.nn.Parameter(state['backbone.last_norm.weight'])
    folder = hamer_files.write_flat(
        tmp_path, hamer_files.lightning(OrderedDict(state), leftovers.omegaconf())
    )
    tensors = read_checkpoint(find_files(folder)).tensors
    assert set(tensors) == set(state)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, state[name]) and tensor.dtype == state[name].dtype


def test_weights_are_views_of_the_mapped_file(tmp_path, monkeypatch):
    leftovers = hamer_files.Leftovers(monkeypatch)
    content = hamer_files.lightning(hamer_files.state_dict(), leftovers.yacs())
    checkpoint = read_checkpoint(find_files(hamer_files.write_flat(tmp_path, content)))
    mapped = Path('/proc/self/maps').read_text()
    spans = [
        tuple(int(end, 16) for end in line.split()[0].split('-'))
        for line in mapped.splitlines()
        if line.endswith('hamer.ckpt')
    ]
    at = checkpoint.tensors['backbone.pos_embed'].data_ptr()
    assert any(start <= at < end for start, end in spans)


@pytest.mark.parametrize('write', [hamer_files.write_official, hamer_files.write_flat])
def test_checkpoint_without_hand_takes_it_from_the_user_file(tmp_path, write):
    folder = write(tmp_path, hamer_files.lightning(without('mano.'), {}), with_hand_file=True)
    expect_official(vertices_of(folder))


def test_hand_file_may_lie_elsewhere(tmp_path):
    folder = hamer_files.write_flat(tmp_path / 'a', hamer_files.lightning(without('mano.'), {}))
    hamer_files.write_mano(tmp_path / 'mano')
    expect_official(vertices_of(folder, mano_dir=tmp_path / 'mano'))


def test_hand_in_the_checkpoint_wins_over_the_user_file(tmp_path):
    folder = hamer_files.write_flat(tmp_path)
    hamer_files.write_mano(tmp_path, lambda entries: entries.update(v_template=np.ones((778, 3))))
    expect_official(vertices_of(folder))


@pytest.mark.parametrize('absent', ['discriminator.', 'initialized'])
def test_parts_for_training_are_not_needed(tmp_path, absent):
    expect_official(
        vertices_of(hamer_files.write_flat(tmp_path, hamer_files.lightning(without(absent), {})))
    )


def test_bare_state_dict_loads(tmp_path):
    expect_official(vertices_of(hamer_files.write_flat(tmp_path, hamer_files.state_dict())))


def test_means_come_from_their_file_when_the_checkpoint_lacks_them(tmp_path):
    content = hamer_files.lightning(without('mano_head.init_'), {})
    folder = hamer_files.write_official(tmp_path, content)
    expect_official(vertices_of(folder))
    (folder / 'data' / 'mano_mean_params.npz').unlink()
    with pytest.raises(WeightsError, match=r'lacks mano_head\.init_hand_pose.*mano_mean_params'):
        vertices_of(folder)


@pytest.mark.parametrize(
    'given',
    ['.', '_DATA', *(f'_DATA/hamer_ckpts{end}' for end in ('', CKPTS, f'{CKPTS}/hamer.ckpt'))],
)
def test_official_tree_is_found_from_any_of_its_folders(tmp_path, given):
    state = {k: v for k, v in without('mano.').items() if not k.startswith('mano_head.init_')}
    content = hamer_files.lightning(state, {})
    hamer_files.write_official(tmp_path, content, with_hand_file=True)
    files = find_files(tmp_path / given)
    assert files.checkpoint.name == 'hamer.ckpt'
    assert None not in (files.config, files.mean_params, files.mano)
    expect_official(vertices_of(tmp_path / given))


def test_published_names_are_the_names_of_the_file():
    names = {
        'backbone.blocks.3.attn.qkv.weight': 'backbone.blocks.3.attn.qkv.weight',
        'mano_head.decoder.layers.12.self_attn.to_out.bias':
            'mano_head.transformer.transformer.layers.12.0.fn.to_out.0.bias',
        'mano_head.decoder.layers.0.cross_attn_norm.weight':
            'mano_head.transformer.transformer.layers.0.1.norm.weight',
        'mano_head.decoder.layers.0.mlp.fc2.weight':
            'mano_head.transformer.transformer.layers.0.2.fn.net.3.weight',
        'mano_head.decoder.to_token_embedding.bias':
            'mano_head.transformer.to_token_embedding.bias',
        'mano_head.decpose.bias': 'mano_head.decpose.bias',
    }  # fmt: skip
    assert {name: published_name(name) for name in names} == names


# Files that are refused, and what the message names.


def refused(tmp_path: Path, state: dict[str, torch.Tensor], match: str) -> None:
    folder = hamer_files.write_flat(tmp_path, hamer_files.lightning(state, {}))
    with pytest.raises(WeightsError, match=match):
        vertices_of(folder)


def test_missing_key_is_named(tmp_path):
    state = hamer_files.state_dict()
    del state['mano_head.transformer.transformer.layers.1.1.fn.to_q.weight']
    refused(tmp_path, state, r'lacks mano_head\.transformer\.transformer\.layers\.1\.1\.fn\.to_q')


def test_many_missing_keys_are_counted(tmp_path):
    refused(tmp_path, without('backbone.blocks.1.attn.'), r'backbone\.blocks\.1\.attn\.proj\.bias')
    refused(tmp_path, without('backbone.blocks.0.'), r'lacks backbone\.blocks\.0')


def test_block_missing_in_the_middle_is_named(tmp_path):
    state = hamer_files.state_dict()
    state = {k.replace('backbone.blocks.1.', 'backbone.blocks.2.'): v for k, v in state.items()}
    path = tmp_path / 'model_config.yaml'
    folder = hamer_files.write_flat(tmp_path, hamer_files.lightning(state, {}))
    values = yaml.safe_load(path.read_text())
    values['MODEL']['BACKBONE']['DEPTH'] = 3
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(
        WeightsError, match=r'lacks backbone\.blocks\.1\.attn\.proj\.bias.* and 7 '
    ):
        vertices_of(folder)


def test_unknown_key_is_named(tmp_path):
    state = hamer_files.state_dict() | {'refine_net.dec_pose.weight': torch.zeros(96, 160)}
    refused(tmp_path, state, r'unknown refine_net\.dec_pose\.weight')


def test_key_of_another_shape_is_named_with_both_shapes(tmp_path):
    state = hamer_files.state_dict() | {'mano_head.deccam.weight': torch.zeros(4, 96)}
    refused(tmp_path, state, r'mano_head\.deccam\.weight .*\(4, 96\), expected .*\(3, 96\)')


def test_key_of_another_type_is_named(tmp_path):
    state = hamer_files.state_dict()
    state['mano_head.deccam.bias'] = torch.zeros(3, dtype=torch.int64)
    refused(tmp_path, state, r'mano_head\.deccam\.bias is torch\.int64')


def test_hand_in_parts_is_refused(tmp_path):
    state = hamer_files.state_dict()
    del state['mano.posedirs']
    refused(tmp_path, state, r'part of a hand model but lacks mano\.posedirs')


@pytest.mark.parametrize('source', ['checkpoint', 'file'])
def test_left_hand_given_as_right_is_refused(tmp_path, source):
    mirror = np.array([-1, 1, 1])
    if source == 'checkpoint':
        state = hamer_files.state_dict()
        state['mano.v_template'] = state['mano.v_template'] * torch.from_numpy(mirror).float()
        refused(tmp_path, state, 'left hand')
        return
    folder = hamer_files.write_flat(tmp_path, hamer_files.lightning(without('mano.'), {}))
    hamer_files.write_mano(tmp_path, lambda e: e.update(v_template=e['v_template'] * mirror))
    with pytest.raises(WeightsError, match=r'MANO_RIGHT\.pkl is a left hand|left hand'):
        vertices_of(folder)


def test_no_hand_anywhere_says_where_mano_comes_from(tmp_path):
    refused(tmp_path, without('mano.'), r'no MANO_RIGHT\.pkl .*https://mano\.is\.tue\.mpg\.de')


def test_empty_folder_says_where_it_looked_and_where_the_weights_come_from(tmp_path):
    with pytest.raises(WeightsError, match=r'_DATA/hamer_ckpts/checkpoints/hamer\.ckpt.*github'):
        find_files(tmp_path)
    with pytest.raises(WeightsError, match='does not exist'):
        find_files(tmp_path / 'nowhere')
    with pytest.raises(WeightsError, match='hamer_dir is empty'):
        find_files('')


@pytest.mark.parametrize('share', [0.0, 0.1, 0.9, 0.999])
@pytest.mark.parametrize('leftover', [False, True])
def test_truncated_checkpoint_is_refused(tmp_path, monkeypatch, share, leftover):
    rest = hamer_files.Leftovers(monkeypatch).omegaconf() if leftover else {}
    folder = hamer_files.write_flat(
        tmp_path, hamer_files.lightning(hamer_files.state_dict(), rest)
    )
    path = folder / 'hamer.ckpt'
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError, match=r'hamer\.ckpt.*(cut off|not a file of torch\.save)'):
        vertices_of(folder)


def test_text_in_place_of_the_checkpoint_is_refused(tmp_path):
    folder = hamer_files.write_flat(tmp_path)
    (folder / 'hamer.ckpt').write_text('version https://git-lfs.github.com/spec/v1\n')
    with pytest.raises(WeightsError, match=r'not a file of torch\.save'):
        vertices_of(folder)


def test_plain_pickle_is_refused_unread(tmp_path):
    folder = hamer_files.write_flat(tmp_path)
    (folder / 'hamer.ckpt').write_bytes(pickle.dumps({'state_dict': {}}))
    with pytest.raises(WeightsError, match=r'not a file of torch\.save'):
        vertices_of(folder)


def test_checkpoint_of_another_network_is_refused(tmp_path):
    state = {'encoder.layer.0.weight': torch.zeros(3, 3)}
    refused(tmp_path, state, r'lacks backbone\.pos_embed; this is not a HaMeR checkpoint')


def test_container_without_tensors_is_refused(tmp_path):
    refused(tmp_path, {}, 'holds no tensors')
    folder = hamer_files.write_flat(tmp_path / 'list', [1, 2])
    with pytest.raises(WeightsError, match='holds list'):
        vertices_of(folder)


@pytest.mark.parametrize(
    ('path', 'value', 'match'),
    [
        ('MODEL.BACKBONE.TYPE', 'resnet', r"BACKBONE\.TYPE must be 'vit', got 'resnet'"),
        ('MODEL.MANO_HEAD.TYPE', None, r"MANO_HEAD\.TYPE must be 'transformer_decoder'"),
        ('MODEL.IMAGE_SIZE', 224, r'IMAGE_SIZE must be 256, got 224'),
        ('MODEL.MANO_HEAD.JOINT_REP', 'aa', r"JOINT_REP must be '6d'"),
        ('MODEL.BACKBONE.DEPTH', 32, r'DEPTH is 32, the weights have 2'),
        ('MODEL.BACKBONE.NUM_HEADS', 3, r'3 attention heads do not divide the width 160'),
        ('MODEL.MANO_HEAD.TRANSFORMER_DECODER.heads', 8, r'heads x dim_head is 192, .* 96'),
        ('MODEL.MANO_HEAD.TRANSFORMER_DECODER.depth', 6, r'depth is 6, the weights have 2'),
        ('MODEL.MANO_HEAD.TRANSFORMER_DECODER.depth', 'six', r"whole number from 1, got 'six'"),
        ('MODEL.IMAGE_STD', [0.2, 0.0, 0.2], r'IMAGE_STD must be three numbers'),
        ('EXTRA.FOCAL_LENGTH', '5000px', r"FOCAL_LENGTH must be a number above 0, got '5000px'"),
    ],
)
def test_config_of_another_model_is_refused_by_name(tmp_path, path, value, match):
    folder = hamer_files.write_flat(tmp_path)
    config = folder / 'model_config.yaml'
    values = yaml.safe_load(config.read_text())
    *parents, last = path.split('.')
    at = values
    for name in parents:
        at = at[name]
    at[last] = value
    config.write_text(yaml.safe_dump(values))
    with pytest.raises(WeightsError, match=rf'model_config\.yaml.*{match}'):
        vertices_of(folder)


@pytest.mark.parametrize(
    'content', ['a: [1', '- just\n- a list\n', '!!python/object:os.system {}']
)
def test_damaged_or_hostile_config_is_refused(tmp_path, content):
    folder = hamer_files.write_flat(tmp_path)
    (folder / 'model_config.yaml').write_text(content)
    with pytest.raises(WeightsError, match=r'model_config\.yaml'):
        vertices_of(folder)


def test_missing_config_is_named(tmp_path):
    folder = hamer_files.write_flat(tmp_path)
    (folder / 'model_config.yaml').unlink()
    with pytest.raises(WeightsError, match=r'model_config\.yaml was not found beside'):
        vertices_of(folder)


# Our export.


def export(folder: Path, out: Path, **options: bool) -> Path:
    files = find_files(folder)
    write_export(read_checkpoint(files), out, mean_params=files.mean_params, **options)
    return out


def test_export_gives_the_same_hands_and_carries_no_hand_model(tmp_path):
    source = hamer_files.write_flat(tmp_path / 'official', with_hand_file=True)
    out = export(source, tmp_path / 'export' / 'hamer.safetensors')
    checkpoint = read_checkpoint(find_files(out))
    assert {name.split('.')[0] for name in checkpoint.tensors} == {'backbone', 'mano_head'}
    assert checkpoint.notes['source_sha256'] == file_sha256(source / 'hamer.ckpt')
    expect_official(vertices_of(out.parent, mano_dir=source))
    with pytest.raises(WeightsError, match=r'no MANO_RIGHT\.pkl'):
        vertices_of(out.parent)


def test_export_can_keep_the_hand_model_and_then_stands_alone(tmp_path):
    source = hamer_files.write_flat(tmp_path / 'official')
    out = export(source, tmp_path / 'export' / 'hamer.safetensors', with_mano=True)
    expect_official(vertices_of(out.parent))


def test_export_of_an_export_is_the_same(tmp_path):
    source = hamer_files.write_flat(tmp_path / 'official')
    first = export(source, tmp_path / 'a' / 'hamer.safetensors', with_mano=True)
    second = export(first.parent, tmp_path / 'b' / 'hamer.safetensors', with_mano=True)
    expect_official(vertices_of(second.parent))


def test_export_lies_beside_the_checkpoint_and_is_taken_first(tmp_path):
    folder = hamer_files.write_flat(tmp_path)
    export(folder, folder / 'hamer.safetensors')
    assert find_files(folder).is_export


@pytest.mark.parametrize('damage', ['truncated', 'text', 'other'])
def test_damaged_export_is_refused(tmp_path, damage):
    folder = hamer_files.write_flat(tmp_path / 'official')
    out = export(folder, tmp_path / 'hamer.safetensors')
    content = out.read_bytes()
    if damage == 'truncated':
        out.write_bytes(content[: len(content) // 2])
    elif damage == 'text':
        out.write_text('version https://git-lfs.github.com/spec/v1\n')
    else:
        header = json.dumps({'x': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}}).encode()
        out.write_bytes(len(header).to_bytes(8, 'little') + header + bytes(4))
    with pytest.raises(WeightsError, match=r'hamer\.safetensors .*(read|not an export)'):
        read_checkpoint(find_files(out))


def test_interrupted_export_leaves_no_file(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError('disk full')

    monkeypatch.setattr(safetensors.torch, 'save_file', fail)
    folder = hamer_files.write_flat(tmp_path / 'official')
    with pytest.raises(WeightsError, match='disk full'):
        export(folder, tmp_path / 'out' / 'hamer.safetensors')
    assert list((tmp_path / 'out').iterdir()) == []


def test_compressed_container_is_refused_by_name(tmp_path, monkeypatch):
    leftovers = hamer_files.Leftovers(monkeypatch)
    content = hamer_files.lightning(hamer_files.state_dict(), leftovers.yacs())
    folder = hamer_files.write_flat(tmp_path, content)
    path, packed = folder / 'hamer.ckpt', tmp_path / 'packed'
    with (
        zipfile.ZipFile(path) as source,
        zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    shutil.move(packed, path)
    with pytest.raises(WeightsError, match='compressed'):
        vertices_of(folder)
