"""The training loop: exact going on, several processes, interruptions, losses that break."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_training
import torch
from tiny_training import TINY, tiny_sections

from hand_perception.errors import ConfigError, DatasetError, WeightsError
from hand_perception.models.safetensors_file import read_export_file, read_export_metadata
from hand_perception.training.loop import steps_between_asking
from hand_perception.training.run import run_training
from hand_perception.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def one_thread():
    """Of small products, so that sums are the same as in the processes that tests start."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(out, *overrides, resume=False, export=False, network=TINY):
    return run_training(
        network, tiny_sections(*overrides), out, resume=resume, export=export, show_progress=False
    )


def losses(out, kind='training'):
    """Losses by step, to the bit."""
    lines = [line for line in RunFolder(out).read_figures() if line['kind'] == kind]
    names = ('total', 'judged', 'learning_rate', 'epoch') if kind == 'training' else ('error_m',)
    return {line['step']: tuple(line[name] for name in names) for line in lines}


def run_apart(arguments, *, launcher=()):
    """Run the tiny training as another program."""
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [sys.executable, *launcher, tiny_training.__file__, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nobody interrupted."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp('runs') / 'whole'
    done = train(out, 'run.validate_every=3', export=True)
    torch.set_num_threads(before)
    return out, done


def test_whole_run_leaves_weights_figures_and_its_settings(whole):
    out, done = whole
    folder = RunFolder(out)
    assert (done.outcome.step, done.outcome.total_steps, done.outcome.signal) == (12, 12, 0)
    assert read_export_metadata(folder.last)['step'] == '12'
    assert sorted(losses(out)) == list(range(1, 13))
    errors = losses(out, 'validation')
    assert sorted(errors) == [3, 6, 9, 12]
    best = min(errors, key=errors.get)
    assert done.outcome.best == errors[best][0]
    assert done.outcome.watched == 'error_m'
    assert read_export_metadata(folder.best)['step'] == str(best)
    assert list(folder.log.iterdir())
    # Whoever may read the settings may read the weights.
    assert folder.last.stat().st_mode == folder.settings.stat().st_mode
    start = json.loads(folder.record.read_text())['starts'][0]
    assert (start['seed'], start['from_step'], start['processes']) == (0, 0, 1)
    assert start['versions']['torch'] == torch.__version__
    assert [path.read_text() for path in done.exported] == ['12 1']  # 8 steps are an epoch


def test_run_that_was_killed_goes_on_with_the_same_losses_to_the_bit(whole, tmp_path):
    out = tmp_path / 'killed'
    words = ['run.validate_every=3', 'run.log_every=1']
    died = run_apart([out, *words, 'model.kill_at=42'])  # while step 11 reads
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert max(losses(out)) == 10
    # Saved after step 8. Other processes read now, which changes nothing.
    done = train(out, *words, 'run.workers=1', resume=True)
    assert done.outcome.step == 12
    assert losses(out) == losses(whole[0])
    assert losses(out, 'validation') == losses(whole[0], 'validation')
    ended, _ = read_export_file(RunFolder(out).last, model='tiny')
    wanted, _ = read_export_file(RunFolder(whole[0]).last, model='tiny')
    assert all(torch.equal(ended[name], wanted[name]) for name in wanted)
    starts = json.loads(RunFolder(out).record.read_text())['starts']
    assert [start['from_step'] for start in starts] == [0, 8]
    assert 'run.workers=1, was 0' in starts[1]['changed']


def test_request_to_end_saves_and_going_on_is_exact(whole, tmp_path):
    out = tmp_path / 'stopped'
    before = signal.getsignal(signal.SIGTERM)
    # Also within the steps of one line of the log.
    done = train(out, 'run.log_every=4', 'model.stop_at=20')
    assert (done.outcome.signal, done.outcome.step) == (signal.SIGTERM, 5)
    assert signal.getsignal(signal.SIGTERM) == before
    done = train(out, 'run.log_every=4', resume=True)
    assert (done.outcome.signal, done.outcome.step) == (0, 12)
    exact = losses(whole[0])
    for step, (total, *_) in losses(out).items():
        assert total == sum(exact[one][0] for one in range(step - 3, step + 1)) / 4


def test_finished_run_that_is_gone_on_with_only_exports(whole, tmp_path):
    out = tmp_path / 'done'
    train(out, 'run.validate_every=3')
    state = RunFolder(out).state.stat().st_mtime_ns
    done = train(out, resume=True, export=True)
    assert done.outcome.step == 12
    assert len(done.exported) == 1
    assert (done.outcome.best, done.outcome.watched) == (whole[1].outcome.best, 'error_m')
    assert RunFolder(out).state.stat().st_mtime_ns == state
    assert losses(out) == losses(whole[0])


def test_run_with_more_steps_goes_on_after_its_end(whole, tmp_path):
    out = tmp_path / 'longer'
    train(out, 'run.steps=6')
    train(out, resume=True)
    assert losses(out) == losses(whole[0])


def test_folder_that_holds_a_run_is_not_overwritten(whole):
    with pytest.raises(ConfigError, match='holds a run already; go on with it by --resume'):
        train(whole[0])


def test_parts_of_a_step_add_up_to_one_batch(tmp_path):
    words = ['run.seed=99', 'run.steps=6', 'run.accumulate=2', 'run.batch_size=2']
    train(tmp_path / 'parts', *words)
    train(tmp_path / 'one', 'run.seed=99', 'run.steps=6')
    parts, one = losses(tmp_path / 'parts'), losses(tmp_path / 'one')
    for step in one:
        assert parts[step] == pytest.approx(one[step], rel=1e-5)  # other order of sums


def test_two_processes_under_torchrun_are_like_one_with_the_double_batch(tmp_path):
    words = ['run.seed=99', 'run.steps=8', 'run.validate_every=4', 'run.batch_size=2']
    done = run_apart(
        [tmp_path / 'two', *words],
        launcher=['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2'],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['8', '0']  # said once
    train(tmp_path / 'one', *words[:-1], 'run.batch_size=4')
    two, one = losses(tmp_path / 'two'), losses(tmp_path / 'one')
    assert sorted(two) == sorted(one) == list(range(1, 9))
    for step in one:
        assert two[step] == pytest.approx(one[step], rel=1e-4)  # other order of sums
    record = json.loads(RunFolder(tmp_path / 'two').record.read_text())
    assert record['starts'][0]['processes'] == 2


def test_processes_with_slow_steps_notice_an_interruption_of_one_at_once(tmp_path):
    out = tmp_path / 'slow'
    done = run_apart(
        [out, 'run.batch_size=2', 'model.slow_s=0.6', 'model.stop_at=6'],  # in the third step
        launcher=['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2'],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['3', str(int(signal.SIGTERM))]
    assert read_export_metadata(RunFolder(out).last)['step'] == '3'


@pytest.mark.parametrize(
    ('pace_s', 'steps'), [(float('inf'), 1), (60.0, 1), (0.5, 4), (0.01, 10), (0.0, 10)]
)
def test_processes_ask_each_other_the_more_often_the_slower_they_are(pace_s, steps):
    assert steps_between_asking(pace_s) == steps


def test_network_that_cannot_be_exported_is_refused_before_training(tmp_path):
    out = tmp_path / 'run'
    with pytest.raises(WeightsError, match='knows no width of 5'):
        train(out, 'model.width=5', export=True)
    assert not out.exists()
    assert train(out, 'model.width=5', 'run.steps=1').outcome.step == 1


def test_coarse_numbers_train_too_and_results_stay_fine(tmp_path):
    done = train(tmp_path / 'coarse', 'run.precision=bf16-mixed', 'run.picture_every=6')
    fine = train(tmp_path / 'fine')
    assert done.outcome.step == 12
    coarse, exact = losses(tmp_path / 'coarse'), losses(tmp_path / 'fine')
    assert coarse[1] != exact[1]
    assert coarse[1][0] == pytest.approx(exact[1][0], rel=0.02)  # 8 bits
    assert fine.outcome.best == pytest.approx(done.outcome.best, rel=0.5)


@pytest.mark.parametrize(('is_fast', 'wanted'), [(True, 'bf16-mixed'), (False, '32-true')])
def test_precision_is_chosen_by_what_the_device_is_fast_at(tmp_path, monkeypatch, is_fast, wanted):
    monkeypatch.setattr('hand_perception.training.processes.has_fast_bf16', lambda device: is_fast)
    train(tmp_path / 'auto', 'run.precision=auto', 'run.steps=2')
    train(tmp_path / 'told', f'run.precision={wanted}', 'run.steps=2')
    assert losses(tmp_path / 'auto') == losses(tmp_path / 'told')
    (start,) = json.loads(RunFolder(tmp_path / 'auto').record.read_text())['starts']
    assert start['precision'] == wanted


def test_scale_of_16_bit_gradients_is_part_of_the_state(tmp_path, monkeypatch):
    """With what lightning-fabric has on a GPU, on a CPU."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision

    def make_fabric(run):
        scaler = torch.amp.GradScaler('cpu', init_scale=1024.0, growth_interval=3)
        mixed = MixedPrecision(precision='16-mixed', device='cpu', scaler=scaler)
        return Fabric(accelerator='cpu', devices=1, plugins=[mixed])

    monkeypatch.setattr('hand_perception.training.run.make_fabric', make_fabric)
    train(tmp_path / 'whole', 'optimizer.clip_gradients=1.0')
    train(tmp_path / 'parts', 'optimizer.clip_gradients=1.0', 'run.steps=5')
    state = read_export_metadata(RunFolder(tmp_path / 'parts').state)
    assert json.loads(state['progress'])['scaler']['scale'] == 2048.0  # doubled after 3 steps
    train(tmp_path / 'parts', 'optimizer.clip_gradients=1.0', resume=True)
    assert losses(tmp_path / 'parts') == losses(tmp_path / 'whole')


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('precision', ['32-true', 'bf16-mixed', '16-mixed'])
def test_run_on_a_gpu_goes_on_with_close_losses(tmp_path, precision):
    words = [f'run.precision={precision}', 'run.device=cuda', 'optimizer.clip_gradients=1.0']
    train(tmp_path / 'whole', *words)
    train(tmp_path / 'parts', *words, 'run.steps=5')
    train(tmp_path / 'parts', *words, resume=True)
    parts, whole = losses(tmp_path / 'parts'), losses(tmp_path / 'whole')
    for step in whole:
        assert parts[step] == pytest.approx(whole[step], rel=1e-3)  # sums in any order


def test_half_numbers_are_refused_on_a_cpu(tmp_path):
    with pytest.raises(ConfigError, match='16-mixed needs a GPU'):
        train(tmp_path / 'half', 'run.precision=16-mixed')


def test_clipped_gradients_change_a_step_of_sgd_as_they_should(tmp_path):
    words = ['optimizer.kind=sgd', 'run.steps=2', 'run.save_every=1', 'run.seed=99']
    train(tmp_path / 'free', *words, 'optimizer.learning_rate=1e-3')
    clipped = ['optimizer.learning_rate=1e-3', 'optimizer.clip_gradients=1e-6']
    train(tmp_path / 'clipped', *words, *clipped)
    torch.manual_seed(99)
    start = TINY.make_task(tiny_sections(*words)).modules['tiny'].state_dict()

    def moved(name):
        end, _ = read_export_file(RunFolder(tmp_path / name).last, model='tiny')
        return sum(float((end[key] - start[key]).square().sum()) for key in end) ** 0.5

    assert moved('free') > 1e-4
    assert moved('clipped') < 3e-9  # two steps of 1e-3 times 1e-6, and momentum


def test_loss_that_is_not_finite_ends_the_run_and_leaves_what_was_saved(tmp_path):
    out = tmp_path / 'broken'
    with pytest.raises(DatasetError, match=r'step 9 of the run .*total = nan.*data check'):
        train(out, 'model.nan_epoch=1', 'run.log_every=5')
    weights, metadata = read_export_file(RunFolder(out).last, model='tiny')
    assert metadata['step'] == '8'
    assert all(bool(weight.isfinite().all()) for weight in weights.values())


def test_sample_that_cannot_be_read_ends_the_run_after_saving(whole, tmp_path):
    out = tmp_path / 'damaged'
    words = ['run.validate_every=3', 'run.save_every=100']
    with pytest.raises(DatasetError, match='cut_off.jpg'):
        train(out, *words, 'model.damaged_epoch=1')
    assert read_export_metadata(RunFolder(out).last)['step'] == '8'  # all of the first epoch
    assert train(out, *words, resume=True).outcome.step == 12
    assert losses(out) == losses(whole[0])


def test_folder_that_not_all_machines_see_is_refused_by_all(tmp_path):
    """Two machines played by two programs, each of which has a disk of its own."""
    train(tmp_path / 'first', 'run.steps=4')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    machines = [
        subprocess.Popen(
            [sys.executable, tiny_training.__file__, str(tmp_path / name), '--resume'],
            env=os.environ | {
                'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'MASTER_ADDR': '127.0.0.1',
                'MASTER_PORT': str(port), 'WORLD_SIZE': '2', 'LOCAL_WORLD_SIZE': '1',
                'RANK': str(rank), 'GROUP_RANK': str(rank), 'LOCAL_RANK': '0',
                'TORCHELASTIC_RUN_ID': 'two machines',
            },
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for rank, name in enumerate(('first', 'second'))
    ]  # fmt: skip
    said = []
    try:
        for machine in machines:
            said.append(machine.communicate(timeout=120)[1])
    finally:
        for machine in machines:
            machine.kill()
    assert '1 of 2 processes see the state of a run' in said[0]
    assert 'this one does not: it must be one folder' in said[1]
    assert not (tmp_path / 'second').exists()


def test_state_of_another_network_is_refused_by_name(whole, tmp_path):
    out = tmp_path / 'run'
    train(out, 'run.steps=1')
    with pytest.raises(WeightsError, match=r'tiny/first.weight is \(8, 4\), expected \(16, 4\)'):
        train(out, 'model.width=16', resume=True)
    with pytest.raises(WeightsError, match='optimizer tiny does not fit'):
        train(out, 'model.width=8', resume=True, network=TINY._replace(make_task=other_optimizer))


def other_optimizer(sections):
    """A task whose optimizer holds the parameters in another order."""
    task = tiny_training.TinyTask(sections)
    parameters = list(task.modules['tiny'].parameters())
    task.optimizers['tiny'] = torch.optim.Adam(parameters[::-1])
    return task


@pytest.mark.parametrize('how', ['half', 'noise', 'weights'])
def test_damaged_state_is_refused_by_name(tmp_path, how):
    out = tmp_path / 'run'
    train(out, 'run.steps=1')
    state = RunFolder(out).state
    content = state.read_bytes()
    if how == 'half':
        state.write_bytes(content[: len(content) // 2])
    elif how == 'noise':
        state.write_bytes(b'\x00' * 100)
    else:
        state.write_bytes(RunFolder(out).last.read_bytes())
    with pytest.raises(WeightsError, match='state.safetensors'):
        train(out, resume=True)


def test_full_disk_leaves_the_state_before(tmp_path):
    """In another program, since the limit on the size of files holds for all of them."""
    out = tmp_path / 'full'
    train(out, 'run.steps=4')
    state = RunFolder(out).state
    before = state.read_bytes()
    script = (
        'import resource, sys, tiny_training; '
        f'resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2}, {len(before) // 2})); '
        'tiny_training.main(sys.argv[1:])'
    )
    environment = os.environ | {
        'PYTHONPATH': os.pathsep.join([str(ROOT), str(Path(tiny_training.__file__).parent)])
    }
    done = subprocess.run(
        [sys.executable, '-c', script, str(out), '--resume'],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'state.safetensors cannot be written' in done.stderr
    assert state.read_bytes() == before
    assert not list(out.glob('.*unfinished'))
    assert train(out, resume=True).outcome.step == 12


def test_log_for_tensorboard_that_cannot_be_written_ends_no_run(tmp_path, caplog):
    """As its events outgrow a limit; the state and the lines of figures do not."""
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    class Full(EventFileWriter):
        def add_event(self, event):
            if event.step > 3:
                raise OSError(28, 'No space left on device')
            super().add_event(event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('torch.utils.tensorboard.writer.EventFileWriter', Full)
        assert train(tmp_path / 'run').outcome.step == 12
    assert 'TensorBoard ends here' in caplog.text
    assert sorted(losses(tmp_path / 'run')) == list(range(1, 13))


def test_too_few_samples_are_refused(tmp_path):
    with pytest.raises(ConfigError, match='smaller batch_size'):
        train(tmp_path / 'few', 'model.samples=3')
