"""HaMeR gives the numbers of the official code.

The reference was computed by the official code in float32; against itself, with other threads or
another batch, it moves by 9e-6 in the matrices, 3e-7 m in the vertices, 5e-7 in the keypoints.
"""

from pathlib import Path

import hamer_files
import numpy as np
import pytest
import torch

from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.config_file import parse_config
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.folded_head import FoldedManoHead
from hand_perception.models.hamer.fused_backbone import FusedBackbone
from hand_perception.models.hamer.network import HamerNetwork, HamerOutput
from hand_perception.models.hamer.weight_files import HamerParts, build_parts
from hand_perception.models.rotations import rotation_from_6d

MATRIX = 5e-5
VERTEX_M = 2e-6
CROP_UNITS = 5e-6
FEATURE = 5e-5  # of values up to about 4


@pytest.fixture(scope='module')
def hamer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hamer_files.write_official(tmp_path_factory.mktemp('hamer'))


@pytest.fixture(scope='module')
def network(hamer_dir: Path) -> HamerNetwork:
    return HamerNetwork.load(hamer_dir, device='cpu')


@pytest.fixture(scope='module')
def parts(hamer_dir: Path) -> HamerParts:
    files = find_files(hamer_dir)
    checkpoint = read_checkpoint(files)
    config = parse_config(checkpoint.config, source='config')
    return build_parts(checkpoint, config, mean_params=None)


@pytest.fixture(scope='module')
def images(network: HamerNetwork) -> torch.Tensor:
    crops = torch.from_numpy(hamer_files.reference()['crops_rgb'])
    return network.normalize(crops).contiguous()


@pytest.fixture(scope='module')
def output(network: HamerNetwork, images: torch.Tensor) -> HamerOutput:
    return network(images)


def expect(found: torch.Tensor, name: str, atol: float) -> None:
    np.testing.assert_allclose(found.numpy(), hamer_files.reference()[name], rtol=0, atol=atol)


def test_normalised_crop_is_the_official_one(images):
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    crops = torch.from_numpy(hamer_files.reference()['crops_rgb']).permute(0, 3, 1, 2)
    torch.testing.assert_close(images, (crops - 255 * mean) / (255 * std), rtol=0, atol=1e-6)


def test_features_are_the_official_ones(network, images):
    features = network.features(images[:1])
    maps = features.transpose(1, 2).unflatten(2, (16, 12))
    expect(maps, 'features', FEATURE)


def test_plain_networks_as_in_the_paper_give_the_official_token_and_hand(parts, images):
    features = parts.backbone(images)
    expect(parts.mano_head.decoder(features)[:, None], 'token', FEATURE)
    parameters = parts.mano_head(features)
    expect(parameters.rotations[:, :1], 'global_orient', MATRIX)
    expect(parameters.betas, 'betas', MATRIX)


def test_rotations_shape_and_camera_are_the_official_ones(output):
    expect(output.rotations[:, :1], 'global_orient', MATRIX)
    expect(output.rotations[:, 1:], 'hand_pose', MATRIX)
    expect(output.betas, 'betas', MATRIX)
    expect(output.pred_cam, 'pred_cam', CROP_UNITS)
    expect(output.pred_cam_t, 'pred_cam_t', 2e-5)  # metres of about 10; depth is 39 / scale


def test_hand_is_the_official_one(output):
    expect(output.vertices, 'vertices', VERTEX_M)
    expect(output.keypoints, 'keypoints', VERTEX_M)
    expect(output.pred_keypoints_2d, 'pred_keypoints_2d', CROP_UNITS)


def test_joints_are_those_among_the_keypoints(output):
    order = [0, 13, 14, 15, 1, 2, 3, 4, 5, 6, 10, 11, 12, 7, 8, 9]
    at = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19]
    assert torch.equal(output.joints[:, order], output.keypoints[:, at])


def test_the_three_hands_differ_so_that_the_image_matters(output):
    spread = (output.vertices[0] - output.vertices[1:]).norm(dim=-1).amax()
    assert spread > 0.01  # metres: the tolerances above are 5000 times smaller


def test_folded_head_equals_the_plain_one(parts, images):
    features = parts.backbone(images)
    plain, folded = parts.mano_head(features), FoldedManoHead(parts.mano_head, 'cpu')(features)
    torch.testing.assert_close(folded.rotations, plain.rotations, rtol=0, atol=1e-5)
    torch.testing.assert_close(folded.betas, plain.betas, rtol=0, atol=1e-5)
    torch.testing.assert_close(folded.pred_cam, plain.pred_cam, rtol=0, atol=1e-5)


def test_fused_backbone_equals_the_plain_one(parts, images):
    plain = parts.backbone(images)
    with torch.inference_mode():
        fused = FusedBackbone(parts.backbone)(images)
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-5)


def test_batch_equals_single(network, images, output):
    for i in range(len(images)):
        single = network(images[i : i + 1])
        torch.testing.assert_close(single.rotations[0], output.rotations[i], rtol=0, atol=MATRIX)
        torch.testing.assert_close(single.vertices[0], output.vertices[i], rtol=0, atol=VERTEX_M)


def test_same_crops_give_the_same_bits(network, images, output):
    again = network(images)
    assert torch.equal(again.vertices, output.vertices)
    assert torch.equal(again.pred_cam, output.pred_cam)


def test_images_are_left_as_they_were(network, images):
    before = images.clone()
    network(images)
    assert torch.equal(images, before)


def test_columns_that_the_network_does_not_see_do_not_matter(network, images):
    changed = images.clone()
    changed[..., :32] = 3
    changed[..., 224:] = -3
    assert torch.equal(network(changed).vertices, network(images).vertices)


def test_six_numbers_become_the_official_rotations():
    six = torch.from_numpy(hamer_files.reference()['six'])
    expect(rotation_from_6d(six), 'rotations_of_six', 1e-6)


def test_rotation_of_zeros_is_zero_and_not_nan():
    rotation = rotation_from_6d(torch.zeros(1, 6))
    assert torch.equal(rotation, torch.zeros(1, 3, 3))
