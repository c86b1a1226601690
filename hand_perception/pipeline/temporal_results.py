"""From HTT's raw outputs to joints in metres and in pixels of the picture they were seen in."""

from dataclasses import dataclass

import numpy as np

from hand_perception.datatypes import FloatArray
from hand_perception.models.htt.lift import lift
from hand_perception.pipeline.lift import normalised_from_pixels
from hand_perception.pipeline.temporal import Rows, softmax
from hand_perception.pipeline.temporal_state import Token


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResult:
    """What HTT says of one image.

    Attributes:
        token: the image: its number, stamp and camera.
        joints_3d: (J, 3) metres, camera optical frame; J is 21 (right hand) or 42 (left hand,
            then right hand). Hands that are not in the image are predicted too.
        joints_2d: (J, 2) pixels of the picture, lens distortion included.
        depth: (J,) metres, the last column of ``joints_3d``.
        object_prob: (objects,) 0-1.
        action_prob: (actions,) 0-1 as known when this was told; None where it was not asked for.
        is_final: nothing that comes will change it.
    """

    token: Token
    joints_3d: FloatArray
    joints_2d: FloatArray
    depth: FloatArray
    object_prob: FloatArray
    action_prob: FloatArray | None
    is_final: bool

    @property
    def index(self) -> int:
        """Number of the token in its stream."""
        return self.token.index

    @property
    def stamp_ns(self) -> int:
        """Stamp of the image."""
        return self.token.stamp_ns


def token_results(
    rows: Rows | None, *, is_final: bool, action_prob: FloatArray | None = None
) -> tuple[TokenResult, ...]:
    """Lift rows of an engine.

    Cameras without distortion get the published arithmetic: fx stands for both axes. With
    distortion the joints' pixels lead to true viewing rays, on which the depths are put.

    Args:
        rows: raw outputs; None for none.
        is_final: of all of them.
        action_prob: (actions,) known with the last of them; None for none.
    """
    if rows is None:
        return ()
    K = np.stack([token.view.K_of(token.camera) for token in rows.tokens])
    network_px, depth, joints_3d = lift(rows.raw, K)
    object_prob = softmax(rows.object_logits)
    results = []
    for i, token in enumerate(rows.tokens):
        source_px = token.view.to_source(network_px[i])
        joints = joints_3d[i]
        if token.camera.is_distorted:
            rays = normalised_from_pixels(token.camera, source_px)
            joints = np.concatenate([rays * depth[i][:, None], depth[i][:, None]], 1)
        is_last = i == len(rows.tokens) - 1
        results.append(
            TokenResult(
                token=token,
                joints_3d=joints.astype(np.float32),
                joints_2d=source_px.astype(np.float32),
                depth=depth[i],
                object_prob=object_prob[i],
                action_prob=action_prob if is_last else None,
                is_final=is_final,
            )
        )
    return tuple(results)
