"""Landmarks of tracked hands to metric hands: pose fit, mesh, camera metres.

The hand model is a right hand. Left hands are mirrored at the plane x = 0 before the fit and
mirrored back after it, here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hand_perception import geometry
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import (
    Camera,
    DepthSource,
    DoubleArray,
    Frame,
    Hand,
    HandLandmarks,
    ManoParameters,
)
from hand_perception.models.hand_model import HandModel, load_hand_model
from hand_perception.models.landmark_fit import HandFit, LandmarkFitter
from hand_perception.pipeline.depth_fit import DepthFitter
from hand_perception.pipeline.hands import make_hand
from hand_perception.pipeline.lift import (
    SIZE_RATIO,
    monocular_depth,
    normalised_from_pixels,
)
from hand_perception.pipeline.shape import ShapeMemory
from hand_perception.pipeline.track import Track

#: Reprojection error over hand size at which the confidence has fallen to 1/e.
_REPROJECTION_SCALE: Final = 0.08
#: Difference of the reprojection errors of both sides that counts as one unit of log odds. On
#: photos of fists the wrong side misses by 0.064 to 0.095 and the true one by 0.018 to 0.023;
#: for open hands the two differ by less than 0.003.
_SIDE_REPROJECTION: Final = 0.02
_MAX_SIDE_ODDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surface:
    """Fitted right-hand meshes of one image: (N, V, 3), (N, 21, 3), (N, 10), (N, 3)."""

    vertices: DoubleArray
    keypoints: DoubleArray
    betas: DoubleArray
    transl: DoubleArray


class LandmarkReconstructor:
    """Fits the hand model to the landmarks of tracked hands."""

    backend_name = 'landmarks'
    device_name = 'cpu'
    takes_boxes = False

    def __init__(
        self, model: HandModel, *, hand_scale: float, size_ratio: float = SIZE_RATIO
    ) -> None:
        """Prepare the fit for a hand model at a size.

        Args:
            model: the right hand.
            hand_scale: size against its mean hand.
            size_ratio: standard deviation of that size, as a share of it.
        """
        self.model = model
        self._hand_scale = hand_scale
        self._size_ratio = size_ratio
        self._fitter = LandmarkFitter(model, hand_scale=hand_scale)
        self._depth_fitter = DepthFitter(model, self._fitter)

    @classmethod
    def load(
        cls,
        *,
        hand_model: str,
        mano_dir: str,
        hand_scale: float,
        size_ratio: float = SIZE_RATIO,
    ) -> 'LandmarkReconstructor':
        """Load the hand model by name.

        Raises:
            WeightsError: the hand model's file is missing, corrupt or not safe to read.
            MissingPackageError: MANO was asked for and smplx is not installed.
        """
        # On the CPU: the mesh of a hand is a thousand points, less than a copy to a GPU costs.
        model = load_hand_model(hand_model, mano_dir=mano_dir)
        return cls(model, hand_scale=hand_scale, size_ratio=size_ratio)

    def with_settings(self, settings: PipelineSettings) -> 'LandmarkReconstructor':
        """Return a reconstructor with other live settings that shares the hand model."""
        wanted = (settings.hand_scale, settings.hand_scale_stddev)
        if wanted == (self._hand_scale, self._size_ratio):
            return self
        return LandmarkReconstructor(self.model, hand_scale=wanted[0], size_ratio=wanted[1])

    def side_evidence(self, camera: Camera, hands: Sequence[HandLandmarks]) -> list[float]:
        """Say for each hand how much better a right hand fits its landmarks than a left one.

        The network's score is unsure for fists and pointing fingers, whose landmarks only one
        side can take; flat hands fit both sides alike and have no say here.

        Returns:
            Log odds for a right hand, limited to what one image may say.
        """
        if not hands:
            return []
        is_right = np.repeat([True, False], len(hands))
        fits = self._fitter.fit(*_straight_landmarks(camera, [*hands, *hands], is_right))
        right, left = np.array([fit.reprojection for fit in fits]).reshape(2, len(hands))
        odds = np.clip((left - right) / _SIDE_REPROJECTION, -_MAX_SIDE_ODDS, _MAX_SIDE_ODDS)
        return [float(value) for value in odds]

    def __call__(
        self, frame: Frame, tracks: Sequence[Track], shapes: ShapeMemory
    ) -> tuple[Hand, ...]:
        """Reconstruct all tracked hands of one image, in the order of the tracks.

        Their size is a setting here: of ``shapes`` only the poses before are used.
        """
        if not tracks:
            return ()
        is_right = np.array([track.is_right for track in tracks])
        hands = [track.known_landmarks for track in tracks]
        landmarks = _straight_landmarks(frame.camera, hands, is_right)
        fits = self._fitter.fit(*landmarks, shapes.poses.before(tracks, frame.stamp_ns))
        shapes.poses.store(tracks, fits, frame.stamp_ns)
        surface = self._pose(fits)
        depths = [
            monocular_depth(frame.camera, float(k[0, 2]), size_ratio=self._size_ratio)
            for k in surface.keypoints
        ]
        if frame.depth_m is not None:
            fits, surface, depths = self._measure_depth(frame, is_right, fits, landmarks, depths)
        rotations = np.stack([fit.rotations for fit in fits])  # (N, 16, 3, 3)
        axis_angles = geometry.axis_angle_from_rotation(rotations)  # (N, 16, 3)
        return tuple(
            self._hand(frame.camera, track, fit, surface, axis_angles[i], i, depths[i])
            for i, (track, fit) in enumerate(zip(tracks, fits, strict=True))
        )

    def _pose(self, fits: Sequence[HandFit], scales: Sequence[float] | None = None) -> _Surface:
        """Pose fitted hands; those of other scales are farther away and project the same."""
        rotations = np.stack([fit.rotations for fit in fits])
        transl = np.stack([fit.transl for fit in fits])
        betas = np.tile(self._fitter.betas, (len(fits), 1))
        if scales is None:
            return self._mesh(rotations, betas, transl)
        middles = self._mesh(rotations, betas, transl).keypoints.mean(1)
        for i, scale in enumerate(scales):
            betas[i] = self.model.betas_for_scale(self._hand_scale * scale)
        middles *= np.asarray(scales)[:, None]
        centred = self._mesh(rotations, betas, np.zeros_like(transl))
        return self._mesh(rotations, betas, middles - centred.keypoints.mean(1))

    def _mesh(self, rotations: DoubleArray, betas: DoubleArray, transl: DoubleArray) -> _Surface:
        with torch.inference_mode():
            mesh = self.model.from_rotations(
                rotations=torch.from_numpy(rotations).float(),
                betas=torch.from_numpy(betas).float(),
                transl=torch.from_numpy(transl).float(),
            )
        return _Surface(
            vertices=mesh.vertices.numpy().astype(np.float64),
            keypoints=mesh.keypoints.numpy().astype(np.float64),
            betas=betas,
            transl=transl,
        )

    def _measure_depth(
        self,
        frame: Frame,
        is_right: NDArray[np.bool_],
        fits: Sequence[HandFit],
        landmarks: tuple[DoubleArray, DoubleArray],
        depths: list[tuple[DepthSource, float]],
    ) -> tuple[list[HandFit], _Surface, list[tuple[DepthSource, float]]]:
        """Put hands where the depth image has them; those it does not show stay."""
        assert frame.depth_m is not None

        def pose(poses: Sequence[HandFit]) -> tuple[DoubleArray, DoubleArray]:
            surface = self._pose(poses)
            return surface.vertices, surface.keypoints

        found = self._depth_fitter(
            frame.camera,
            frame.depth_m,
            fits,
            landmarks,
            is_right,
            [stddev for _, stddev in depths],
            pose,
        )
        told = [
            before if hand.stddev_m is None else (DepthSource.SENSOR, hand.stddev_m)
            for hand, before in zip(found, depths, strict=True)
        ]
        poses = [hand.fit for hand in found]
        return poses, self._pose(poses, [hand.scale for hand in found]), told

    def _hand(
        self,
        camera: Camera,
        track: Track,
        fit: HandFit,
        surface: _Surface,
        axis_angle: DoubleArray,
        index: int,
        depth: tuple[DepthSource, float],
    ) -> Hand:
        vertices, keypoints = surface.vertices[index], surface.keypoints[index]
        transl, betas = surface.transl[index], surface.betas[index]
        if not track.is_right:
            vertices, keypoints, transl = map(
                geometry.mirror_points, (vertices, keypoints, transl)
            )
            axis_angle = geometry.mirror_axis_angle(axis_angle)
        agreement = float(np.exp(-((fit.reprojection / _REPROJECTION_SCALE) ** 2)))
        return make_hand(
            camera,
            track,
            vertices=vertices,
            keypoints=keypoints,
            parameters=ManoParameters(
                global_orient=axis_angle[0],
                hand_pose=axis_angle[1:].reshape(45),
                betas=betas,
                transl=transl,
            ),
            confidence=track.known_landmarks.presence * agreement,
            depth=depth,
        )


def _straight_landmarks(
    camera: Camera, hands: Sequence[HandLandmarks], is_right: NDArray[np.bool_]
) -> tuple[DoubleArray, DoubleArray]:
    """Give (N, 21, 2) viewing rays and (N, 21, 3) points in space of right hands.

    Those of left hands are mirrored.
    """
    rays = normalised_from_pixels(camera, np.stack([hand.keypoints_2d for hand in hands]))
    world = np.stack([hand.world_m for hand in hands])
    rays = np.where(is_right[:, None, None], rays, rays * (-1.0, 1.0))
    return rays, np.where(is_right[:, None, None], world, geometry.mirror_points(world))
