"""Hands with arms in the scene: geometry in camera axes, and the look of every place on them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.geometry import mirror_points, rotation_from_axis_angle
from hand_perception.models.hand_model import HandModel
from hand_perception.rendering.normals import vertex_normals
from hand_perception.rendering.rasterizer import Fragments
from hand_perception.synthetic.animation import HandState
from hand_perception.synthetic.arm import build_arm, pose_arm
from hand_perception.synthetic.skin import cloth_look, finger_frames, skin_look

#: Keypoint that a hand is placed by.
_MIDDLE_KNUCKLE = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A hand with its arm, or several of them as one mesh.

    Attributes:
        is_right: side (of the first one).
        vertices: (V, 3) metres, camera axes.
        normals: (V, 3) unit vectors outwards.
        faces: (F, 3) counter-clockwise from outside.
        is_cloth: (F,) sleeve rather than skin.
        rest: (V, 3) place of each vertex on the flat right hand.
        rest_normals: (V, 3) normals there.
        keypoints: (21, 3) metres, camera axes (of the first one).
    """

    is_right: bool
    vertices: DoubleArray
    normals: DoubleArray
    faces: NDArray[np.int64]
    is_cloth: NDArray[np.bool_]
    rest: DoubleArray
    rest_normals: DoubleArray
    keypoints: DoubleArray


def merge_bodies(bodies: tuple[Body, ...]) -> Body:
    """Join bodies into one mesh, so that they hide and shade each other."""
    firsts = np.cumsum([0] + [len(body.vertices) for body in bodies[:-1]])
    return Body(
        is_right=bodies[0].is_right,
        vertices=np.vstack([body.vertices for body in bodies]),
        normals=np.vstack([body.normals for body in bodies]),
        faces=np.vstack([body.faces + first for body, first in zip(bodies, firsts, strict=True)]),
        is_cloth=np.concatenate([body.is_cloth for body in bodies]),
        rest=np.vstack([body.rest for body in bodies]),
        rest_normals=np.vstack([body.rest_normals for body in bodies]),
        keypoints=bodies[0].keypoints,
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
        self._fingers = finger_frames(keypoints)
        self._skin_tone, self._sleeve, self._seed = skin_tone, sleeve, seed

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
        is_cloth = np.arange(len(faces)) >= self._arm.first_sleeve_face
        return Body(
            is_right=state.is_right,
            vertices=placed,
            normals=vertex_normals(placed, faces),
            faces=faces,
            is_cloth=is_cloth,
            rest=self._arm.rest,
            rest_normals=self._rest_normals,
            keypoints=keypoints @ rotation.T + shift,
        )

    def look(
        self, mesh: Body, drawn: Fragments
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Give colour (P, 3), gloss (P,) and whether it is skin (P,) at the drawn places."""
        places = drawn.interpolate(mesh.faces, mesh.rest)
        normals = drawn.interpolate(mesh.faces, mesh.rest_normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        is_skin = ~mesh.is_cloth[drawn.face]
        colour = np.empty((len(places), 3), np.float32)
        gloss = np.full(len(places), 0.02, np.float32)
        colour[is_skin], gloss[is_skin] = skin_look(
            places[is_skin], normals[is_skin], self._fingers,
            tone=self._skin_tone, seed=self._seed,
        )  # fmt: skip
        colour[~is_skin] = cloth_look(places[~is_skin], colour=self._sleeve)
        return colour, gloss, is_skin

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
