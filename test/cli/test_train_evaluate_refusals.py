"""What goes wrong between a folder of a data set and a trained network is said in one line."""

import contextlib
import resource
import shutil

import ego_trees
import hamer_files
import hand_trees
import pytest
import small_runs
from small_runs import command


@pytest.fixture(scope='module')
def synthetic(tmp_path_factory):
    return small_runs.make_synthetic(tmp_path_factory.mktemp('data') / 'synthetic')


@pytest.fixture(scope='module')
def runs(synthetic, tmp_path_factory):
    """A run of each network."""
    folder = tmp_path_factory.mktemp('runs')
    assert small_runs.train_htt(folder / 'htt', 'synthetic', synthetic) == 0
    assert small_runs.train_hamer(folder / 'hamer', f'synthetic:{synthetic}') == 0
    return folder


@contextlib.contextmanager
def disk_of(num_bytes):
    """Let no file grow past a size, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(folder, *names):
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize('network', ['htt', 'hamer'])
def test_full_disk_leaves_the_run_as_it_was_saved_before(
    network, runs, synthetic, tmp_path, capsys
):
    out = tmp_path / 'run'
    shutil.copytree(runs / network, out)
    kept = ('last.safetensors', 'state.safetensors')
    before = content(out, *kept)
    words = ('train', network, '--resume', '--out', out, 'run.steps=4')
    with disk_of(100_000):
        assert command(*words) == 2
    assert 'cannot be written' in capsys.readouterr().err
    assert content(out, *kept) == before
    assert not [path for path in out.rglob('*') if 'unfinished' in path.name]
    assert command(*words) == 0
    assert '4 steps done' in capsys.readouterr().out
    assert content(out, *kept) != before


def test_full_disk_at_the_end_of_an_evaluation_loses_nothing(tmp_path, capsys):
    weights = hamer_files.write_flat(tmp_path / 'hamer')
    tree = hand_trees.freihand(tmp_path / 'FreiHAND')
    words = ('evaluate', 'hamer', '--weights', weights, '--data', f'freihand:{tree}', '--out',
             tmp_path / 'out', '--device', 'cpu')  # fmt: skip
    with disk_of(30_000):
        assert command(*words) == 2
    assert 'cannot be written' in capsys.readouterr().err
    assert command(*words, '--resume') == 0
    assert (tmp_path / 'out' / 'freihand_submission.zip').is_file()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('run.stepps=3',), "did you mean 'steps'"),
        (('rnu.steps=3',), "unknown section 'rnu', did you mean 'run'"),
        (('data.root={gone}',), 'is not a folder'),
        (('data.train_split=training',), 'train'),
        (('data.kind=fpha', 'data.root={synthetic}'), 'action_object_info.txt'),
        (('model.weights={hamer}',), 'is an export of hamer, expected one of htt'),
        (('model.weights={gone}',), 'gone'),
        (('model.backbone={hamer}',), 'is an export of hamer, expected one of htt'),
        (('model.backbone={gone}',), 'no backbone found'),
        (('run.steps=-1',), 'steps must be 0 to inf'),
        (('data.window=4', 'data.pose_window=8'), 'a multiple of pose_window'),
    ],
)
def test_htt_is_not_trained_by_what_cannot_be(words, message, runs, synthetic, tmp_path, capsys):
    given = [word.format(**places(runs, synthetic, tmp_path)) for word in words]
    assert small_runs.train_htt(tmp_path / 'run', 'synthetic', synthetic, *given) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('data.trian=x',), "did you mean 'train'"),
        (('data.train=synthetic',), 'KIND:'),
        (('data.train=synthetic:{gone}',), 'is not a folder'),
        (('data.train=fpha:{synthetic}',), 'freihand'),
        (('data.validation=freihand:{synthetic}',), 'FreiHAND has the splits train, test'),
        (
            ('data.validation=freihand:{synthetic}', 'data.validation_split=test'),
            'evaluation_K.json',
        ),
        (('model.weights={htt}',), 'is an export of htt, expected one of hamer'),
        (('model.hand_model=mano', 'losses.adversarial=0'), 'MANO_RIGHT.pkl'),
        (('model.hand_model=mano',), 'set model.hand_model=default for a new network'),
        (('model.stem=1 2',), '4 multiples of 8'),
        (('model.heads=5',), 'heads'),
    ],
)
def test_hamer_is_not_trained_by_what_cannot_be(words, message, runs, synthetic, tmp_path, capsys):
    given = [word.format(**places(runs, synthetic, tmp_path)) for word in words]
    data = f'synthetic:{synthetic}'
    assert small_runs.train_hamer(tmp_path / 'run', data, *given) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1


def places(runs, synthetic, tmp_path):
    return {
        'htt': runs / 'htt' / 'last.safetensors', 'hamer': runs / 'hamer' / 'last.safetensors',
        'gone': tmp_path / 'gone', 'synthetic': synthetic,
    }  # fmt: skip


@pytest.mark.parametrize(('network', 'other'), [('htt', 'hamer'), ('hamer', 'htt')])
def test_weights_of_the_other_network_are_not_evaluated(network, other, runs, synthetic, capsys):
    weights = runs / other / 'last.safetensors'
    assert command('evaluate', network, '--weights', weights, '--data', f'synthetic:{synthetic}',
                   '--device', 'cpu') == 2  # fmt: skip
    assert f'export of {other}, expected one of {network}' in capsys.readouterr().err


def test_run_of_another_architecture_is_not_gone_on(runs, tmp_path, capsys):
    for network, word in (('htt', 'model.width=32'), ('hamer', 'model.depth=3')):
        out = tmp_path / network
        shutil.copytree(runs / network, out)
        before = content(out, 'state.safetensors', 'last.safetensors', 'config.yaml')
        assert command('train', network, '--resume', '--out', out, word) == 2
        said = capsys.readouterr().err
        assert 'state.safetensors' in said
        assert content(out, 'state.safetensors', 'last.safetensors', 'config.yaml') == before


def test_htt_of_one_data_set_is_not_evaluated_on_another(runs, tmp_path, capsys):
    tree = ego_trees.fpha(tmp_path / 'fpha')
    assert command('evaluate', 'htt', '--weights', runs / 'htt' / 'last.safetensors', '--data',
                   f'fpha:{tree}', '--device', 'cpu') == 2  # fmt: skip
    assert 'the weights do not fit fpha' in capsys.readouterr().err


def test_image_that_ends_early_stops_a_training_by_its_name(tmp_path, capsys):
    tree = ego_trees.fpha(tmp_path / 'fpha')
    for path in tree.glob('Video_files_480/**/*.jpeg'):
        path.write_bytes(path.read_bytes()[:-2])
    for workers in (0, 1):
        out = tmp_path / f'run{workers}'
        assert small_runs.train_htt(out, 'fpha', tree, f'run.workers={workers}') == 2
        said = capsys.readouterr().err
        assert '.jpeg' in said and 'color_00' in said
        assert 'Traceback' not in said


def test_mixed_up_splits_stop_a_training(tmp_path, capsys):
    tree = ego_trees.fpha(tmp_path / 'fpha')
    table = tree / 'data_split_action_recognition.txt'
    ego_trees.replace(table, 'Subject_1/open_juice_bottle/2', 'Subject_1/open_juice_bottle/1')
    assert small_runs.train_htt(tmp_path / 'run', 'fpha', tree) == 2
    assert 'Subject_1/open_juice_bottle/1' in capsys.readouterr().err


def test_numbers_that_are_none_stop_a_training(tmp_path, capsys):
    tree = ego_trees.fpha(tmp_path / 'fpha')
    paths = list(tree.glob('Hand_pose_annotation_v1/**/skeleton.txt'))
    for path in paths:
        lines = path.read_text().splitlines()
        number, _, *rest = lines[0].split()
        path.write_text('\n'.join([' '.join([number, 'nan', *rest]), *lines[1:]]))
    assert paths
    assert small_runs.train_htt(tmp_path / 'run', 'fpha', tree) == 2
    said = capsys.readouterr().err
    assert 'skeleton.txt, line 1' in said


def test_place_that_is_a_file_cannot_hold_a_run(synthetic, tmp_path, capsys):
    (tmp_path / 'run').write_text('a file')
    assert small_runs.train_htt(tmp_path / 'run', 'synthetic', synthetic) == 2
    assert 'cannot be written' in capsys.readouterr().err
