"""Files in the layout of MANO_RIGHT.pkl, made from the default hand and a seed.

No number in them is MANO's. What is the same is what a reader has to cope with: names, shapes and
the chumpy and SciPy objects, which are pickled from look-alike classes defined here.
"""

import pickle
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hand_perception.models.hand_arrays import MANO_PARENTS, load_default_arrays

NUM_VERTICES, NUM_FACES = 778, 1538


def mano_arrays(seed: int = 0) -> dict[str, Any]:
    """Plain arrays by their names in the file."""
    rng = np.random.default_rng(seed)
    hand = load_default_arrays()
    vertices = hand.v_template[:NUM_VERTICES]  # has the five finger tips at their numbers
    regressor = np.zeros((16, NUM_VERTICES))
    for joint, point in enumerate(hand.joint_template):
        near = np.argsort(np.linalg.norm(vertices - point, axis=1))[:12]
        regressor[joint, near] = rng.dirichlet(np.ones(12))
    faces = rng.permuted(np.tile(np.arange(NUM_VERTICES), (NUM_FACES, 1)), axis=1)[:, :3]
    kintree = np.array([[2**32 - 1, *MANO_PARENTS[1:]], range(16)], np.int64)
    return {
        'v_template': vertices,
        'shapedirs': rng.normal(0, 0.002, (NUM_VERTICES, 3, 10)),
        'posedirs': rng.normal(0, 0.001, (NUM_VERTICES, 3, 135)),
        'J_regressor': regressor,
        'weights': hand.weights[:NUM_VERTICES],
        'kintree_table': kintree,
        'f': faces.astype(np.uint32),
        'hands_components': np.linalg.qr(rng.normal(size=(45, 45)))[0],
        'hands_mean': rng.normal(0, 0.1, 45),
        'hands_coeffs': rng.normal(size=(8, 45)),
        'bs_type': 'lrotmin',
        'bs_style': 'lbs',
    }


class LookAlikes:
    """Classes that pickle under the names chumpy and SciPy gave theirs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, sparse_module: str = 'csc') -> None:
        self._monkeypatch = monkeypatch
        for name in ('chumpy', 'chumpy.ch', 'chumpy.reordering', 'scipy', 'scipy.sparse'):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, f'scipy.sparse.{sparse_module}', ModuleType('sparse'))
        self.Ch = self._class('chumpy.ch', 'Ch')
        self.Select = self._class('chumpy.reordering', 'Select')
        sparse = f'scipy.sparse.{sparse_module}'
        self.csc_matrix = self._class(sparse, 'csc_matrix')
        self.csr_matrix = self._class(sparse, 'csr_matrix')

    def _class(self, module: str, name: str) -> type:
        made = type(name, (), {'__module__': module})
        self._monkeypatch.setattr(sys.modules[module], name, made, raising=False)
        return made

    def chumpy(self, array: np.ndarray) -> Any:
        """What chumpy.array(array) pickles to, its bookkeeping included."""
        made = self.Ch()
        made.__dict__ = {'x': array, '_dirty_vars': {'x'}, '_itr': None}
        return made

    def select(self, array: np.ndarray) -> Any:
        """A view of every entry of an array twice as large."""
        made = self.Select()
        twice = np.repeat(array.ravel(), 2)
        made.__dict__ = {
            'a': self.chumpy(twice),
            'idxs': np.arange(0, twice.size, 2),
            'preferred_shape': array.shape,
        }
        return made

    def csc(self, array: np.ndarray) -> Any:
        return self._sparse(self.csc_matrix(), array.T, array.shape)

    def csr(self, array: np.ndarray) -> Any:
        return self._sparse(self.csr_matrix(), array, array.shape)

    @staticmethod
    def _sparse(made: Any, rows: np.ndarray, shape: tuple[int, ...]) -> Any:
        major, minor = np.nonzero(rows)
        starts = np.searchsorted(major, np.arange(len(rows) + 1))
        made.__dict__ = {
            '_shape': shape, 'maxprint': 50, 'data': rows[major, minor],
            'indices': minor.astype(np.int32), 'indptr': starts.astype(np.int32),
        }  # fmt: skip
        return made


def pickled(entries: object, protocol: int = 2) -> bytes:
    return pickle.dumps(entries, protocol=protocol)
