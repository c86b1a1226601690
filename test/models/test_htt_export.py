"""Exports of HTT: the same weights without a pickle, with labels and what is known of them."""

import json
import subprocess
import sys
from pathlib import Path

import htt_files
import pytest
import safetensors.torch

from hand_perception.actions import LabelMap
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.labels import load_label_map
from hand_perception.models.hamer.checkpoint import read_checkpoint as read_hamer
from hand_perception.models.hamer.files import find_files
from hand_perception.models.htt.checkpoint import read_checkpoint
from hand_perception.models.htt.export import write_export
from hand_perception.models.htt.weight_files import load_module
from hand_perception.models.safetensors_file import file_sha256

ROOT = Path(__file__).resolve().parents[2]


def refused(path: Path, match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        load_module(path)


def export(source: Path, out: Path, **options: object) -> Path:
    write_export(read_checkpoint(source), out, **options)
    return out


@pytest.mark.parametrize('dataset', ['fpha', 'h2o'])
def test_export_gives_the_same_weights_and_keeps_what_is_known_of_them(tmp_path, dataset):
    source = htt_files.write(tmp_path / 'official', dataset)
    labels = load_label_map(dataset)
    out = export(source, tmp_path / 'export' / 'htt.safetensors', labels=labels)
    loaded = load_module(out.parent, dataset=dataset)
    htt_files.expect_same(loaded.module, htt_files.state_dict(dataset))
    assert loaded.how == 'safetensors'
    assert loaded.labels == labels
    assert (loaded.dataset, loaded.options) == (dataset, load_module(source).options)
    assert loaded.notes['source_sha256'] == file_sha256(source)
    assert loaded.notes['epoch'] == '45'
    assert out.stat().st_size < source.stat().st_size


def test_export_of_an_export_is_the_same(tmp_path):
    first = export(htt_files.write(tmp_path / 'official'), tmp_path / 'a.safetensors')
    second = export(first, tmp_path / 'b.safetensors')
    htt_files.expect_same(load_module(second).module, htt_files.state_dict())
    assert load_module(second).labels is None


def test_export_with_labels_of_another_length_is_refused_and_not_written(tmp_path):
    source = htt_files.write(tmp_path / 'official')
    labels = LabelMap(name='mine', actions=('a',))
    with pytest.raises(ConfigError, match='the label map mine: 1 actions and 0 objects, but'):
        export(source, tmp_path / 'out' / 'htt.safetensors', labels=labels)
    assert not (tmp_path / 'out').exists()


def test_full_disk_is_told_and_leaves_the_old_export_as_it_was(tmp_path):
    out = export(htt_files.write(tmp_path / 'official'), tmp_path / 'out' / 'htt.safetensors')
    before = out.read_bytes()
    program = (
        'import resource, sys\n'
        'from pathlib import Path\n'
        'from hand_perception.errors import WeightsError\n'
        'from hand_perception.models.htt.checkpoint import read_checkpoint\n'
        'from hand_perception.models.htt.export import write_export\n'
        'checkpoint = read_checkpoint(sys.argv[1])\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n'
        'try:\n'
        '    write_export(checkpoint, Path(sys.argv[2]))\n'
        'except WeightsError as error:\n'
        '    print(error)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, str(tmp_path / 'official'), str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'htt.safetensors cannot be written' in done.stdout
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ['htt.safetensors']


def rewritten(path: Path, **changes: str | None) -> Path:
    """Change the metadata of an export; None takes an entry out."""
    with safetensors.safe_open(str(path), framework='pt') as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() | changes
    kept = {key: value for key, value in metadata.items() if value is not None}
    safetensors.torch.save_file(tensors, path, kept)
    return path


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'hand_perception_format': None}, 'not an export of this package'),
        ({'hand_perception_format': '2'}, r"its format is '2', expected '1'"),
        ({'model': None}, 'is an export of hamer, expected one of htt'),
        ({'window': 'many'}, 'its metadata is damaged'),
        ({'labels': '{'}, 'its metadata is damaged'),
        (
            {'labels': '{"name": "x", "actions": [1]}'},
            r'entry 1 of actions is int',
        ),
        ({'dataset': 'ego4d'}, "names the data set 'ego4d'"),
    ],
)
def test_export_with_other_metadata_is_refused(tmp_path, changes, match):
    out = export(htt_files.write(tmp_path / 'official'), tmp_path / 'htt.safetensors')
    refused(rewritten(out, **changes), rf'htt\.safetensors.*{match}')


def test_export_of_hamer_is_refused_as_htt_and_the_reverse(tmp_path):
    out = export(htt_files.write(tmp_path / 'official'), tmp_path / 'hamer.safetensors')
    with pytest.raises(WeightsError, match='is an export of htt, expected one of hamer'):
        read_hamer(find_files(out))


@pytest.mark.parametrize('damage', ['truncated', 'text', 'other'])
def test_damaged_export_is_refused(tmp_path, damage):
    out = export(htt_files.write(tmp_path / 'official'), tmp_path / 'htt.safetensors')
    content = out.read_bytes()
    if damage == 'truncated':
        out.write_bytes(content[: len(content) // 2])
    elif damage == 'text':
        out.write_text('version https://git-lfs.github.com/spec/v1\n')
    else:
        header = json.dumps({'x': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}}).encode()
        out.write_bytes(len(header).to_bytes(8, 'little') + header + bytes(4))
    refused(out, r'htt\.safetensors .*(read|not an export)')


def test_export_with_a_tensor_missing_is_refused_by_its_name(tmp_path):
    out = export(htt_files.write(tmp_path / 'official'), tmp_path / 'htt.safetensors')
    with safetensors.safe_open(str(out), framework='pt') as file:
        metadata = file.metadata()
    tensors = safetensors.torch.load_file(out)
    del tensors['action_classification.classifier.bias']
    safetensors.torch.save_file(tensors, out, metadata)
    refused(out, r'lacks action_classification\.classifier\.bias')
