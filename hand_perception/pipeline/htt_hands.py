"""HTT's joints to hands as all back ends give them: only hands that are there, with a mesh.

HTT predicts every hand in every image, whether it is there or not, and says nothing of how sure it
is. So a hand is given only where the detector follows one of that side in the same image, at the
place where the joints lie, and where the joints could be those of a hand.

The keypoints are HTT's own joints. Mesh and parameters are those of the hand model, fitted to the
joints as the default back end fits landmarks, in the size that the joints have, held steady per
track. The hand model is a right hand: left joints are mirrored before the fit and its results
mirrored back, both here.

The confidence is a product of three numbers from 0 to 1: the detector's for the hand, how well
HTT's joints lie where the detector has them in the image (two networks that look at the same hand
differ by some percent of its size), and how well a hand can take the joints. It is monotone and
comparable between hands of one set-up; it is no probability.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import torch

from hand_perception import geometry
from hand_perception.datatypes import (
    NUM_JOINTS,
    Camera,
    DepthSource,
    DoubleArray,
    Hand,
    ManoParameters,
)
from hand_perception.models.hand_model import HandModel
from hand_perception.models.landmark_fit import HandFit, LandmarkFitter
from hand_perception.models.skeleton import EXACT_LANDMARKS
from hand_perception.pipeline.confidence import keypoint_agreement
from hand_perception.pipeline.hands import make_hand
from hand_perception.pipeline.temporal_results import TokenResult

#: Least overlap (intersection over union) of the joints' box with that of the detector's hand.
_MIN_OVERLAP: Final = 0.3
#: Distances of hands from a head-mounted camera, metres, with room on both sides.
_DEPTH_RANGE_M: Final = (0.1, 2.0)
#: Sizes of people's hands against the mean hand, with room on both sides.
_SIZE_RANGE: Final = (0.6, 1.6)
#: Longest that a bone may be against the model's bone in the hand's size.
_MAX_BONE_RATIO: Final = 2.5
#: Images of a hand after which its size is held.
_HOLD_AFTER: Final = 30
#: RMS distance of the fitted joints over hand size at which the confidence has fallen to 1/e, as
#: in the default back end.
_REPROJECTION_SCALE: Final = 0.08
#: Focal lengths of the network image in training, pixels, by the number of hands.
_TRAINED_FOCAL_PX: Final = {1: 348.9, 2: 238.7}
#: Published mean error of HTT's joints on H2O, metres: nearly all of it is depth.
_PUBLISHED_ERROR_M: Final = 0.035
#: An assumed focal length may be wrong by this share; see pipeline.lift.
_ASSUMED_FOCAL_RATIO: Final = 0.25
#: Depth that HTT adds to what scales with the focal length, metres.
_FIXED_DEPTH_M: Final = 0.4


class HandSizes:
    """Sizes of the tracked hands: the mean of the first images, then held; forgets lost tracks."""

    def __init__(self) -> None:
        """Start with no sizes."""
        self._means: dict[int, tuple[float, int]] = {}

    def __len__(self) -> int:
        """Return the number of tracks remembered."""
        return len(self._means)

    def keep_only(self, track_ids: Iterable[int]) -> None:
        """Forget all tracks but these."""
        kept = set(track_ids)
        self._means = {key: mean for key, mean in self._means.items() if key in kept}

    def step(self, track_id: int, size: float) -> float:
        """Take the size of one more image in; return the size to use."""
        mean, count = self._means.get(track_id, (0.0, 0))
        if count < _HOLD_AFTER:
            mean, count = mean + (size - mean) / (count + 1), count + 1
            self._means[track_id] = mean, count
        return mean


class HttHands:
    """Makes hands of HTT's joints; remembers nothing."""

    def __init__(self, model: HandModel) -> None:
        """Prepare the fit of a hand model."""
        self.model = model
        # Of the mean size: a hand twice as large and twice as far away looks the same, so the
        # rotations do not depend on it.
        self._fitter = LandmarkFitter(model, landmarks=EXACT_LANDMARKS)
        self._bones = _bone_lengths(_flat_keypoints(model))

    def __call__(
        self, result: TokenResult, seen: Sequence[Hand], sizes: HandSizes
    ) -> tuple[Hand, ...]:
        """Give the hands of one image, left before right.

        Args:
            result: joints of the image.
            seen: hands that the detector follows in the same image.
            sizes: of the tracks; changed.
        """
        sizes.keep_only(hand.track_id for hand in seen)
        hands = []
        for is_right, rows in hand_rows(len(result.joints_3d)):
            joints = result.joints_3d[rows].astype(np.float64)
            pixels = result.joints_2d[rows].astype(np.float64)
            followed = _followed_hand(pixels, [hand for hand in seen if hand.is_right == is_right])
            size = self._measure(joints)
            if followed is None or size is None:
                continue
            size = sizes.step(followed.track_id, size)
            hands.append(self._hand(result, followed, joints, pixels, size))
        return tuple(hands)

    def _measure(self, joints: DoubleArray) -> float | None:
        """Give the size of a hand against the mean hand; None where it could be none.

        Args:
            joints: (21, 3) metres, camera optical frame.
        """
        nearest, farthest = _DEPTH_RANGE_M
        if not (np.isfinite(joints).all() and nearest < joints[:, 2].min()):
            return None
        ratios = _bone_lengths(joints) / self._bones
        size = float(np.median(ratios))
        is_hand = (
            joints[:, 2].max() < farthest
            and _SIZE_RANGE[0] < size < _SIZE_RANGE[1]
            and ratios.max() < _MAX_BONE_RATIO * size
        )
        return size if is_hand else None

    def _hand(
        self,
        result: TokenResult,
        followed: Hand,
        joints: DoubleArray,
        pixels: DoubleArray,
        size: float,
    ) -> Hand:
        """Fit the hand model in a size to joints and put it where they are."""
        is_right = followed.is_right
        straight = joints if is_right else geometry.mirror_points(joints)
        fit = self._fit(straight)
        betas = self.model.betas_for_scale(size)
        with torch.inference_mode():
            mesh = self.model.from_rotations(
                rotations=torch.from_numpy(fit.rotations[None]).float(),
                betas=torch.from_numpy(betas[None]).float(),
            )
        transl = straight.mean(0) - mesh.keypoints[0].numpy().astype(np.float64).mean(0)
        vertices = mesh.vertices[0].numpy().astype(np.float64) + transl
        axis_angle = geometry.axis_angle_from_rotation(fit.rotations)
        if not is_right:
            vertices, transl = map(geometry.mirror_points, (vertices, transl))
            axis_angle = geometry.mirror_axis_angle(axis_angle)
        camera = result.token.camera
        view = result.token.view
        closeness = float(np.exp(-((fit.reprojection / _REPROJECTION_SCALE) ** 2)))
        agreement = keypoint_agreement(pixels, followed.keypoints_2d.astype(np.float64))
        return make_hand(
            camera,
            followed,
            vertices=vertices,
            keypoints=joints,
            parameters=ManoParameters(
                global_orient=axis_angle[0],
                hand_pose=axis_angle[1:].reshape(45),
                betas=betas,
                transl=transl,
            ),
            confidence=followed.confidence * agreement * closeness,
            depth=htt_depth(
                camera,
                float(joints[0, 2]),
                focal_px=camera.fx * view.scale_x,
                num_hands=len(result.joints_3d) // NUM_JOINTS,
            ),
        )

    def _fit(self, joints: DoubleArray) -> HandFit:
        points = joints[:, :2] / joints[:, 2:]
        return self._fitter.fit(points[None], joints[None], is_camera_axes=True)[0]


def hand_rows(num_joints: int) -> tuple[tuple[bool, slice], ...]:
    """Say which rows of the joints are which hand: (is it the right one, rows), left first."""
    right = (True, slice(num_joints - NUM_JOINTS, num_joints))
    return (right,) if num_joints == NUM_JOINTS else ((False, slice(0, NUM_JOINTS)), right)


def htt_depth(
    camera: Camera, depth_m: float, *, focal_px: float, num_hands: int
) -> tuple[DepthSource, float]:
    """Say how well HTT knows a distance.

    HTT's depth is fx times an output plus 0.4 m. A hand seen by a camera of another focal length
    than that of training looks as if it were at another distance; the first part then comes out
    right and the second does not, which is a bias of 0.4 m times the difference in focal length.
    It is told here as a standard deviation, on top of the published error. A focal length that
    was assumed may be wrong by a quarter, and the distance with it.

    Args:
        camera: the camera, measured or assumed.
        depth_m: distance of the wrist, metres.
        focal_px: fx of the network image.
        num_hands: 1 for weights of FPHA, 2 for H2O.

    Returns:
        The source, and the standard deviation in metres.
    """
    bias_m = _FIXED_DEPTH_M * abs(1 - focal_px / _TRAINED_FOCAL_PX[num_hands])
    assumed_m = _ASSUMED_FOCAL_RATIO * depth_m if camera.is_assumed else 0.0
    source = DepthSource.ASSUMED_CAMERA if camera.is_assumed else DepthSource.MONO
    return source, float(np.linalg.norm([_PUBLISHED_ERROR_M, bias_m, assumed_m]))


def _followed_hand(pixels: DoubleArray, hands: Sequence[Hand]) -> Hand | None:
    """Give the hand whose box the (21, 2) joints agree with best; None where none does."""
    if not np.isfinite(pixels).all():
        return None
    box = np.concatenate([pixels.min(0), pixels.max(0)])
    overlaps = [(_overlap(box, hand.bbox_xyxy.astype(np.float64)), hand) for hand in hands]
    best = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
    return best[1] if best[0] >= _MIN_OVERLAP else None


def _overlap(box: DoubleArray, other: DoubleArray) -> float:
    """Give the intersection over union of two boxes x_min, y_min, x_max, y_max; NaN counts 0."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    areas = float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]))
    union = areas - common
    return common / union if union > 0 else 0.0


def _bone_lengths(keypoints: DoubleArray) -> DoubleArray:
    """Give the (20,) lengths of the bones of (21, 3) keypoints."""
    lengths: DoubleArray = np.linalg.norm(geometry.bone_vectors(keypoints), axis=-1)
    return lengths


def _flat_keypoints(model: HandModel) -> DoubleArray:
    """Give the (21, 3) keypoints of the flat mean hand, metres."""
    with torch.inference_mode():
        mesh = model.from_rotations(
            rotations=torch.eye(3).expand(1, 16, 3, 3), betas=torch.zeros(1, 10)
        )
    return mesh.keypoints[0].numpy().astype(np.float64)
