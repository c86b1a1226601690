"""What crosses module borders: frames, cameras, hands. Metres, pixels, nanoseconds.

Arrays in these records are not modified after construction.
"""

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.errors import CameraError

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]

#: The 21 keypoints, in the one order used everywhere: wrist, then thumb to little finger,
#: each from base to tip (the order of OpenPose and MediaPipe).
JOINT_NAMES: Final = (
    'wrist',
    'thumb_cmc', 'thumb_mcp', 'thumb_ip', 'thumb_tip',
    'index_mcp', 'index_pip', 'index_dip', 'index_tip',
    'middle_mcp', 'middle_pip', 'middle_dip', 'middle_tip',
    'ring_mcp', 'ring_pip', 'ring_dip', 'ring_tip',
    'little_mcp', 'little_pip', 'little_dip', 'little_tip',
)  # fmt: skip
#: Parent of each keypoint along its finger; the wrist is its own parent.
JOINT_PARENTS: Final = (0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
NUM_JOINTS: Final = len(JOINT_NAMES)

#: Distortion models of sensor_msgs/CameraInfo that keypoints are undistorted for.
DISTORTION_MODELS: Final = ('', 'plumb_bob', 'rational_polynomial', 'equidistant')
#: Coefficients that each of them may have (OpenCV's camera model; none: all are zero).
_POLYNOMIAL_LENGTHS: Final = (0, 4, 5, 8, 12, 14)
_DISTORTION_LENGTHS: Final = {
    '': _POLYNOMIAL_LENGTHS,
    'plumb_bob': _POLYNOMIAL_LENGTHS,
    'rational_polynomial': _POLYNOMIAL_LENGTHS,
    'equidistant': (0, 4),
}


class DepthSource(enum.IntEnum):
    """Where the metric distance of a hand comes from (constants of HandPose.msg)."""

    ASSUMED_CAMERA = 1  #: hand size and an assumed focal length: no camera_info came
    MONO = 2  #: hand size and the true camera
    SENSOR = 3  #: an aligned depth image


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Intrinsics of one image: x right, y down, z forward; pixel centres at whole numbers.

    A point (x, y, z) in metres falls on pixel (fx x/z + cx, fy y/z + cy) before distortion.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ''
    distortion: tuple[float, ...] = ()
    is_assumed: bool = False  #: True: a guessed focal length, nobody measured this camera

    @classmethod
    def assumed(cls, width: int, height: int, *, focal_ratio: float = 1.0) -> 'Camera':
        """Make a camera for an image without camera_info: focal length ratio x the long side."""
        return cls.centred(
            width, height, focal_px=focal_ratio * max(width, height), is_assumed=True
        )

    @classmethod
    def centred(
        cls, width: int, height: int, *, focal_px: float, is_assumed: bool = False
    ) -> 'Camera':
        """Make a camera of which only the focal length is known: it looks at the middle."""
        return cls(
            width=width, height=height, fx=focal_px, fy=focal_px,
            cx=(width - 1) / 2, cy=(height - 1) / 2, is_assumed=is_assumed,
        )  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse intrinsics no camera has."""
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f'camera size must be positive, got {self.width}x{self.height}')
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(np.isfinite(numbers)) or self.fx <= 0 or self.fy <= 0:
            raise CameraError(
                'camera intrinsics need finite numbers and focal lengths above 0, got '
                f'fx={self.fx} fy={self.fy} cx={self.cx} cy={self.cy} D={list(self.distortion)}; '
                'calibrate the camera or stop publishing an empty camera_info'
            )
        lengths = _DISTORTION_LENGTHS.get(self.distortion_model, ())
        is_known = self.distortion_model in DISTORTION_MODELS
        if is_known and any(self.distortion) and len(self.distortion) not in lengths:
            raise CameraError(
                f'distortion model {self.distortion_model or "none"!r} takes '
                f'{" or ".join(map(str, lengths))} coefficients, got {len(self.distortion)}: '
                f'D={list(self.distortion)}; calibrate the camera again or correct camera_info'
            )
        if self.distortion_model not in DISTORTION_MODELS:
            raise CameraError(
                f'distortion model {self.distortion_model!r} is not known; expected one of '
                f'{", ".join(m for m in DISTORTION_MODELS if m)} or empty for none'
            )

    @property
    def K(self) -> DoubleArray:  # noqa: N802 - the field's symbol
        """(3, 3) intrinsic matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    @property
    def is_distorted(self) -> bool:
        """Whether pixels must be undistorted before a pinhole model holds."""
        return bool(self.distortion_model) and any(self.distortion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A tight box around one hand.

    Attributes:
        xyxy: x_min, y_min, x_max, y_max, pixels of the image.
        is_right: the person's right hand.
        score: 0-1, how sure the detector is; None when it does not say.
    """

    xyxy: tuple[float, float, float, float]
    is_right: bool
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One camera image with its time and its camera.

    Attributes:
        image: (H, W, 3) uint8, possibly a view of a message with padded rows; never written to.
        is_rgb: True for red-green-blue, False for blue-green-red channel order.
        stamp_ns: time of the image, integer nanoseconds.
        frame_id: camera optical frame of the image.
        camera: intrinsics of this image, same size as ``image``.
        depth_m: (H, W) float32 aligned depth in metres, NaN where unknown; None without a sensor.
        boxes: hands to reconstruct, from a detector of the user; None: find them.
    """

    image: ImageArray
    is_rgb: bool
    stamp_ns: int
    frame_id: str
    camera: Camera
    depth_m: FloatArray | None = None
    boxes: tuple[Box, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rotated square of the image that holds one hand.

    Attributes:
        center_px: (x, y), pixels of the image.
        size_px: side length, pixels.
        angle_rad: how far the hand's wrist-to-fingers axis is turned clockwise, as seen, from the
            image's up axis: 0 fingers up, pi/2 fingers right, -pi/2 fingers left.
    """

    center_px: tuple[float, float]
    size_px: float
    angle_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandLandmarks:
    """What the landmark network says of one hand in one image.

    Attributes:
        keypoints_2d: (21, 2) float64, pixels of the source image.
        world_m: (21, 3) float64, metres about the hand's centre, camera axes; scale is not true.
        presence: 0-1, that the region holds a hand.
        right_score: 0-1, that it is the person's right hand (image not mirrored).
        region: where it was looked for.
    """

    keypoints_2d: DoubleArray
    world_m: DoubleArray
    presence: float
    right_score: float
    region: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class ManoParameters:
    """Pose and shape of one true (left or right) hand, relative to the flat hand.

    Attributes:
        global_orient: (3,) axis-angle, radians, hand model to camera optical frame.
        hand_pose: (45,) axis-angle of 15 joints: index, middle, little, ring, thumb (MANO order).
        betas: (10,) shape.
        transl: (3,) metres; added after posing, as in MANO.
    """

    global_orient: DoubleArray
    hand_pose: DoubleArray
    betas: DoubleArray
    transl: DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerDetails:
    """What HaMeR said of a hand before it was placed in the true camera; true hand, not mirrored.

    Attributes:
        pred_cam: (3,) weak-perspective camera of the crop: s, tx, ty.
        cam_t_full: (3,) translation in the official full-image camera.
        focal_full_px: focal length of that camera.
        rotations: (16, 3, 3) global orientation in the axes of the crop, and 15 joints.
    """

    pred_cam: FloatArray
    cam_t_full: FloatArray
    focal_full_px: float
    rotations: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """One tracked hand in one image; fields as in HandPose.msg.

    Attributes:
        track_id: stable while the hand is followed, never reused in a run.
        is_right: the person's right hand.
        handedness_score: 0-1, agreement of the track's votes with ``is_right``.
        confidence: 0-1, heuristic of the back end.
        bbox_xyxy: (4,) x_min y_min x_max y_max, pixels.
        keypoints_3d: (21, 3) metres, camera optical frame.
        keypoints_2d: (21, 2) pixels of the source image; projection of ``keypoints_3d``.
        keypoint_confidence: (21,) 0-1, NaN where the back end has none.
        vertices: (V, 3) metres, camera optical frame.
        wrist_rotation: (3, 3) camera optical frame from wrist frame (axes in docs/frames.md).
        parameters: MANO-style parameters of the true hand.
        flexion: (15,) radians; thumb, index, middle, ring, little; base, middle, end joint.
        pinch_distance_m: thumb tip to index tip.
        pinch: 0 open to 1 closed.
        grasp: 0 open to 1 closed.
        depth_source: where the distance comes from.
        depth_stddev_m: standard deviation of the distance.
        is_predicted: extrapolated to the stamp rather than measured in its image.
        hamer: what only HaMeR knows; None with other back ends.
    """

    track_id: int
    is_right: bool
    handedness_score: float
    confidence: float
    bbox_xyxy: FloatArray
    keypoints_3d: FloatArray
    keypoints_2d: FloatArray
    keypoint_confidence: FloatArray
    vertices: FloatArray
    wrist_rotation: DoubleArray
    parameters: ManoParameters
    flexion: FloatArray
    pinch_distance_m: float
    pinch: float
    grasp: float
    depth_source: DepthSource
    depth_stddev_m: float
    is_predicted: bool = False
    hamer: HamerDetails | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """All that the pipeline says of one image.

    Attributes:
        stamp_ns: stamp of the image.
        frame_id: camera optical frame of the image.
        hands: tracked hands, left before right.
        raw_hands: the same before smoothing, also where nothing is smoothed; None only with the
            hands of HTT, which never are.
        reset_reason: why the stream was reset before this image; empty when it was not.
        num_detections: how many palm searches ran on this image.
        is_between_tokens: the hands are those of a recogniser that did not look at this image.
        stage_s: seconds spent per stage of the pipeline, in order.
    """

    stamp_ns: int
    frame_id: str
    hands: tuple[Hand, ...]
    raw_hands: tuple[Hand, ...] | None = None
    reset_reason: str = ''
    num_detections: int = 0
    is_between_tokens: bool = False
    stage_s: tuple[tuple[str, float], ...] = ()
