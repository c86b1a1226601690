"""The converter of the default hand: reads glTF, merges seams, refuses other files."""

import importlib.util
import json
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('scipy', reason='scipy is needed to convert, not to run')

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def converter():
    path = ROOT / 'tools/convert_webxr_hand.py'
    spec = importlib.util.spec_from_file_location('convert_webxr_hand', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def glb_of_two_triangles() -> bytes:
    """A skinned square whose diagonal is a seam: six vertices, two joints."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]], '<f4')
    slots = np.tile(np.array([0, 1, 0, 0], '<u1'), (6, 1))
    weights = np.tile(np.array([0.75, 0.25, 0, 0], '<f4'), (6, 1))
    indices = np.arange(6, dtype='<u2')
    bind = np.stack([np.eye(4), np.eye(4)]).astype('<f4')
    bind[1, 3, :3] = (-1, -2, -3)  # column-major inverse of a joint at (1, 2, 3)
    arrays = [
        (positions, 'VEC3', 5126), (slots, 'VEC4', 5121), (weights, 'VEC4', 5126),
        (indices, 'SCALAR', 5123), (bind, 'MAT4', 5126),
    ]  # fmt: skip
    binary, views, accessors = b'', [], []
    for i, (array, kind, component) in enumerate(arrays):
        views.append({'buffer': 0, 'byteOffset': len(binary), 'byteLength': array.nbytes})
        accessors.append(
            {'bufferView': i, 'componentType': component, 'count': len(array), 'type': kind}
        )
        binary += array.tobytes() + bytes(-array.nbytes % 4)
    attributes = {'POSITION': 0, 'JOINTS_0': 1, 'WEIGHTS_0': 2}
    scene = {
        'meshes': [{'primitives': [{'attributes': attributes, 'indices': 3}]}],
        'skins': [{'joints': [1, 0], 'inverseBindMatrices': 4}],
        'nodes': [{'name': 'tip'}, {'name': 'wrist'}],
        'bufferViews': views,
        'accessors': accessors,
    }
    text = json.dumps(scene).encode()
    text += b' ' * (-len(text) % 4)
    chunks = struct.pack('<I4s', len(text), b'JSON') + text
    chunks += struct.pack('<I4s', len(binary), b'BIN\0') + binary
    return struct.pack('<4sII', b'glTF', 2, 12 + len(chunks)) + chunks


def test_skin_is_read_with_weights_and_bind_positions(converter):
    skin = converter.read_glb(glb_of_two_triangles())
    assert skin.vertices.shape == (6, 3)
    np.testing.assert_array_equal(skin.faces, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_allclose(skin.weights, np.tile([0.75, 0.25], (6, 1)))
    assert list(skin.joints) == ['wrist', 'tip']
    np.testing.assert_allclose(skin.joints['tip'], [1, 2, 3])


def test_seams_are_merged_and_faces_keep_their_corners(converter):
    skin = converter.read_glb(glb_of_two_triangles())
    merged = converter.merge_seams(skin)
    assert merged.vertices.shape == (4, 3)
    np.testing.assert_allclose(merged.vertices[merged.faces], skin.vertices[skin.faces])


@pytest.mark.parametrize('packed', [False, True])
def test_file_of_another_version_is_refused(converter, tmp_path, packed):
    path = tmp_path / 'right.glb'
    path.write_bytes(glb_of_two_triangles())
    if packed:
        with tarfile.open(tmp_path / 'package.tgz', 'w:gz') as archive:
            archive.add(path, converter.MEMBER)
        path = tmp_path / 'package.tgz'
    with pytest.raises(SystemExit, match='sha256'):
        converter.read_source(path)


def test_same_arrays_give_the_same_bytes(converter, tmp_path):
    arrays = {'a': np.arange(5, dtype='<f4'), 'b': np.eye(2)}
    for name in ('one.npz', 'two.npz'):
        converter.write_npz(tmp_path / name, arrays)
    assert (tmp_path / 'one.npz').read_bytes() == (tmp_path / 'two.npz').read_bytes()
    with np.load(tmp_path / 'one.npz', allow_pickle=False) as read:
        np.testing.assert_array_equal(read['b'], np.eye(2))


def test_committed_hand_has_the_shape_directions_the_converter_documents(converter):
    with np.load(converter.OUTPUT, allow_pickle=False) as hand:
        template, directions = hand['v_template'], hand['shapedirs']
    size, width, thickness = directions[..., 0], directions[..., 2], directions[..., 3]
    np.testing.assert_allclose(size, converter.SIZE_STEP * template, atol=1e-7)
    assert not width[:, :2].any()
    assert not thickness[:, ::2].any()
    assert np.linalg.matrix_rank(directions.reshape(-1, 10)) == 10
