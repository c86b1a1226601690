"""``hand_perception evaluate htt`` from the command line: files, several processes, refusals."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import ego_trees
import htt_files
import pytest

from hand_perception.cli.main import main
from hand_perception.evaluation import partial_results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    ego_trees.h2o(root / 'h2o')
    htt_files.write(root / 'weights', 'h2o', window=16, pose_window=4)
    htt_files.write(root / 'weights_fpha', 'fpha')
    return root


def command(data, *options, split='val', weights='weights'):
    return [
        'evaluate', 'htt', '--weights', str(data / weights), '--data', f'h2o:{data / "h2o"}',
        '--split', split, '--device', 'cpu', *map(str, options),
    ]  # fmt: skip


@pytest.fixture(scope='module')
def finished(data, tmp_path_factory):
    """An evaluation of one process."""
    out = tmp_path_factory.mktemp('finished') / 'out'
    assert main(command(data, '--out', out)) == 0
    return out


def test_all_files_are_written_and_windows_are_those_of_the_weights(finished):
    assert {path.name for path in finished.iterdir()} == {
        'metrics.json', 'metrics.csv', 'actions.csv', 'pck_camera.png', 'pck_relative.png',
        'action_tokens.png', 'parts',
    }  # fmt: skip
    values = json.loads((finished / 'metrics.json').read_text())
    assert values['facts']['windows'] == '16 and 4 tokens, one image of 2'
    assert values['facts']['images'] == 120
    assert [row['engine'] for row in values['tables']['engines']] == [
        'published evaluation', 'tiled, final', 'tiled, provisional', 'sliding, lookahead 0'
    ]  # fmt: skip
    actions = (finished / 'actions.csv').read_text().splitlines()
    assert len(actions) == 1 + 4
    assert [line.split(',')[2] for line in actions[1:]] == ['4', '12', '22', '35']


def test_two_processes_of_torchrun_come_to_the_same_report(data, finished, tmp_path):
    out = tmp_path / 'out'
    done = subprocess.run(
        [
            sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2',
            '-m', 'hand_perception.cli', *command(data, '--out', out),
        ],
        env=os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('HTT on h2o/val') == 1
    one, two = (json.loads((folder / 'metrics.json').read_text()) for folder in (finished, out))
    assert two['figures'] == pytest.approx(one['figures'], abs=1e-4)
    assert (out / 'actions.csv').read_text() == (finished / 'actions.csv').read_text()


def test_an_interrupted_run_is_resumed(data, finished, tmp_path, monkeypatch, capsys, caplog):
    out = tmp_path / 'out'
    save = partial_results.PartialResults.save

    def save_twice(self, number, arrays):
        if number == 2:
            raise KeyboardInterrupt
        save(self, number, arrays)

    monkeypatch.setattr(partial_results.PartialResults, 'save', save_twice)
    assert main(command(data, '--out', out)) == 130
    assert '2 of 4 parts are kept' in caplog.text
    monkeypatch.undo()
    assert main(command(data, '--out', out)) == 2  # not without being asked
    assert '--resume' in capsys.readouterr().err
    assert main(command(data, '--out', out, '--resume')) == 0
    found, wanted = (
        json.loads((folder / 'metrics.json').read_text()) for folder in (out, finished)
    )
    assert found['figures'] == wanted['figures']


def test_the_test_split_gives_the_file_for_the_challenge(data, tmp_path):
    out = tmp_path / 'out'
    assert main(command(data, '--out', out, '--offline-only', split='test')) == 0
    with zipfile.ZipFile(out / 'action_labels.zip') as archive:
        answers = json.loads(archive.read('action_labels.json'))
    assert set(answers) == {'modality', '1', '2'}
    assert all(1 <= answers[row] <= 36 for row in '12')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--data', 'h2o'], 'KIND:DIR'),
        (['--data', 'ho2:/nowhere'], "got 'ho2:/nowhere'"),
        (['--data', 'h2o:/nowhere'], '/nowhere is no folder'),
        (['--split', 'validation'], 'train or val or test'),
        (['--resume'], 'give both'),
        (['--workers', '0'], '--workers must be 1 or more'),
        (['--window', '20', '--pose-window', '16'], 'window a multiple of'),
        (['--device', 'tpu'], 'device must be'),
    ],
)
def test_options_without_meaning_are_refused(data, options, words, capsys):
    assert main([*command(data), *options]) == 2
    assert words in capsys.readouterr().err


def test_weights_of_the_other_data_set_are_refused(data, capsys):
    assert main(command(data, weights='weights_fpha')) == 2
    assert '21 joints (the data: 42)' in capsys.readouterr().err


def test_a_damaged_image_is_named_and_nothing_is_lost(data, tmp_path, capsys):
    root = tmp_path / 'h2o'
    ego_trees.h2o(root)
    image = root / 'subject3/k2/0/cam4/rgb480_270/000011.png'
    image.write_bytes(image.read_bytes()[:40])
    out = tmp_path / 'out'
    arguments = command(data, '--out', out, '--offline-only')
    arguments[arguments.index('--data') + 1] = f'h2o:{root}'
    assert main(arguments) == 2
    assert '000011.png' in capsys.readouterr().err
    assert len(list((out / 'parts').glob('*.npz'))) == 3  # the segments before it
