"""Hands with arms in the scene: geometry in camera axes, and the look of every place on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.geometry import (
    axis_angle_from_rotation,
    mirror_axis_angle,
    mirror_points,
    rotation_from_axis_angle,
    wrist_rotation,
)
from hand_perception.models.hand_model import HandModel
from hand_perception.rendering.normals import vertex_normals
from hand_perception.synthetic.animation import HandState
from hand_perception.synthetic.arm import build_arm, pose_arm
from hand_perception.synthetic.skin import cloth_look, finger_frames, skin_look
from hand_perception.synthetic.truth import HandParameters

#: Keypoint that a hand is placed by.
_MIDDLE_KNUCKLE: Final = 9
#: Knuckles of index and little finger.
_PALM_SIDES: Final = (5, 17)
#: Materials; larger numbers are those of ``props``.
SKIN: Final = 0
CLOTH: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    """A closed surface in the scene.

    Attributes:
        vertices: (V, 3) metres, camera axes.
        normals: (V, 3) unit vectors outwards.
        faces: (F, 3) counter-clockwise from outside.
        material: (F,) what each face is made of: ``SKIN``, ``CLOTH`` or a prop's own number.
        is_hand: (F,) belongs to a hand from the wrist on, rather than to an arm or a thing.
        rest: (V, 3) place of each vertex on the flat right hand, or on the thing, metres.
        rest_normals: (V, 3) normals there.
    """

    vertices: DoubleArray
    normals: DoubleArray
    faces: NDArray[np.int64]
    material: NDArray[np.int64]
    is_hand: NDArray[np.bool_]
    rest: DoubleArray
    rest_normals: DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Body(Solid):
    """A hand with its arm.

    Attributes:
        is_right: side.
        keypoints: (21, 3) metres, camera axes.
        wrist_rotation: (3, 3) camera axes from the wrist frame (docs/frames.md).
        parameters: of the hand model.
    """

    is_right: bool
    keypoints: DoubleArray
    wrist_rotation: DoubleArray
    parameters: HandParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh(Solid):
    """Several solids as one mesh.

    Attributes:
        owner: (F,) number of the solid that a face comes from.
    """

    owner: NDArray[np.int64]


def merge_solids(solids: Sequence[Solid]) -> Mesh:
    """Join solids into one mesh, so that they hide and shade each other."""
    firsts = np.cumsum([0] + [len(solid.vertices) for solid in solids[:-1]])
    return Mesh(
        vertices=np.vstack([solid.vertices for solid in solids]),
        normals=np.vstack([solid.normals for solid in solids]),
        faces=np.vstack([s.faces + first for s, first in zip(solids, firsts, strict=True)]),
        material=np.concatenate([solid.material for solid in solids]),
        is_hand=np.concatenate([solid.is_hand for solid in solids]),
        rest=np.vstack([solid.rest for solid in solids]),
        rest_normals=np.vstack([solid.rest_normals for solid in solids]),
        owner=np.repeat(np.arange(len(solids)), [len(solid.faces) for solid in solids]),
    )


class BodyBuilder:
    """One person's hands: bends the hand model and grows the arms."""

    def __init__(
        self,
        model: HandModel,
        betas: DoubleArray,
        *,
        skin_tone: str,
        sleeve: tuple[int, int, int],
        seed: int,
    ) -> None:
        """Give the person a hand shape (10,) and a look."""
        self._model = model
        self._betas = torch.as_tensor(betas, dtype=torch.float32)[None]
        vertices, keypoints = self._bend(np.zeros((15, 3)))
        self._arm = build_arm(vertices, model.faces)
        self._rest_normals = vertex_normals(self._arm.rest, self._arm.faces)
        self._is_hand = self._arm.faces.max(1) < self._arm.num_hand_vertices
        is_cloth = np.arange(len(self._arm.faces)) >= self._arm.first_sleeve_face
        self._material = np.where(is_cloth, CLOTH, SKIN)
        self._flat_keypoints = keypoints
        self._fingers = finger_frames(keypoints)
        self._skin_tone, self._sleeve, self._seed = skin_tone, sleeve, seed

    @property
    def palm_width_m(self) -> float:
        """From the knuckle of the index finger to that of the little finger, flat hand."""
        index, little = self._flat_keypoints[list(_PALM_SIDES)]
        return float(np.linalg.norm(index - little))

    def body(self, state: HandState) -> Body:
        """Place a hand and its arm."""
        vertices, keypoints = self._bend(state.hand_pose)
        towards_arm = np.array([1.0, 0.0, 0.0])
        faces = self._arm.faces
        if not state.is_right:
            vertices, keypoints = mirror_points(vertices), mirror_points(keypoints)
            towards_arm, faces = -towards_arm, faces[:, ::-1]
        rotation = state.camera_from_hand
        shift = state.centre - rotation @ keypoints[_MIDDLE_KNUCKLE]
        placed = pose_arm(
            self._arm, vertices @ rotation.T + shift, rotation @ towards_arm, state.elbow
        )
        return Body(
            is_right=state.is_right,
            vertices=placed,
            normals=vertex_normals(placed, faces),
            faces=faces,
            material=self._material,
            is_hand=self._is_hand,
            rest=self._arm.rest,
            rest_normals=self._rest_normals,
            keypoints=keypoints @ rotation.T + shift,
            wrist_rotation=rotation @ wrist_rotation(np.zeros(3), is_right=state.is_right),
            parameters=self._parameters(state, keypoints[0], rotation @ keypoints[0] + shift),
        )

    def look(
        self, places: FloatArray, normals: FloatArray, material: NDArray[np.int64]
    ) -> tuple[FloatArray, FloatArray]:
        """Give colour (P, 3) and gloss (P,) at places of hands and sleeves.

        Args:
            places: (P, 3) metres on the flat hand with a straight arm.
            normals: (P, 3) unit vectors there.
            material: (P,) ``SKIN`` or ``CLOTH``.
        """
        is_skin, is_cloth = material == SKIN, material == CLOTH
        colour = np.empty((len(places), 3), np.float32)
        gloss = np.full(len(places), 0.02, np.float32)
        colour[is_skin], gloss[is_skin] = skin_look(
            places[is_skin], normals[is_skin], self._fingers,
            tone=self._skin_tone, seed=self._seed,
        )  # fmt: skip
        colour[is_cloth] = cloth_look(places[is_cloth], colour=self._sleeve)
        return colour, gloss

    def _parameters(
        self, state: HandState, flat_wrist: DoubleArray, wrist: DoubleArray
    ) -> HandParameters:
        """Say which parameters of the hand model give this hand, given its wrist before and after.

        The model turns about its wrist joint, so that ``transl`` is what moves that.
        """
        pose = state.hand_pose if state.is_right else mirror_axis_angle(state.hand_pose)
        return HandParameters(
            global_orient=axis_angle_from_rotation(state.camera_from_hand),
            hand_pose=pose.reshape(45),
            betas=self._betas[0].double().numpy(),
            transl=wrist - flat_wrist,
        )

    def _bend(self, hand_pose: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Bend the right hand by (15, 3) axis-angle: vertices and keypoints, metres."""
        rotations = np.concatenate([np.eye(3)[None], rotation_from_axis_angle(hand_pose)])
        with torch.inference_mode():
            mesh = self._model.from_rotations(
                rotations=torch.as_tensor(rotations, dtype=torch.float32)[None],
                betas=self._betas,
                transl=torch.zeros(1, 3),
            )
        return mesh.vertices[0].double().numpy(), mesh.keypoints[0].double().numpy()
