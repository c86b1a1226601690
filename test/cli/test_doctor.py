"""``hand_perception doctor`` looks at everything and stops at nothing."""

import builtins
import subprocess
import sys

import pytest

from hand_perception import dds_profile, labels
from hand_perception.cli import doctor
from hand_perception.cli.main import main
from hand_perception.errors import WeightsError


def findings(environment=None, *, mano_dir=''):
    return {
        finding.topic: finding for finding in doctor.findings(environment or {}, mano_dir=mano_dir)
    }


def test_a_working_installation_passes(capsys):
    assert main(['doctor']) == 0
    report = capsys.readouterr().out
    for topic in ('python', 'torch', 'opencv', 'weights', 'mano', 'actions', 'dds profile'):
        assert topic in report
    assert 'FAIL' not in report


@pytest.mark.parametrize(
    ('distro', 'variable'),
    list(zip(('jazzy', 'kilted'), dds_profile.PROFILE_VARIABLES, strict=True)),
)
def test_a_missing_dds_profile_is_a_warning_with_the_line_to_type(distro, variable):
    found = findings({'ROS_DISTRO': distro})['dds profile']
    assert found.level == doctor.WARN
    assert f'export {variable}=' in found.advice
    assert found.advice.endswith('fastdds_large_images.xml')


def test_the_shipped_dds_profile_is_fine():
    profile = str(dds_profile.shipped_profile())
    assert findings({dds_profile.PROFILE_VARIABLES[0]: profile})['dds profile'].level == doctor.OK


def test_a_wrong_mano_folder_fails_and_says_where_to_get_the_files(capsys):
    assert main(['doctor', '--mano-dir', '/nowhere']) == 1
    report = capsys.readouterr().out
    assert 'mano.is.tue.mpg.de' in report
    assert '/nowhere' in report


def test_unloadable_weights_fail_and_the_other_checks_still_run(monkeypatch):
    def load(settings):
        raise WeightsError('palm_detection_full.npz is corrupt')

    monkeypatch.setattr(doctor.HandPipeline, 'load', load)
    found = findings()
    assert found['weights'].level == doctor.FAIL
    assert 'corrupt' in found['weights'].text
    assert 'mano' in found


def test_labels_that_were_not_installed_fail_and_the_other_checks_still_run(monkeypatch):
    monkeypatch.setattr(labels, 'find_shared', lambda relative: None)
    found = findings()
    assert found['actions'].level == doctor.FAIL
    assert 'config/labels/fpha.yaml' in found['actions'].text
    assert 'safetensors' in found


def test_two_opencv_packages_are_a_warning(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, 'version', lambda name: '4.11')
    assert findings()['opencv'].level == doctor.WARN


def test_without_ros_predict_is_said_to_work(monkeypatch):
    true_import = builtins.__import__

    def no_rclpy(name, *args, **kwargs):
        if name.split('.')[0] == 'rclpy':
            raise ModuleNotFoundError("No module named 'rclpy'", name='rclpy')
        return true_import(name, *args, **kwargs)

    for module in [name for name in sys.modules if name.split('.')[0] == 'rclpy']:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(doctor.optional.importlib, 'import_module', no_rclpy)
    monkeypatch.setattr(doctor.importlib.util, 'find_spec', lambda name: None)
    found = findings()
    assert found['ros'].level == doctor.WARN
    assert 'predict works' in found['ros'].text
    assert 'dds profile' not in found


def test_a_broken_ros_is_a_finding_and_the_other_checks_still_run(monkeypatch):
    def broken(name, **_):
        if name == 'rclpy':
            raise ImportError('librcl.so: cannot open shared object file')
        return require(name, purpose='the test')

    require = doctor.optional.require
    monkeypatch.setattr(doctor.optional, 'require', broken)
    found = findings()
    assert found['ros'].level == doctor.FAIL
    assert 'librcl.so' in found['ros'].text
    assert found['weights'].level == doctor.OK


def test_a_reader_that_has_seen_enough_is_no_error():
    running = subprocess.Popen(
        [sys.executable, '-u', '-m', 'hand_perception.cli', 'doctor'],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout.readline().startswith('ok')
    running.stdout.close()
    error = running.stderr.read()
    running.stderr.close()
    running.wait(120)
    assert 'Traceback' not in error
    assert 'BrokenPipe' not in error


@pytest.mark.parametrize('arguments', [['--help'], ['predict', '--help'], ['demo', '--help']])
def test_help_is_there_and_quick_to_ask(arguments):
    done = subprocess.run(
        [sys.executable, '-m', 'hand_perception.cli', *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'usage: hand_perception' in done.stdout
