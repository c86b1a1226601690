"""The hand mesh: frames, keypoints, skinning, and the same face for the default hand and MANO."""

import sys

import numpy as np
import pytest
import torch
from mano_fakes import mano_arrays, pickled

from hand_perception import geometry
from hand_perception.datatypes import JOINT_NAMES
from hand_perception.errors import ConfigError, MissingPackageError, WeightsError
from hand_perception.models.hand_arrays import DEFAULT_HAND, HandArrays, load_default_arrays
from hand_perception.models.hand_model import HandModel, load_hand_model
from hand_perception.models.rotations import rotation_from_axis_angle
from hand_perception.models.skinning import LinearBlendSkinning

FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


@pytest.fixture
def mano_dir(tmp_path):
    (tmp_path / 'MANO_RIGHT.pkl').write_bytes(pickled(mano_arrays()))
    return tmp_path


def parameters(num_hands, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(size, std):
        return std * torch.randn(num_hands, size, generator=generator)

    return {
        'global_orient': normal(3, 1.5),
        'hand_pose': normal(45, 0.5),
        'betas': normal(10, 1.0),
        'transl': normal(3, 0.3),
    }


def flat(num_hands=1):
    return {
        'global_orient': torch.zeros(num_hands, 3),
        'hand_pose': torch.zeros(num_hands, 45),
        'betas': torch.zeros(num_hands, 10),
        'transl': torch.zeros(num_hands, 3),
    }


def keypoint(mesh, name):
    return mesh.keypoints[0, JOINT_NAMES.index(name)].numpy()


def test_flat_hand_is_the_template(model):
    mesh = model(**flat())
    np.testing.assert_allclose(mesh.vertices[0], model.arrays.v_template, atol=1e-7)


def test_flat_hand_lies_in_the_documented_frame(model):
    mesh = model(**flat())
    for finger in FINGERS[1:]:
        along = keypoint(mesh, f'{finger}_tip') - keypoint(mesh, f'{finger}_mcp')
        assert along[0] < -0.9 * np.linalg.norm(along)  # fingers point to -x
    knuckles = [keypoint(mesh, f'{finger}_mcp')[2] for finger in FINGERS[1:]]
    assert knuckles == sorted(knuckles, reverse=True)  # index at +z, little finger at -z
    thumb = keypoint(mesh, 'thumb_tip')
    assert thumb[2] > max(knuckles)  # thumb side +z
    assert thumb[1] < min(keypoint(mesh, f'{finger}_mcp')[1] for finger in FINGERS[1:])  # palm -y


def test_fingers_curl_into_the_palm_about_plus_z(model):
    bent = flat()
    bent['hand_pose'][:, 3:6] = torch.tensor([0.0, 0.0, 1.0])  # index, middle joint
    assert keypoint(model(**bent), 'index_tip')[1] < keypoint(model(**flat()), 'index_tip')[1]


def test_faces_close_the_surface_and_look_outwards(model):
    faces = model.faces.astype(np.int64)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {tuple(edge) for edge in edges.tolist()}
    assert len(directed) == len(edges)
    assert all((b, a) in directed for a, b in directed)  # watertight, one winding
    a, b, c = (model.arrays.v_template[faces[:, i]] for i in range(3))
    volume = np.sum(a * np.cross(b, c)) / 6
    assert 2e-4 < volume < 6e-4  # cubic metres: positive is outward; an adult hand has 0.3-0.5 l


def test_bones_have_the_length_of_an_adult_hand(model):
    rest = model.rest(np.zeros(10))
    lengths = [np.linalg.norm(rest.joints[i + 1] - rest.joints[i]) for i in (1, 4, 7, 10, 13)]
    assert np.linalg.norm(rest.joints[4] - rest.joints[0]) == pytest.approx(0.092, abs=0.001)
    assert all(0.03 < length < 0.05 for length in lengths)


def test_rest_pose_agrees_with_the_posed_mesh(model):
    betas = torch.tensor([[0.5, -1, 1, 0.3, -0.7, 1, 0.2, -0.4, 0.8, -1]])
    mesh = model(**{**flat(), 'betas': betas})
    rest = model.rest(betas[0].double().numpy())
    np.testing.assert_allclose(mesh.joints[0], rest.joints, atol=1e-6)  # float32 of metres
    tips = [keypoint(mesh, f'{finger}_tip') for finger in FINGERS]
    np.testing.assert_allclose(tips, rest.tips, atol=1e-6)


@pytest.mark.parametrize('scale', [0.5, 0.9, 1.0, 1.1, 1.5])
def test_scale_of_the_default_hand_is_exact(model, scale):
    betas = model.betas_for_scale(scale)
    mean, scaled = model.rest(np.zeros(10)), model.rest(betas)
    size = np.linalg.norm(mean.tips[2] - mean.joints[0])
    assert np.linalg.norm(scaled.tips[2] - scaled.joints[0]) == pytest.approx(scale * size)
    mesh = model(**{**flat(), 'betas': torch.from_numpy(betas).float()[None]})
    np.testing.assert_allclose(mesh.vertices[0], scale * model.arrays.v_template, atol=1e-6)


def test_root_rotation_turns_about_the_wrist_and_translation_comes_after(model):
    moved = flat()
    moved['global_orient'][0] = torch.tensor([0.3, -1.0, 0.5])
    moved['transl'][0] = torch.tensor([0.1, 0.2, 0.5])
    wrist = model.rest(np.zeros(10)).joints[0]
    mesh = model(**moved)
    np.testing.assert_allclose(keypoint(mesh, 'wrist'), wrist + [0.1, 0.2, 0.5], atol=1e-6)
    rotation = geometry.rotation_from_axis_angle(moved['global_orient'][0].double().numpy())
    expected = (model.arrays.v_template - wrist) @ rotation.T + wrist + [0.1, 0.2, 0.5]
    np.testing.assert_allclose(mesh.vertices[0], expected, atol=1e-6)


def test_wrist_axes_follow_the_fingers_and_the_back_of_the_hand(model):
    moved = parameters(1, seed=3)
    moved['hand_pose'] = torch.zeros(1, 45)
    axes = geometry.wrist_rotation(moved['global_orient'][0].double().numpy(), is_right=True)
    mesh = model(**moved)
    forward = keypoint(mesh, 'middle_mcp') - keypoint(mesh, 'wrist')
    across = keypoint(mesh, 'index_mcp') - keypoint(mesh, 'little_mcp')
    assert forward @ axes[:, 0] > 0.95 * np.linalg.norm(forward)
    assert across @ axes[:, 1] > 0.9 * np.linalg.norm(across)


def test_matrices_and_axis_angles_pose_alike(model):
    given = parameters(3)
    axis_angle = torch.cat([given['global_orient'], given['hand_pose']], 1).view(3, 16, 3)
    rotations = torch.from_numpy(geometry.rotation_from_axis_angle(axis_angle.double().numpy()))
    mesh = model.from_rotations(
        rotations=rotations.float(), betas=given['betas'], transl=given['transl']
    )
    torch.testing.assert_close(mesh.vertices, model(**given).vertices, rtol=0, atol=1e-6)


def test_batch_equals_one_by_one(model):
    given = parameters(4)
    together = model(**given)
    for i in range(4):
        alone = model(**{name: value[i : i + 1] for name, value in given.items()})
        torch.testing.assert_close(alone.vertices[0], together.vertices[i], rtol=0, atol=1e-6)
        torch.testing.assert_close(alone.keypoints[0], together.keypoints[i], rtol=0, atol=1e-6)


def test_no_hands_give_an_empty_mesh(model):
    mesh = model(**parameters(0))
    assert mesh.vertices.shape == (0, model.num_vertices, 3)
    assert mesh.keypoints.shape == (0, 21, 3)


def test_gradients_reach_all_parameters_also_from_the_flat_hand(model):
    given = {name: value.requires_grad_() for name, value in flat().items()}
    model(**given).keypoints.square().sum().backward()
    for name, value in given.items():
        assert torch.isfinite(value.grad).all(), name
        assert value.grad.abs().sum() > 0, name


def test_rotation_of_a_tiny_angle_is_as_exact_as_of_a_large_one():
    vectors = torch.tensor(
        [[0.0, 0, 0], [1e-12, 0, 0], [3e-5, -2e-5, 1e-4], [0.3, 2, -1]]
    ).double()
    expected = torch.from_numpy(geometry.rotation_from_axis_angle(vectors.numpy()))
    torch.testing.assert_close(rotation_from_axis_angle(vectors), expected, rtol=0, atol=1e-14)


def smplx_twin(arrays: HandArrays) -> HandModel:
    from hand_perception.models.mano import SmplxSkinning

    return HandModel(name='twin', arrays=arrays, skinning=SmplxSkinning(arrays), device='cpu')


@pytest.mark.parametrize('name', ['default', 'mano'])
def test_own_skinning_equals_smplx(name, mano_dir):
    pytest.importorskip('smplx', reason='smplx is not installed')
    arrays = load_hand_model(name, mano_dir=mano_dir).arrays
    own = HandModel(name='own', arrays=arrays, skinning=LinearBlendSkinning(arrays), device='cpu')
    given = parameters(3)
    ours, theirs = own(**given), smplx_twin(arrays)(**given)
    for part in ('vertices', 'joints', 'keypoints'):
        torch.testing.assert_close(
            getattr(ours, part), getattr(theirs, part), rtol=0, atol=1e-6
        )  # 1 micrometre


def test_mano_has_the_same_face_as_the_default_hand(mano_dir, capsys):
    pytest.importorskip('smplx', reason='smplx is not installed')
    model = load_hand_model('mano', mano_dir=mano_dir)
    mesh = model(**parameters(2))
    assert (model.name, model.num_vertices, model.faces.shape) == ('mano', 778, (1538, 3))
    assert mesh.vertices.shape == (2, 778, 3)
    assert mesh.joints.shape == (2, 16, 3)
    assert mesh.keypoints.shape == (2, 21, 3)
    assert not any(part.requires_grad for part in (mesh.vertices, mesh.keypoints))
    assert capsys.readouterr() == ('', '')  # smplx is quiet


def test_mano_without_smplx_says_what_to_install_and_its_licence(mano_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, 'smplx', None)
    with pytest.raises(MissingPackageError, match=r'pip install smplx .*non-commercial'):
        load_hand_model('mano', mano_dir=mano_dir)


def test_unknown_hand_model_is_refused():
    with pytest.raises(ConfigError, match="'default' or 'mano', got 'smpl'"):
        load_hand_model('smpl')


def test_missing_default_hand_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match='reinstall'):
        load_default_arrays(tmp_path / 'hand.npz')


@pytest.mark.parametrize('at', [0, 1000, 50000])
def test_damaged_default_hand_is_an_error(tmp_path, at):
    content = bytearray(DEFAULT_HAND.read_bytes())
    content[at : at + 64] = bytes(64)
    path = tmp_path / 'hand.npz'
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r'hand\.npz'):
        load_default_arrays(path)


def test_default_hand_that_lacks_an_array_is_an_error_that_names_it(tmp_path):
    with np.load(DEFAULT_HAND, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name != 'weights'}
    np.savez(tmp_path / 'hand.npz', **arrays)
    with pytest.raises(WeightsError, match='lacks weights'):
        load_default_arrays(tmp_path / 'hand.npz')


def test_licence_of_the_default_hand_lies_beside_it():
    text = DEFAULT_HAND.with_name('LICENSE.webxr_hand').read_text()
    assert 'Copyright (c) 2019 Amazon' in text
    assert "converted to MANO's array layout" in text
