"""HaMeR's published training shards: what ``KEY.data.pyd`` says of the hands of ``KEY.jpg``.

A pickled list with a dictionary of arrays for each hand; it is read without running anything that
stands in it. What of it is believed follows the published training (Pavlakos et al., CVPR 2024,
and its code): doubtful joints, shapes and fits are switched off here, each by its own number.
"""

import dataclasses
import pickle
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hand_perception.datasets.hand_files import single_mano, single_truth
from hand_perception.datasets.sample import HandTruth
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.models.mano_file import resolve
from hand_perception.models.pickle_records import (
    ArrayRecord,
    DtypeRecord,
    ScalarRecord,
    load_records,
)

#: Ending of the member, behind the first dot of its name.
ENDING: Final = 'data.pyd'
_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    'center': (2,), 'scale': (2,), 'keypoints_2d': (NUM_JOINTS, 3),
    'keypoints_3d': (NUM_JOINTS, 4), 'hand_pose': (48,), 'betas': (10,), 'right': (),
    'has_hand_pose': (), 'has_betas': (),
}  # fmt: skip
#: Boxes are kept in this unit, pixels.
_BOX_UNIT: Final = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerTarRules:
    """What of a hand is believed; the defaults are the published training's, 0 switches off.

    Attributes:
        min_confidence: 2D joints below it do not count.
        more_joints_than: hands with no more joints than this are left out.
        max_fitting_loss: hands whose fit to 2D joints was worse are left out.
        max_beta: parameters whose shape goes beyond it do not count.
        pose_with_betas: pose counts only with shape, and shape only with pose.
    """

    min_confidence: float = 0.3
    more_joints_than: int = 4
    max_fitting_loss: float = 31000.0
    max_beta: float = 3.0
    pose_with_betas: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers below 0."""
        numbers = dataclasses.astuple(self)
        if min(numbers) < 0:
            raise ConfigError(f'rules for shards of HaMeR must be 0 or more, got {numbers}')


@dataclass(frozen=True, slots=True, kw_only=True)
class TarHand:
    """One hand of an image.

    Attributes:
        is_right: side.
        truth: of T = N = 1; its box is not enlarged any more when a crop is made of it.
    """

    is_right: bool
    truth: HandTruth


def read_hands(content: bytes, rules: HamerTarRules, where: str) -> list[TarHand | None]:
    """Read the hands of an image; None for those that the rules leave out.

    Args:
        content: of the member.
        rules: what is believed.
        where: it is from, for messages.

    Raises:
        DatasetError: it is damaged, asks for anything but arrays, or is not finite.
    """
    try:
        entries = load_records(content)
    except pickle.UnpicklingError as error:
        raise DatasetError(f'refused to read {where}: {error}; copy it again') from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DatasetError(f'{where} holds no list of hands; copy it again')
    return [_hand(entry, rules, where) for entry in entries]


def _hand(entry: dict[object, Any], rules: HamerTarRules, where: str) -> TarHand | None:
    numbers = {name: _numbers(entry, name, where) for name in _SHAPES}
    flat, solid = numbers['keypoints_2d'], numbers['keypoints_3d']
    confidence = np.where(flat[:, 2] < rules.min_confidence, 0.0, flat[:, 2])
    if rules.more_joints_than and np.count_nonzero(confidence > 0) <= rules.more_joints_than:
        return None
    loss = _fitting_loss(entry, where)
    if rules.max_fitting_loss and loss is not None and not loss < rules.max_fitting_loss:
        return None
    size = numbers['scale'] * _BOX_UNIT
    if not size.min() > 0:
        return None
    has_pose, has_betas = bool(numbers['has_hand_pose'] > 0), bool(numbers['has_betas'] > 0)
    if rules.max_beta and bool((np.abs(numbers['betas']) > rules.max_beta).any()):
        has_betas = False
    if rules.pose_with_betas:
        has_pose = has_betas = has_pose and has_betas
    truth = single_truth(
        joints_2d=flat[:, :2], confidence_2d=confidence,
        joints_3d=solid[:, :3], confidence_3d=solid[:, 3],
        box=np.concatenate((numbers['center'] - size / 2, numbers['center'] + size / 2)),
        mano=single_mano(
            numbers['hand_pose'], numbers['betas'], has_pose=has_pose, has_betas=has_betas
        ),
    )  # fmt: skip
    _refuse_not_finite(truth, where)
    return TarHand(is_right=bool(numbers['right'] > 0), truth=truth)


def _refuse_not_finite(truth: HandTruth, where: str) -> None:
    """Refuse NaN in what counts; ``single_truth`` and ``single_mano`` have cleared the rest."""
    mano = truth.mano
    assert mano is not None
    arrays = {
        'keypoints_2d': truth.joints_2d, 'keypoints_3d': truth.joints_3d, 'box': truth.boxes,
        'hand_pose': mano.hand_pose, 'global_orient': mano.global_orient, 'betas': mano.betas,
    }  # fmt: skip
    for name, array in arrays.items():
        if array is not None and not np.isfinite(array).all():
            raise DatasetError(f'{where}: {name} is not finite; leave this image out')


def _numbers(entry: dict[object, Any], name: str, where: str) -> DoubleArray:
    if name not in entry:
        raise DatasetError(f'{where} has no {name}; it is not a shard of HaMeR, or damaged')
    shape = _SHAPES[name]
    try:
        values = _array(entry[name])
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise DatasetError(f'{where}: {name} cannot be read ({error}); copy it again') from error
    if name == 'scale' and values.size == 1:
        values = np.broadcast_to(values.reshape(1), shape)
    if values.shape != shape and not (shape == () and values.size == 1):
        raise DatasetError(f'{where}: {name} has the shape {values.shape}, expected {shape}')
    return values.reshape(shape)


def _array(value: object) -> DoubleArray:
    """Turn a record or a plain number into an array of numbers."""
    if isinstance(value, bool | int | float):
        return np.asarray(value, np.float64)
    dtype: object
    if isinstance(value, ScalarRecord) and len(value.arguments) == 2:
        dtype, content = value.arguments
        shape: object = ()
    elif isinstance(value, ArrayRecord) and isinstance(value.state, tuple):
        _, shape, dtype, _, content = value.state
    else:
        return resolve(value).astype(np.float64)
    if isinstance(dtype, DtypeRecord) and dtype.arguments[:1] in (('b1',), ('bool',)):
        dtype = DtypeRecord('u1')  # truth values are bytes
    record = ArrayRecord()
    order = value.state[3] if isinstance(value.state, tuple) else False
    record.__setstate__((1, shape, dtype, order, content))
    return resolve(record).astype(np.float64)


def _fitting_loss(entry: dict[object, Any], where: str) -> float | None:
    """Tell how far a fit was from the 2D joints; None where nobody tells."""
    extra = entry.get('extra_info')
    losses = extra.get('fitting_loss') if isinstance(extra, dict) else None
    if isinstance(losses, ArrayRecord) and isinstance(losses.state, tuple):
        content = losses.state[-1]  # of an array of one object
        losses = content[0] if isinstance(content, list) and len(content) == 1 else None
    loss = losses.get('reprojection_loss') if isinstance(losses, dict) else None
    if loss is None:
        return None
    try:
        return float(_array(loss).reshape(()))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise DatasetError(
            f'{where}: reprojection_loss cannot be read ({error}); copy it again'
        ) from error
