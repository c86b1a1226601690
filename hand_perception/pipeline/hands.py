"""What every back end's hands have in common: from a placed mesh to the published record."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hand_perception import geometry
from hand_perception.datatypes import (
    Camera,
    DepthSource,
    DoubleArray,
    FloatArray,
    HamerDetails,
    Hand,
    ManoParameters,
)
from hand_perception.pipeline.lift import project


class Identity(Protocol):
    """Whose hand it is: a Track, or a Hand of another back end."""

    @property
    def track_id(self) -> int:
        """Stable while the hand is followed."""

    @property
    def is_right(self) -> bool:
        """The person's right hand."""

    @property
    def handedness_score(self) -> float:
        """0-1, agreement of the track's votes with ``is_right``."""


def make_hand(
    camera: Camera,
    track: Identity,
    *,
    vertices: DoubleArray,
    keypoints: DoubleArray,
    parameters: ManoParameters,
    confidence: float,
    depth: tuple[DepthSource, float],
    hamer: HamerDetails | None = None,
) -> Hand:
    """Measure a reconstructed hand.

    Args:
        camera: of the image.
        track: whose hand it is.
        vertices: (V, 3) metres, camera optical frame, of the true (left or right) hand.
        keypoints: (21, 3) the same.
        parameters: of the true hand.
        confidence: 0-1.
        depth: where its distance comes from, and the standard deviation in metres.
        hamer: what only HaMeR knows.
    """
    outline = project(camera, vertices)
    distance, pinch, grasp = geometry.pinch_and_grasp(keypoints)
    return Hand(
        track_id=track.track_id,
        is_right=track.is_right,
        handedness_score=track.handedness_score,
        confidence=confidence,
        bbox_xyxy=np.concatenate([np.nanmin(outline, 0), np.nanmax(outline, 0)], dtype=np.float32),
        keypoints_3d=keypoints.astype(np.float32),
        keypoints_2d=project(camera, keypoints).astype(np.float32),
        keypoint_confidence=np.full(len(keypoints), np.nan, np.float32),
        vertices=vertices.astype(np.float32),
        wrist_rotation=geometry.wrist_rotation(parameters.global_orient, is_right=track.is_right),
        parameters=parameters,
        flexion=geometry.flexion_angles(keypoints).astype(np.float32),
        pinch_distance_m=distance,
        pinch=pinch,
        grasp=grasp,
        depth_source=depth[0],
        depth_stddev_m=depth[1],
        hamer=hamer,
    )


def parameters_from_rotations(
    orient: NDArray[np.floating],
    rotations: FloatArray,
    betas: NDArray[np.floating],
    transl: DoubleArray,
) -> ManoParameters:
    """Turn the rotation matrices of a true hand into MANO's parameters.

    Args:
        orient: (3, 3) global orientation; the first of ``rotations`` does not count.
        rotations: (16, 3, 3) local rotations.
        betas: (10,) shape.
        transl: (3,) metres.
    """
    matrices = rotations.astype(np.float64)
    matrices[0] = orient
    axis_angle = geometry.axis_angle_from_rotation(matrices)
    return ManoParameters(
        global_orient=axis_angle[0],
        hand_pose=axis_angle[1:].reshape(45),
        betas=np.asarray(betas, np.float64),
        transl=transl,
    )
