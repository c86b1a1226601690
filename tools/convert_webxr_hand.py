#!/usr/bin/env python3
"""Convert the WebXR generic hand (MIT licence) to the array layout of MANO.

Source: the npm package ``@webxr-input-profiles/assets`` 1.0.20, file
``dist/profiles/generic-hand/right.glb``, Copyright (c) 2019 Amazon. No MANO data is used: only
MANO's conventions are followed, so that one program reads both (docs/hand_model.md).

Get the package with ``npm pack @webxr-input-profiles/assets@1.0.20``, then run
``python tools/convert_webxr_hand.py webxr-input-profiles-assets-1.0.20.tgz``.
Needs scipy beside what the package itself needs.
"""

import argparse
import hashlib
import io
import json
import struct
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]

MEMBER = 'package/dist/profiles/generic-hand/right.glb'
GLB_SHA256 = '291790c14f7f88a7f9bd35330c47392ed8e8d395ae6728f4bb7089f1bc1f2b96'
OUTPUT = Path(__file__).parents[1] / 'hand_perception/models/data/default_hand_right.npz'

#: Joints in MANO's order, by their WebXR names.
JOINTS = (
    'wrist',
    *(
        f'{finger}-finger-phalanx-{bone}'
        for finger in ('index', 'middle', 'pinky', 'ring')
        for bone in ('proximal', 'intermediate', 'distal')
    ),
    'thumb-metacarpal', 'thumb-phalanx-proximal', 'thumb-phalanx-distal',
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
#: First of the three joints of each finger, and the finger-tip vertex MANO has for it.
FIRST_JOINT = {'index-finger': 1, 'middle-finger': 4, 'pinky-finger': 7, 'ring-finger': 10,
               'thumb': 13}  # fmt: skip
TIP_VERTEX = {'thumb': 744, 'index-finger': 320, 'middle-finger': 443, 'ring-finger': 554,
              'pinky-finger': 671}  # fmt: skip
#: Change per unit of the shape directions: about one standard deviation between adults.
SIZE_STEP, PALM_STEP, WIDTH_STEP, THICKNESS_STEP, FINGER_STEP = 0.06, 0.06, 0.06, 0.07, 0.08
#: A joint is a mean of vertices among this many nearest ones.
NUM_NEAR = 220

_COMPONENT_DTYPES = {5121: '<u1', 5123: '<u2', 5125: '<u4', 5126: '<f4'}
_COMPONENT_COUNTS = {'SCALAR': 1, 'VEC2': 2, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}


@dataclass(frozen=True, kw_only=True)
class Skin:
    """A skinned mesh: V vertices, F faces, K named joints."""

    vertices: Array  # (V, 3)
    faces: NDArray[np.int64]  # (F, 3)
    weights: Array  # (V, K), rows sum to 1
    joints: dict[str, Array]  # (3,) each, in the order of the columns of weights


def read_glb(content: bytes) -> Skin:
    """Read the one skinned mesh of a binary glTF 2.0 file."""
    magic, version, _, json_length = struct.unpack_from('<4sIII', content)
    if magic != b'glTF' or version != 2:
        raise SystemExit('not a binary glTF 2.0 file')
    scene = json.loads(content[20 : 20 + json_length])
    binary = content[20 + json_length + 8 :]

    def accessor(index: int) -> NDArray[np.generic]:
        entry = scene['accessors'][index]
        view = scene['bufferViews'][entry['bufferView']]
        width = _COMPONENT_COUNTS[entry['type']]
        start = view.get('byteOffset', 0) + entry.get('byteOffset', 0)
        dtype = _COMPONENT_DTYPES[entry['componentType']]
        return np.frombuffer(binary, dtype, entry['count'] * width, start).reshape(-1, width)

    primitive = scene['meshes'][0]['primitives'][0]
    skin = scene['skins'][0]
    attributes = primitive['attributes']
    vertices = accessor(attributes['POSITION']).astype(np.float64)
    values = accessor(attributes['WEIGHTS_0']).astype(np.float64)
    slots = accessor(attributes['JOINTS_0'])
    weights = np.zeros((len(vertices), len(skin['joints'])))
    np.add.at(weights, (np.arange(len(vertices))[:, None], slots), values)
    inverse_bind = accessor(skin['inverseBindMatrices']).reshape(-1, 4, 4).transpose(0, 2, 1)
    positions = np.linalg.inv(inverse_bind.astype(np.float64))[:, :3, 3]
    names = [scene['nodes'][node]['name'] for node in skin['joints']]
    return Skin(
        vertices=vertices,
        faces=accessor(primitive['indices']).reshape(-1, 3).astype(np.int64),
        weights=weights / weights.sum(1, keepdims=True),
        joints=dict(zip(names, positions, strict=True)),
    )


def merge_seams(skin: Skin) -> Skin:
    """Merge vertices of equal position, which the file keeps apart for their texture."""
    _, first, new_index = np.unique(
        np.round(skin.vertices, 6), axis=0, return_index=True, return_inverse=True
    )
    return Skin(
        vertices=skin.vertices[first],
        faces=new_index.ravel()[skin.faces],
        weights=skin.weights[first],
        joints=skin.joints,
    )


def to_mano_frame(skin: Skin) -> Skin:
    """Turn the right hand to fingers -x, thumb side +z, palm -y; origin at the middle knuckle."""
    joints = skin.joints
    origin = joints['middle-finger-phalanx-proximal']
    x = joints['wrist'] - origin
    x /= np.linalg.norm(x)
    z = joints['index-finger-phalanx-proximal'] - joints['pinky-finger-phalanx-proximal']
    z -= x * (z @ x)
    z /= np.linalg.norm(z)
    rotation = np.stack([x, np.cross(z, x), z])
    return Skin(
        vertices=(skin.vertices - origin) @ rotation.T,
        faces=skin.faces,
        weights=skin.weights,
        joints={name: rotation @ (point - origin) for name, point in joints.items()},
    )


def weights_of_sixteen(skin: Skin) -> Array:
    """Give (V, 16) weights: tips go to the last bones, everything else to the wrist."""
    weights = np.zeros((len(skin.vertices), len(JOINTS)))
    target = {name: column for column, name in enumerate(JOINTS)}
    target |= {f'{finger}-tip': first + 2 for finger, first in FIRST_JOINT.items()}
    for column, name in enumerate(skin.joints):
        weights[:, target.get(name, 0)] += skin.weights[:, column]
    return weights


def find_tips(vertices: Array, weights: Array, joints: Array) -> dict[str, int]:
    """Find the vertex farthest out on each last bone."""
    tips = {}
    for finger, first in FIRST_JOINT.items():
        along = (vertices - joints[first + 2]) @ (joints[first + 2] - joints[first + 1])
        along[weights[:, first + 2] < 0.5] = -np.inf
        tips[finger] = int(along.argmax())
    return tips


def place_tips(tips: dict[str, int], num_vertices: int) -> NDArray[np.int64]:
    """Give the (V,) order of the vertices that puts the tips where MANO has them."""
    order = np.arange(num_vertices)
    for finger, index in TIP_VERTEX.items():
        there = int(np.flatnonzero(order == tips[finger])[0])
        order[[there, index]] = order[[index, there]]
    return order


def finger_bones(first: int, joints: Array, tip: Array) -> list[tuple[int, Array, Array]]:
    """List the bones of a finger as (joint, start, end)."""
    ends = [joints[first + 1], joints[first + 2], tip]
    return [(first + i, joints[first + i], end) for i, end in enumerate(ends)]


def lengthen_finger(points: Array, weights: Array, bones: list[tuple[int, Array, Array]]) -> Array:
    """Move points along with a finger whose bones grow by FINGER_STEP."""
    moved, carried = np.zeros_like(points), np.zeros(3)
    for joint, start, end in bones:
        length = np.linalg.norm(end - start)
        axis = (end - start) / length
        along = np.clip((points - start) @ axis, -0.1 * length, 1.3 * length)
        shift = carried + FINGER_STEP * along[:, None] * axis
        moved += weights[:, joint : joint + 1] * shift
        carried = carried + FINGER_STEP * length * axis
    return moved


def thicken_fingers(
    points: Array, weights: Array, fingers: list[list[tuple[int, Array, Array]]]
) -> Array:
    """Move points away from the axis of their bone."""
    moved = np.zeros_like(points)
    for joint, start, end in (bone for bones in fingers for bone in bones):
        axis = (end - start) / np.linalg.norm(end - start)
        radial = points - start
        radial = radial - (radial @ axis)[:, None] * axis
        moved += weights[:, joint : joint + 1] * FINGER_STEP * radial
    return moved


def lengthen_palm(points: Array, weights: Array, joints: Array) -> Array:
    """Move points away from the wrist along x with the palm; fingers move as a whole."""
    moved = weights[:, :1] * (points - joints[0])
    for first in FIRST_JOINT.values():
        on_finger = weights[:, first : first + 3].sum(1, keepdims=True)
        moved += on_finger * (joints[first] - joints[0])
    return moved * [PALM_STEP, 0, 0]


def shape_directions(points: Array, weights: Array, joints: Array, tips: Array) -> Array:
    """Make ten shape directions for points with skinning weights.

    They are, per unit: size about the origin, palm length, width, thickness, finger thickness,
    then the length of the index, middle, little and ring finger and of the thumb.

    Returns:
        (P, 3, 10) metres per unit.
    """
    fingers = [
        finger_bones(first, joints, tip)
        for first, tip in zip(FIRST_JOINT.values(), tips, strict=True)
    ]
    directions = [
        points * SIZE_STEP,
        lengthen_palm(points, weights, joints),
        points * [0, 0, WIDTH_STEP],
        points * [0, THICKNESS_STEP, 0],
        thicken_fingers(points, weights, fingers),
        *(lengthen_finger(points, weights, bones) for bones in fingers),
    ]
    return np.stack(directions, -1)


def fit_joint_regressor(
    vertices: Array, directions: Array, joints: Array, joint_directions: Array
) -> Array:
    """Write each joint as a weighted mean of near vertices, over the template and 60 shapes."""
    betas = np.vstack([np.zeros(10), np.random.default_rng(0).normal(0, 0.8, (60, 10))])
    shapes = vertices + np.einsum('vck,sk->svc', directions, betas)
    targets = joints + np.einsum('jck,sk->sjc', joint_directions, betas)
    regressor = np.zeros((len(joints), len(vertices)))
    for joint, point in enumerate(joints):
        near = np.argsort(np.linalg.norm(vertices - point, axis=1), kind='stable')[:NUM_NEAR]
        rows = shapes[:, near].transpose(0, 2, 1).reshape(-1, NUM_NEAR)
        # The heavy last row asks for weights that sum to 1.
        weights, _ = nnls(
            np.vstack([rows, np.full((1, NUM_NEAR), 50.0)]),
            np.append(targets[:, joint].ravel(), 50.0),
            maxiter=50000,
        )
        regressor[joint, near] = weights / weights.sum()
    error_mm = 1e3 * np.linalg.norm(np.einsum('jv,svc->sjc', regressor, shapes) - targets, axis=-1)
    print(f'joint regressor: {error_mm[0].max():.3f} mm on the template, {error_mm.max():.3f} mm '
          'in the worst of 60 shapes')  # fmt: skip
    return regressor


def convert(content: bytes) -> dict[str, NDArray[np.generic]]:
    """Make the arrays of the default hand from the content of right.glb."""
    skin = to_mano_frame(merge_seams(read_glb(content)))
    vertices, weights = skin.vertices, weights_of_sixteen(skin)
    joints = np.stack([skin.joints[name] for name in JOINTS])
    tips = find_tips(vertices, weights, joints)
    tip_points = vertices[[tips[finger] for finger in FIRST_JOINT]]
    directions = shape_directions(vertices, weights, joints, tip_points)
    joint_directions = shape_directions(joints, np.eye(len(JOINTS)), joints, tip_points)
    regressor = fit_joint_regressor(vertices, directions, joints, joint_directions)
    order = place_tips(tips, len(vertices))
    new_index = np.argsort(order)
    return {
        'v_template': vertices[order].astype('<f4'),
        'shapedirs': directions[order].astype('<f4'),
        'J_regressor': regressor[:, order].astype('<f4'),
        'weights': weights[order].astype('<f4'),
        'kintree_table': np.array([[2**32 - 1, *PARENTS[1:]], range(16)], '<i8'),
        'f': new_index[skin.faces].astype('<u4'),
    }


def write_npz(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Write a compressed .npz with no time in it: same arrays, same bytes."""
    with zipfile.ZipFile(path, 'w') as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f'{name}.npy')  # dated 1980-01-01
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue(), compresslevel=9)


def read_source(path: Path) -> bytes:
    """Read right.glb, from the npm package or as it is, and check that it is the known file."""
    if path.suffix == '.glb':
        content = path.read_bytes()
    else:
        with tarfile.open(path) as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise SystemExit(f'{path} has no file {MEMBER}')
            content = member.read()
    found = hashlib.sha256(content).hexdigest()
    if found != GLB_SHA256:
        raise SystemExit(f'{path}: sha256 of right.glb is {found}, expected {GLB_SHA256}; take '
                         'version 1.0.20 of the package')  # fmt: skip
    return content


def main() -> int:
    """Convert the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='npm package (.tgz) or right.glb')
    parser.add_argument('--output', type=Path, default=OUTPUT, help='default: %(default)s')
    arguments = parser.parse_args()
    arrays = convert(read_source(arguments.source))
    write_npz(arguments.output, arrays)
    shapes = ', '.join(f'{name} {array.shape}' for name, array in arrays.items())
    print(f'{arguments.output}: {arguments.output.stat().st_size} bytes: {shapes}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
