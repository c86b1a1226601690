"""From a folder of a data set to hands and actions, with nothing but the command line."""

import json
import shutil

import cv2
import ego_trees
import hamer_files
import hand_trees
import numpy as np
import pytest
import small_runs
from small_runs import command

from hand_perception.datasets.clips import open_images, open_split

TREES = {'fpha': ego_trees.fpha, 'h2o': ego_trees.h2o, 'synthetic': small_runs.make_synthetic}


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    """Folders of the three data sets, made when they are asked for."""
    made = {}

    def tree(kind):
        if kind not in made:
            made[kind] = TREES[kind](tmp_path_factory.mktemp('data') / kind)
        return made[kind]

    return tree


@pytest.fixture(scope='module')
def htt_runs(trees, tmp_path_factory):
    """Runs of HTT by kind of data set, with their official export."""
    made = {}

    def trained(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp('runs') / kind
            assert small_runs.train_htt(made[kind], kind, trees(kind), '--export') == 0
        return made[kind]

    return trained


@pytest.fixture(scope='module')
def hamer_run(trees, tmp_path_factory):
    """A run of HaMeR on synthetic hands, with its official export."""
    out = tmp_path_factory.mktemp('runs') / 'hamer'
    data = f'synthetic:{trees("synthetic")}'
    assert small_runs.train_hamer(out, data, f'data.validation={data}', '--export') == 0
    return out


def told(folder):
    return json.loads((folder / 'metrics.json').read_text())


def write_frames(folder, split, segment, frames):
    """Write images of a segment as a folder of pictures, and their intrinsics."""
    folder.mkdir()
    images = open_images(split).read(segment, list(frames))
    for place, image in enumerate(images):
        assert cv2.imwrite(str(folder / f'{place:03d}.png'), image[..., ::-1])
    (folder.parent / 'K.json').write_text(json.dumps(split.K.tolist()))


def predict_htt(tmp_path, weights, out, *more):
    code = command(
        'predict', tmp_path / 'frames', '--backend', 'htt', '--htt-checkpoint', weights, '--out',
        tmp_path / out, '--intrinsics', tmp_path / 'K.json', '--every-frame', '--window', 8,
        '--pose-window', 4, '--htt-precision', 'fp32', '--device', 'cpu', *more,
    )  # fmt: skip
    assert code == 0
    return np.load(tmp_path / out)


@pytest.mark.parametrize('kind', ['fpha', 'h2o', 'synthetic'])
def test_htt_is_trained_evaluated_and_used(kind, trees, htt_runs, tmp_path):
    run, tree = htt_runs(kind), trees(kind)
    out = tmp_path / 'evaluated'
    assert command('evaluate', 'htt', '--weights', run / 'last.safetensors', '--data',
                   f'{kind}:{tree}', '--out', out, '--device', 'cpu') == 0  # fmt: skip
    values = told(out)
    assert values['benchmark'] == f'{kind}/test'
    assert 0 < values['figures']['mepe_right'] < 2000
    assert (values['figures']['action_accuracy'] is None) == (kind == 'h2o')  # no labels there
    assert (out / 'action_labels.zip').exists() == (kind == 'h2o')

    split = open_split(kind, tree, 'test')
    number = max(range(len(split.segments)), key=lambda n: split.segments[n].num_frames)
    segment = split.segments[number]
    write_frames(tmp_path / 'frames', split, segment, range(0, segment.num_frames, 2))
    said = predict_htt(tmp_path, run / 'last.safetensors', 'ours.npz')
    # The first of the two phases of the published evaluation is what a stream sees.
    with np.load(out / 'parts' / f'{number:05d}.npz') as part:
        measured = part['joints_3d'][::2]
    # Metres; batches of other sizes differ in rounding.
    np.testing.assert_allclose(said['final'].reshape(measured.shape), measured, atol=1e-5)
    assert list(said['action_labels']) == list(split.labels.actions)
    # The official layout has no names of classes; those of FPHA and H2O are known by their number.
    names = tmp_path / 'labels.yaml'
    labels = {'name': kind, 'actions': split.labels.actions, 'objects': split.labels.objects}
    names.write_text(json.dumps(labels))
    more = ('--htt-labels', names) if kind == 'synthetic' else ()
    official = predict_htt(tmp_path, run / 'official' / 'checkpoint.pth', 'official.npz', *more)
    for name in ('joints_3d', 'final', 'action_prob', 'final_action_prob'):
        np.testing.assert_array_equal(official[name], said[name])


def test_hamer_is_trained_evaluated_and_used(trees, hamer_run, tmp_path):
    data = f'synthetic:{trees("synthetic")}'
    figures = []
    for name, weights in (
        ('ours', hamer_run / 'last.safetensors'),
        ('official', hamer_run / 'official' / 'hamer_ckpts'),
    ):
        assert command('evaluate', 'hamer', '--weights', weights, '--data', data, '--out',
                       tmp_path / name, '--device', 'cpu') == 0  # fmt: skip
        figures.append(told(tmp_path / name)['figures'])
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)  # float32
    assert {'pa_mpjpe', 'pa_mpvpe', 'f_15', 'mpjpe_root', 'pck_15_all'} <= set(figures[0])

    split = open_split('synthetic', trees('synthetic'), 'test')
    write_frames(tmp_path / 'frames', split, split.segments[0], [0])
    truth = split.truth(split.segments[0])
    boxes = [
        {'bbox_xyxy': box.tolist(), 'is_right': bool(is_right)}
        for box, is_right in zip(truth.boxes[0], split.is_right, strict=True)
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps({'000.png': boxes}))
    assert command('predict', tmp_path / 'frames' / '000.png', '--backend', 'hamer',
                   '--hamer-dir', hamer_run / 'last.safetensors', '--precision', 'fp32',
                   '--boxes', tmp_path / 'boxes.json', '--device', 'cpu',
                   '--out', tmp_path / 'hands.npz') == 0  # fmt: skip
    with np.load(tmp_path / 'hands.npz') as found:
        assert found['keypoints_3d'].shape == (2, 21, 3)
        assert np.isfinite(found['vertices']).all()


def test_official_hamer_is_tuned_on_freihand_and_measured_there(tmp_path):
    tree = hand_trees.freihand(tmp_path / 'FreiHAND')
    mano = hand_trees.write_mano(tmp_path / 'mano')
    weights = hamer_files.write_official(tmp_path)
    shutil.copy(mano / 'MANO_RIGHT.pkl', tmp_path)
    out = tmp_path / 'run'
    assert command(
        'train', 'hamer', '--config', 'hamer', '--out', out, 'model.backbone_weights=',
        f'model.weights={weights}', f'model.mano_dir={mano}', f'data.train=freihand:{tree}',
        f'data.validation=freihand:{tree}', 'data.validation_split=test', 'run.steps=2',
        'run.batch_size=2', 'run.device=cpu', 'run.workers=0', 'run.precision=32-true',
    ) == 0  # fmt: skip
    assert command('evaluate', 'hamer', '--weights', out / 'last.safetensors', '--mano', mano,
                   '--data', f'freihand:{tree}', '--out', tmp_path / 'told',
                   '--device', 'cpu') == 0  # fmt: skip
    assert told(tmp_path / 'told')['benchmark'] == 'freihand/evaluation'
    assert (tmp_path / 'told' / 'freihand_submission.zip').is_file()
