"""``hand_perception evaluate hamer`` on small folders in the layouts of the benchmarks."""

import csv
import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import hamer_files
import hand_trees
import numpy as np
import pytest

from hand_perception.cli import evaluate_hamer
from hand_perception.cli.main import main
from hand_perception.datasets.hands import open_hands
from hand_perception.evaluation.mesh_errors import MeshEvaluator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return str(hamer_files.write_flat(tmp_path_factory.mktemp('hamer')))


def evaluate(weights, data, *more):
    return main(['evaluate', 'hamer', '--weights', weights, '--data', data,
                 '--device', 'cpu', *map(str, more)])  # fmt: skip


def told(folder):
    return json.loads((folder / 'metrics.json').read_text())


@pytest.mark.parametrize('kind', ['freihand', 'ho3d'])
def test_server_of_the_challenge_would_tell_the_same(kind, weights, tmp_path, capsys):
    tree = {'freihand': hand_trees.freihand, 'ho3d': hand_trees.ho3d}[kind](tmp_path / 'data')
    out = tmp_path / 'out'
    assert evaluate(weights, f'{kind}:{tree}', '--out', out) == 0
    figures = told(out)['figures']
    with zipfile.ZipFile(out / f'{kind}_submission.zip') as archive:
        found = [np.array(part) for part in json.loads(archive.read('pred.json'))]
    truth = [
        np.array(json.loads((tree / f'evaluation_{name}.json').read_text()))
        for name in ('xyz', 'verts')
    ]
    # In the benchmark's own order and axes: the server knows no other.
    server = MeshEvaluator()
    server.add(found[0], truth[0], found[1], truth[1])
    scores = server.finish()
    assert figures['pa_mpjpe'] == pytest.approx(scores.keypoints.mean_mm, abs=1e-3)  # rounding
    assert figures['pa_mpvpe'] == pytest.approx(scores.vertices.mean_mm, abs=1e-3)
    assert [figures['f_5'], figures['f_15']] == pytest.approx(scores.f_scores, abs=2e-3)
    assert ('mpjpe_scale_translation' in figures) == (kind == 'ho3d')
    depth = found[1][..., 2]
    assert (depth < 0).all() if kind == 'ho3d' else (depth > 0).all()
    printed = capsys.readouterr().out
    assert 'HaMeR (2024)' in printed or kind == 'ho3d'  # v3 has no numbers of HaMeR
    for name in ('metrics.json', 'metrics.csv', 'errors.png'):
        assert name in printed
        assert (out / name).stat().st_size > 0
    rows = list(csv.DictReader((out / 'metrics.csv').read_text().splitlines()))
    row = next(row for row in rows if row['row'] == 'pa_mpjpe')
    assert float(row['value']) == pytest.approx(figures['pa_mpjpe'])


def test_hint_is_told_part_by_part_beside_published_numbers(weights, tmp_path, capsys):
    tree = hand_trees.hint(tmp_path / 'data')
    assert evaluate(weights, f'hint:{tree}', '--out', tmp_path / 'out') == 0
    values = told(tmp_path / 'out')
    assert set(values['tables']) == {'TEST_newdays_img', 'TEST_epick_img', 'TEST_ego4d_img'}
    for rows in values['tables'].values():
        assert [row['method'] for row in rows] == ['measured', 'HaMeR (2024)']
    assert {f'pck_{step}_{group}' for step in ('05', '10', '15')
            for group in ('all', 'visible', 'occluded')} == set(values['figures'])  # fmt: skip
    assert 'TEST_newdays_img, 2 hands' in capsys.readouterr().out
    assert evaluate(weights, f'hint:{tree}', '--version', 'epick', '--out', tmp_path / 'one') == 0
    one = told(tmp_path / 'one')
    assert one['benchmark'] == 'hint-visor/test'
    whole = values['tables']['TEST_epick_img'][0]
    assert float(whole['@.15 all']) == pytest.approx(one['figures']['pck_15_all'], abs=0.05)


def test_evaluation_file_with_the_answers_of_the_benchmark(weights, tmp_path):
    tree = hand_trees.freihand(tmp_path / 'data')
    hands = open_hands('freihand', tree, 'test')
    boxes = np.array([hands.truth(number).boxes[0, 0] for number in range(len(hands))])
    path = tmp_path / 'freihand_val.npz'
    images = tree / 'evaluation' / 'rgb'
    np.savez(
        path, imgname=np.array([f'{number:08d}.jpg' for number in range(len(hands))]),
        center=(boxes[:, :2] + boxes[:, 2:]) / 2, scale=2 * (boxes[:, 2:] - boxes[:, :2]),
    )  # fmt: skip
    arguments = (f'hamer_eval:{path}', '--images', images)
    assert evaluate(weights, *arguments, '--out', tmp_path / 'alone') == 0
    assert not told(tmp_path / 'alone')['figures']
    answers = ('--answers', f'freihand:{tree}')
    assert evaluate(weights, *arguments, *answers, '--out', tmp_path / 'with') == 0
    assert evaluate(weights, f'freihand:{tree}', '--out', tmp_path / 'own') == 0
    found, own = told(tmp_path / 'with'), told(tmp_path / 'own')
    assert found['benchmark'] == own['benchmark'] == 'freihand/evaluation'
    # FreiHAND's own boxes are tight and doubled here, those of the file are large enough.
    assert found['figures'] == pytest.approx(own['figures'])


def test_files_of_visible_keypoints_are_told_as_such(weights, tmp_path):
    path = hand_trees.hamer_eval(tmp_path / 'data')
    path = path.rename(path.with_name('TEST_epick_img_vis.npz'))
    assert evaluate(weights, f'hamer_eval:{path}', '--out', tmp_path / 'out') == 0
    values = told(tmp_path / 'out')
    assert values['benchmark'] == 'hint-visor/test'
    assert {'pck_05_visible', 'pck_10_visible', 'pck_15_visible'} <= set(values['figures'])
    assert not any(key.endswith('_all') for key in values['figures'])


def test_two_processes_come_to_what_one_comes_to(weights, tmp_path, monkeypatch):
    path = hand_trees.hamer_eval(tmp_path / 'data', count=70)  # three parts
    data = f'hamer_eval:{path}'
    assert evaluate(weights, data, '--out', tmp_path / 'one') == 0
    command = [sys.executable, '-m', 'hand_perception.cli', 'evaluate', 'hamer', '--weights',
               weights, '--data', data, '--out', str(tmp_path / 'two'),
               '--device', 'cpu']  # fmt: skip
    shared = {'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port()),
              'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}  # fmt: skip
    processes = [
        subprocess.Popen(
            command, env={**os.environ, **shared, 'RANK': str(n), 'LOCAL_RANK': str(n)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert 'PCK@.05' in outputs[0][0] and not outputs[1][0]
    two, one = (told(tmp_path / name)['figures'] for name in ('two', 'one'))
    assert two == pytest.approx(one, rel=1e-5)  # float32


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def test_evaluation_goes_on_only_when_told_to(weights, tmp_path, capsys):
    path = hand_trees.hamer_eval(tmp_path / 'data')
    arguments = (weights, f'hamer_eval:{path}', '--out', tmp_path / 'out')
    assert evaluate(*arguments) == 0
    first = told(tmp_path / 'out')
    assert evaluate(*arguments) == 2
    assert 'give --resume' in capsys.readouterr().err
    assert evaluate(*arguments, '--resume') == 0
    assert told(tmp_path / 'out') == first
    assert evaluate(*arguments, '--resume', '--precision', 'bf16') == 2
    assert 'precision' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('data', 'more', 'message'),
    [
        ('fpha:{tree}', (), 'one of freihand'),
        ('freihand:{tree}/nowhere', (), 'no folder'),
        ('hamer_eval:{tree}', (), 'no file'),
        ('freihand:{tree}', ('--split', 'val'), 'train or test'),
        ('freihand:{tree}', ('--answers', 'ho3d:{tree}'), '--answers belongs to hamer_eval'),
        ('hint:{tree}', ('--mean-pose',), 'is missing'),
        ('hamer_eval:{tree}/evaluation_xyz.json', ('--mean-pose',), 'which hamer_eval has not'),
        ('freihand:{tree}', ('--batch', '0'), '1 hand or more'),
        ('freihand:{tree}', ('--resume',), 'give both'),
        ('freihand:{tree}', ('--precision', 'fp9'), 'precision'),
        ('freihand:{tree}', ('--weights', '{tree}'), 'no HaMeR checkpoint found'),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(weights, tmp_path, capsys, data, more, message):
    tree = hand_trees.freihand(tmp_path / 'data')
    given = [text.format(tree=tree) for text in (data, *more)]
    assert evaluate(weights, *given) == 2
    assert message in capsys.readouterr().err


def test_mean_hand_of_the_training_split_stands_beside(weights, tmp_path):
    tree = hand_trees.freihand(tmp_path / 'data')
    assert evaluate(weights, f'freihand:{tree}', '--mean-pose', '--out', tmp_path / 'out') == 0
    values = told(tmp_path / 'out')
    ours, mean, times = values['tables']['mean_hand']
    joints = {
        split: np.array(json.loads((tree / f'{split}_xyz.json').read_text()))
        for split in ('training', 'evaluation')
    }
    relative = {split: points - points[:, :1] for split, points in joints.items()}
    error = np.linalg.norm(relative['training'].mean(0) - relative['evaluation'], axis=-1).mean()
    assert mean['MPJPE, wrist-relative'] == pytest.approx(1000 * error)
    assert ours['PA-MPJPE'] == values['figures']['pa_mpjpe']
    assert times['PA-MPJPE'] == pytest.approx(mean['PA-MPJPE'] / ours['PA-MPJPE'])


def test_mean_hand_that_there_cannot_be_is_refused_before_the_run(
    weights, tmp_path, capsys, monkeypatch
):
    def evaluated(*_, **__):
        raise AssertionError('evaluated')

    monkeypatch.setattr(evaluate_hamer, 'evaluate_hamer', evaluated)
    hint = hand_trees.hint(tmp_path / 'hint')
    assert evaluate(weights, f'hint:{hint}', '--mean-pose') == 2
    assert 'needs hands in 3D, which hint does not tell' in capsys.readouterr().err
    tree = hand_trees.freihand(tmp_path / 'data')
    (tree / 'training_xyz.json').unlink()
    assert evaluate(weights, f'freihand:{tree}', '--mean-pose') == 2
    assert 'training_xyz.json' in capsys.readouterr().err


def test_damaged_image_is_named(weights, tmp_path, capsys):
    tree = hand_trees.freihand(tmp_path / 'data')
    path = tree / 'evaluation' / 'rgb' / '00000001.jpg'
    path.write_bytes(path.read_bytes()[:300])
    assert evaluate(weights, f'freihand:{tree}') == 2
    assert '00000001.jpg' in capsys.readouterr().err


def test_answers_to_other_hands_are_refused(weights, tmp_path, capsys):
    tree = hand_trees.freihand(tmp_path / 'data')
    path = hand_trees.hamer_eval(tmp_path / 'eval')  # three hands, the second a right one
    assert evaluate(weights, f'hamer_eval:{path}', '--answers', f'freihand:{tree}') == 2
    assert 'has 2 hands, the evaluation file 3' in capsys.readouterr().err
    path = hand_trees.hamer_eval(tmp_path / 'two', count=2)
    assert evaluate(weights, f'hamer_eval:{path}', '--answers', f'freihand:{tree}') == 2
    assert 'not in the same order' in capsys.readouterr().err
