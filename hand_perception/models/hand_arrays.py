"""The numbers of a hand model in MANO's layout, and what follows from them without a pose."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import WeightsError

#: Parents of MANO's 16 joints: wrist, then index, middle, little, ring, thumb, base to end.
MANO_PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
#: Vertices at the tips of thumb, index, middle, ring and little finger, as in smplx.
TIP_VERTICES: Final = (744, 320, 443, 554, 671)
#: The 21 keypoints in the order of ``datatypes.JOINT_NAMES``: index into 16 joints, then 5 tips.
KEYPOINT_SOURCES: Final = (
    0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20,
)  # fmt: skip

DEFAULT_HAND: Final = Path(__file__).parent / 'data' / 'default_hand_right.npz'


@dataclass(frozen=True, slots=True, kw_only=True)
class RestPose:
    """Joints and finger tips of the flat right hand of one shape.

    Attributes:
        joints: (16, 3) metres, hand model frame, MANO order.
        tips: (5, 3) metres, thumb to little finger; each moves with the last bone of its finger.
    """

    joints: DoubleArray
    tips: DoubleArray


@dataclass(frozen=True, kw_only=True)
class HandArrays:
    """A right hand in MANO's layout: V vertices, F faces, 16 joints, 10 shape directions.

    Attributes:
        v_template: (V, 3) metres, flat hand.
        shapedirs: (V, 3, 10) metres per unit of shape.
        posedirs: (V, 3, 135) metres per entry of the 15 rotation matrices less identity; None
            for a model without pose correctives.
        J_regressor: (16, V) joints from vertices.
        weights: (V, 16) skinning weights, rows sum to 1.
        faces: (F, 3) uint32, counter-clockwise seen from outside.
    """

    v_template: DoubleArray
    shapedirs: DoubleArray
    posedirs: DoubleArray | None
    J_regressor: DoubleArray
    weights: DoubleArray
    faces: NDArray[np.uint32]

    @cached_property
    def joint_template(self) -> DoubleArray:
        """(16, 3) joints of the mean shape, metres."""
        return self.J_regressor @ self.v_template

    @cached_property
    def joint_shapedirs(self) -> DoubleArray:
        """(16, 3, 10) change of the joints, metres per unit of shape."""
        directions: DoubleArray = np.einsum('jv,vck->jck', self.J_regressor, self.shapedirs)
        return directions

    @cached_property
    def betas_per_scale(self) -> DoubleArray:
        """(10,) shape that enlarges the template by its own size, as nearly as it can.

        Least squares over all vertices; the translation is free, as it does not change the hand.
        """
        directions = (self.shapedirs - self.shapedirs.mean(0)).reshape(-1, 10)
        growth = (self.v_template - self.v_template.mean(0)).ravel()
        betas: DoubleArray = np.linalg.lstsq(directions, growth, rcond=None)[0]
        return betas

    def rest(self, betas: DoubleArray) -> RestPose:
        """Give joints and tips of the flat hand of shape ``betas`` (10,)."""
        tips = list(TIP_VERTICES)
        return RestPose(
            joints=self.joint_template + self.joint_shapedirs @ betas,
            tips=self.v_template[tips] + self.shapedirs[tips] @ betas,
        )


def load_default_arrays(path: Path = DEFAULT_HAND) -> HandArrays:
    """Read the hand that ships with the package.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for a damaged file
        raise WeightsError(
            f'the default hand {path} cannot be read ({error}); reinstall hand_perception or '
            'make it again with tools/convert_webxr_hand.py'
        ) from error
    expected: dict[str, tuple[int | None, ...]] = {
        'v_template': (None, 3), 'shapedirs': (None, 3, 10), 'J_regressor': (16, None),
        'weights': (None, 16), 'f': (None, 3),
    }  # fmt: skip
    missing = sorted(set(expected) - set(arrays))
    if missing:
        raise WeightsError(
            f'the default hand {path} lacks {", ".join(missing)}; reinstall hand_perception'
        )
    check_shapes(arrays, expected, path)
    return HandArrays(
        v_template=arrays['v_template'].astype(np.float64),
        shapedirs=arrays['shapedirs'].astype(np.float64),
        posedirs=None,
        J_regressor=arrays['J_regressor'].astype(np.float64),
        weights=arrays['weights'].astype(np.float64),
        faces=arrays['f'].astype(np.uint32),
    )


def check_shapes(
    arrays: dict[str, NDArray[Any]], expected: dict[str, tuple[int | None, ...]], path: Path
) -> None:
    """Refuse arrays of the wrong rank, size, kind or with NaN in them.

    Args:
        arrays: by name; holds all names of ``expected``.
        expected: shape of each array, None for the number of vertices or faces.
        path: the file they are from, for the message.

    Raises:
        WeightsError: naming the array, what was expected and what came.
    """
    num_vertices = len(arrays['v_template']) if arrays['v_template'].ndim else 0
    for name, shape in expected.items():
        array = arrays[name]
        wanted = tuple(
            (len(array) if name == 'f' and array.ndim else num_vertices) if n is None else n
            for n in shape
        )
        if array.shape != wanted or array.dtype.kind not in 'fiu':
            raise WeightsError(
                f'{path}: {name} must be numbers of shape {wanted}, got {array.dtype} of shape '
                f'{array.shape}'
            )
        if not np.isfinite(array).all():
            raise WeightsError(f'{path}: {name} has values that are not finite')
    faces = arrays['f']
    is_whole = faces.dtype.kind in 'iu'
    if not is_whole or faces.size == 0 or faces.min() < 0 or faces.max() >= num_vertices:
        raise WeightsError(
            f'{path}: f must hold vertex numbers from 0 to {num_vertices - 1}'
            + (f', got {faces.min()} to {faces.max()}' if is_whole and faces.size else '')
        )
    if num_vertices <= max(TIP_VERTICES):
        raise WeightsError(
            f'{path}: {num_vertices} vertices, but the finger tips are vertices {TIP_VERTICES}'
        )
