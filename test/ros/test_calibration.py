"""The service that calibrates the size of a hand, with a node that has the parameter."""

import threading

import pytest
from rclpy.node import Node
from ros_fakes import make_hand

from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import FrameResult
from hand_perception.errors import HandPerceptionError
from hand_perception.ros.calibration import CalibrationService
from hand_perception.ros.params import NodeParameters
from hand_perception.srv import CalibrateHand

SEEN = FrameResult(stamp_ns=1, frame_id='camera', hands=(make_hand(),), stage_s=())


class FakeMeasurement:
    """Complete after three images with a hand; impossible when there is none."""

    hint = 'hold the hand flat and still'

    def __init__(self, is_right):
        self.is_right = is_right
        self.count = 0

    def add(self, result):
        if not result.hands:
            raise HandPerceptionError('no hand is seen')
        self.count += 1
        return self.count == 3

    def outcome(self):
        return 1.125, 0.0625


class Perception:
    """A node with the parameter hand_scale and the service; images are shown by hand."""

    def __init__(self, bench, **options):
        self.bench = bench
        self.changes = []
        self.measurements = []
        self.is_enabled = True
        self.started = threading.Event()
        self.node = Node(
            'perception', automatically_declare_parameters_from_overrides=True,
            **bench.node_options(),
        )  # fmt: skip
        self.parameters = NodeParameters(
            self.node, PerceptionSettings, on_change=self.changes.append
        )
        self.service = CalibrationService(
            self.node,
            start=self._start,
            scale_of_palm=lambda width: width / 0.08,
            is_enabled=lambda: self.is_enabled,
            **options,
        )
        bench.add(self.node)

    def _start(self, is_right):
        self.measurements.append(FakeMeasurement(is_right))
        self.started.set()
        return self.measurements[-1]

    def call(self, **request):
        return self.bench.call(
            CalibrateHand, 'perception/calibrate_hand', CalibrateHand.Request(**request)
        )

    def show(self, results):
        """Show images from another thread as soon as a measurement began, as the worker does."""

        def work():
            assert self.started.wait(30)
            for result in results:
                while self.service._measurement is None:  # between making and keeping it
                    pass
                self.service.see(result)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    @property
    def hand_scale(self):
        return self.parameters.settings.hand_scale


def test_a_palm_width_sets_the_scale_at_once(bench):
    perception = Perception(bench)
    answer = perception.call(palm_width=0.09)
    assert answer.success, answer.message
    assert answer.hand_scale == pytest.approx(1.125, abs=1e-6)  # float32 of the message
    assert perception.hand_scale == pytest.approx(1.125, abs=1e-6)
    assert perception.node.get_parameter('hand_scale').value == perception.hand_scale
    assert perception.parameters.settings.hand_scale_stddev == 0.03  # by a ruler
    assert answer.stddev != answer.stddev


def test_a_hand_is_measured_over_images_and_the_scale_set(bench):
    perception = Perception(bench)
    thread = perception.show([SEEN] * 3)
    answer = perception.call(handedness=CalibrateHand.Request.HANDEDNESS_RIGHT)
    thread.join(30)
    assert (answer.success, answer.hand_scale, answer.stddev) == (True, 1.125, 0.0625)
    assert perception.hand_scale == 1.125
    assert perception.parameters.settings.hand_scale_stddev == pytest.approx(0.0625 / 1.125)
    assert perception.measurements[0].is_right is True
    assert '1.125' in answer.message


def test_a_measurement_that_cannot_be_leaves_the_scale_and_says_why(bench):
    perception = Perception(bench)
    perception.show([FrameResult(stamp_ns=1, frame_id='camera', hands=(), stage_s=())])
    answer = perception.call()
    assert not answer.success
    assert answer.message == 'no hand is seen'
    assert answer.hand_scale != answer.hand_scale
    assert perception.changes == []


def test_a_measurement_that_takes_too_long_says_what_to_do(bench):
    perception = Perception(bench, timeout_s=0.1)
    answer = perception.call()
    assert not answer.success
    assert '0.1 s' in answer.message and 'hold the hand flat and still' in answer.message
    perception.service.see(SEEN)  # after its end an image counts for nothing
    assert perception.measurements[0].count == 0


def test_images_go_on_while_a_hand_is_measured(bench):
    perception = Perception(bench)
    came = threading.Event()
    perception.node.create_timer(0.001, came.set)

    def look():
        perception.started.wait(30)
        came.clear()
        assert came.wait(30)  # the executor runs other callbacks while the service waits
        for _ in range(3):
            perception.service.see(SEEN)

    threading.Thread(target=look, daemon=True).start()
    assert perception.call().success


@pytest.mark.parametrize(
    ('request_fields', 'words'),
    [
        ({'palm_width': 85.0}, 'palm_width must be 0 (to measure) or 0.04 to 0.14 m'),
        ({'palm_width': -0.08}, 'got -0.08'),
        ({'palm_width': float('nan')}, 'got nan'),
        ({'handedness': 7}, 'handedness must be 0'),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_allowed(bench, request_fields, words):
    perception = Perception(bench)
    answer = perception.call(**request_fields)
    assert not answer.success
    assert words in answer.message
    assert perception.changes == [] and perception.measurements == []


def test_a_scale_outside_what_is_allowed_is_refused(bench):
    perception = Perception(bench)
    answer = perception.call(palm_width=0.13)
    assert not answer.success
    assert 'hand_scale of 1.625 is refused' in answer.message
    assert 'Min: 0.5, Max: 1.5' in answer.message
    assert perception.changes == []


def test_without_images_nothing_is_measured(bench):
    perception = Perception(bench)
    perception.is_enabled = False
    answer = perception.call()
    assert not answer.success
    assert '~/enable' in answer.message
