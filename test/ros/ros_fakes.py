"""Deterministic hands, a pipeline that sees them everywhere, and image messages."""

import math
import threading
from dataclasses import replace

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from hand_perception.actions import ActionResult, LabelMap
from hand_perception.datatypes import (
    DepthSource,
    FrameResult,
    Hand,
    ManoParameters,
)
from hand_perception.geometry import rotation_from_axis_angle
from hand_perception.msg import HandBox, HandBoxArray
from hand_perception.pipeline.shape import ShapeMemory

#: A closed tetrahedron is mesh enough: 4 vertices, 4 faces seen counter-clockwise from outside.
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)

LABELS = LabelMap(
    name='fpha', actions=('pour_milk', 'open_milk', 'drink'), objects=('milk', 'cup')
)


def make_hand(*, is_right=True, track_id=1, seed=0, num_vertices=4):
    """A hand half a metre in front of the camera, with no two numbers alike."""
    rng = np.random.default_rng(seed + 2 * track_id + is_right)
    keypoints_3d = (rng.normal(0, 0.05, (21, 3)) + [0.1, 0.05, 0.5]).astype(np.float32)
    vertices = rng.normal(0, 0.05, (num_vertices, 3))
    vertices[:4] = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
    return Hand(
        track_id=track_id,
        is_right=is_right,
        handedness_score=0.75,
        confidence=0.875,
        bbox_xyxy=np.array([10.5, 20.25, 110, 220], np.float32),
        keypoints_3d=keypoints_3d,
        keypoints_2d=(500 * keypoints_3d[:, :2] / keypoints_3d[:, 2:]).astype(np.float32),
        keypoint_confidence=np.full(21, np.nan, np.float32),
        vertices=(vertices + [0, 0, 0.5]).astype(np.float32),
        wrist_rotation=rotation_from_axis_angle(rng.normal(0, 1, 3)),
        parameters=ManoParameters(
            global_orient=rng.normal(0, 1, 3),
            hand_pose=rng.normal(0, 1, 45),
            betas=rng.normal(0, 1, 10),
            transl=rng.normal(0, 1, 3),
        ),
        flexion=rng.uniform(0, 1, 15).astype(np.float32),
        pinch_distance_m=0.0625,
        pinch=0.25,
        grasp=0.5,
        depth_source=DepthSource.MONO,
        depth_stddev_m=0.03125,
    )


class FakeHandModel:
    """The hand model of the hands of a recogniser."""

    name = 'default'
    faces = FACES


class FakeState:
    """Memory of a fake stream."""

    def __init__(self):
        self.resets = 0
        self.shapes = ShapeMemory()

    def reset(self):
        self.resets += 1


class FakePipeline:
    """Sees what ``hands`` says, in every image.

    Attributes:
        frames: all that came.
        gate: a step waits while it is cleared.
        error: raised once by the next step when it is not None.
        label_map: None for a pipeline without a recogniser.
        told: what is said of the actions of every image; a function of the frame.
        action_error: raised once by the next recognition when it is not None.
        is_between_tokens: the next images are not looked at by HTT, whose hands are asked for.
        raw_hands: the same as ``hands`` before smoothing.
        horizon_ns: how far ahead hands are predicted.
        measurement: what measures the size of a hand.
    """

    backend_name = 'landmarks'
    hand_model_name = 'default'
    device_name = 'cpu'
    recogniser_device = 'cpu, fake'

    def __init__(self, hands=(), *, faces=FACES, recogniser='none', told=None):
        self.recogniser_name = recogniser
        self.label_map = None if recogniser == 'none' else LABELS
        self.recogniser_hand_model = FakeHandModel() if recogniser == 'htt' else None
        self.told = told or (lambda frame: ActionResult())
        self.recognised = []
        self.action_error = None
        self.is_between_tokens = False
        self.hands = tuple(hands)
        self.raw_hands = None
        self.horizon_ns = 50_000_000
        self.measurement = None
        self.faces_right = faces
        self.frames = []
        self.settings = None
        self.error = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.state = FakeState()

    def new_stream(self):
        return self.state

    def replace_settings(self, settings):
        self.settings = settings

    def step(self, state, frame):
        self.entered.release()
        assert self.gate.wait(30), 'the gate was never opened'
        self.frames.append(frame)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return FrameResult(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            hands=self.hands,
            raw_hands=self.raw_hands,
            is_between_tokens=self.is_between_tokens,
            stage_s=(('fake', 0.001),),
        )

    def look_ahead(self, state, result, stamp_ns):
        reached_ns = min(stamp_ns, result.stamp_ns + self.horizon_ns)
        return reached_ns, tuple(replace(hand, is_predicted=True) for hand in result.hands)

    def measure_hand(self, is_right):
        return self.measurement

    def scale_of_palm(self, width_m):
        return width_m / 0.08

    def recognise(self, state, frame, result):
        self.recognised.append(result)
        if self.action_error is not None:
            error, self.action_error = self.action_error, None
            raise error
        return self.told(frame)


def image_message(stamp_ns, *, width=64, height=48, encoding='bgr8', frame_id='camera', seed=0):
    """A colour image with random content."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    message = Image(height=height, width=width, encoding=encoding, step=3 * width)
    set_stamp(message, stamp_ns)
    message.header.frame_id = frame_id
    message.data = pixels.tobytes()
    return message


def camera_info(*, width=64, height=48, focal=60.0, frame_id='camera'):
    """The camera of :func:`image_message`."""
    message = CameraInfo(width=width, height=height, distortion_model='plumb_bob')
    message.header.frame_id = frame_id
    message.k = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], np.float64)
    message.d = [0.0] * 5
    return message


def set_stamp(message, stamp_ns):
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)


def box_message(corners, *, is_right, score=math.nan):
    """One box of a user's detector."""
    side = HandBox.HANDEDNESS_RIGHT if is_right else HandBox.HANDEDNESS_LEFT
    return HandBox(handedness=side, bbox=np.array(corners, np.float32), score=score)


def boxes_message(stamp_ns, *boxes):
    """The boxes of one image."""
    message = HandBoxArray(boxes=list(boxes))
    set_stamp(message, stamp_ns)
    return message
