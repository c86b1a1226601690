"""HaMeR's losses, its discriminator and a step of both are the official ones."""

import dataclasses

import hamer_files
import numpy as np
import pytest
import torch
import training_reference

from hand_perception.errors import DatasetError
from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.config_file import parse_config
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.hand_files import load_hand
from hand_perception.models.hamer.head import ManoParameters, rotations_from_readout
from hand_perception.models.hamer.weight_files import build_parts
from hand_perception.training.hamer_discriminator import HamerDiscriminator
from hand_perception.training.hamer_losses import (
    HamerLossWeights,
    discriminator_loss,
    generator_loss,
    hamer_losses,
)
from hand_perception.training.hamer_network import TrainableHamer

#: The official numbers are float32 sums over hundreds of numbers.
RTOL = 1e-6
LEARNING_RATE, WEIGHT_DECAY = 1e-5, 1e-4


@pytest.fixture(scope='module')
def official():
    return training_reference.stored('hamer')


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    files = find_files(hamer_files.write_flat(tmp_path_factory.mktemp('hamer')))
    checkpoint = read_checkpoint(files)
    config = parse_config(checkpoint.config, source=checkpoint.config_source)
    parts = build_parts(checkpoint, config, mean_params=files.mean_params).requires_grad_(True)
    hand = load_hand(checkpoint, files, device='cpu')
    return TrainableHamer(parts, hand, focal_px=config.focal_length)


@pytest.fixture
def targets(official):
    return training_reference.hamer_targets(official)


@pytest.fixture
def output(network, official):
    """Hands of the official step, from the token that the decoder ends with."""
    head = network.parts.mano_head
    head.zero_grad()
    token = torch.from_numpy(official['tokens'])[:, 0]
    return network.hands_from_parameters(
        ManoParameters(
            rotations=rotations_from_readout(head.decpose(token) + head.init_hand_pose),
            betas=head.decshape(token) + head.init_betas,
            pred_cam=head.deccam(token) + head.init_cam,
        )
    )


def test_losses_are_the_official_ones(official, output, targets):
    losses = hamer_losses(output, targets)
    for name in training_reference.HAMER_TERMS:
        wanted = float(official[f'train/loss_{name}'])
        assert getattr(losses, name).item() == pytest.approx(wanted, rel=RTOL), name
    assert losses.total.item() == pytest.approx(float(official['train/loss']), rel=RTOL)


def test_step_of_the_readouts_is_the_official_one(official, network, output, targets):
    head = network.parts.mano_head
    sent_back = (
        output.rotations[:, 1:] * torch.from_numpy(official['adversarial/rotations'])
    ).sum()
    sent_back = sent_back + (output.betas * torch.from_numpy(official['adversarial/betas'])).sum()
    (hamer_losses(output, targets).total + sent_back).backward()
    readouts = {
        'decpose.bias': head.decpose.bias, 'decshape.weight': head.decshape.weight,
        'deccam.bias': head.deccam.bias,
    }  # fmt: skip
    before = {name: parameter.detach().clone() for name, parameter in readouts.items()}
    optimizer = torch.optim.AdamW(
        readouts.values(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )  # fmt: skip
    optimizer.step()
    for name, parameter in readouts.items():
        gradient = official[f'train/grad/mano_head.{name}']
        # Float32 through 778 vertices and rotations from nearly parallel columns.
        atol = 5e-5 * np.abs(gradient).max()
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=0, atol=atol)
        moved = parameter.detach() - before[name]
        # A step is about 1e-5 for each number; weights of about 1 are known to 6e-8.
        np.testing.assert_allclose(
            moved.numpy(), official[f'train/delta/mano_head.{name}'], rtol=0, atol=2e-7
        )
        with torch.no_grad():
            parameter.copy_(before[name])


def test_gradient_reaches_the_first_layer_of_the_backbone(network, targets):
    crops = torch.from_numpy(hamer_files.reference()['crops_rgb'].copy()).permute(0, 3, 1, 2)
    output = network(crops / 255 - 0.5)
    network.parts.zero_grad()
    hamer_losses(output, targets).total.backward()
    for name, parameter in network.parts.named_parameters():
        # Attention over one token does not depend on its query and key.
        if 'self_attn.to_qkv' not in name and 'to_token_embedding.weight' not in name:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert network.parts.backbone.patch_embed.proj.weight.grad.any()
    network.parts.zero_grad()


def test_what_is_not_known_may_be_anything(output, targets):
    unknown_pose = targets.has_hand_pose == 0
    assert unknown_pose.tolist() == [False, True, False]
    keypoints = targets.keypoints_2d.clone()
    keypoints[0, :5, 2] = 0
    plain = dataclasses.replace(targets, keypoints_2d=keypoints)
    keypoints = keypoints.clone()
    keypoints[0, :5, :2] = torch.nan
    changed = dataclasses.replace(
        targets,
        keypoints_2d=keypoints,
        hand_pose=targets.hand_pose.masked_fill(unknown_pose[:, None], torch.nan),
    )
    losses = hamer_losses(output, changed)
    assert torch.equal(losses.total, hamer_losses(output, plain).total)
    (gradient,) = torch.autograd.grad(losses.total, output.betas, retain_graph=True)
    assert gradient.isfinite().all()


def test_losses_are_sums_and_grow_with_the_batch(output, targets):
    one = hamer_losses(output, targets)
    twice = hamer_losses(
        dataclasses.replace(
            output, **{f.name: torch.cat([getattr(output, f.name)] * 2)
                       for f in dataclasses.fields(output)}
        ),
        dataclasses.replace(
            targets, **{f.name: torch.cat([getattr(targets, f.name)] * 2)
                        for f in dataclasses.fields(targets)}
        ),
    )  # fmt: skip
    assert twice.total.item() == pytest.approx(2 * one.total.item(), rel=RTOL)


def test_truth_of_other_shape_is_refused_by_name(output, targets):
    wrong = dataclasses.replace(targets, keypoints_3d=targets.keypoints_3d[..., :3])
    with pytest.raises(DatasetError, match=r'keypoints_3d of 3 crops must be \(3, 21, 4\)'):
        hamer_losses(output, wrong)


def test_adversarial_losses_are_the_official_ones(official):
    judged = torch.from_numpy(official['train/disc_out'])
    real = torch.from_numpy(official['judged_real'])
    assert len(real) == 2 * len(judged)  # real hands weigh double
    assert generator_loss(judged).item() == pytest.approx(
        float(official['train/step_loss_gen']), rel=RTOL
    )
    assert discriminator_loss(judged, real).item() == pytest.approx(
        float(official['train/step_loss_disc']), rel=RTOL
    )


def test_discriminator_judges_as_the_official_one_and_sends_the_same_back(official):
    discriminator = HamerDiscriminator()
    training_reference.fill(discriminator)
    rotations, betas = (part.requires_grad_(True) for part in training_reference.judged_hands())
    judged = discriminator(rotations, betas)
    generator_loss(judged).backward()
    wanted = official['judged']
    # Float32 sums over up to a thousand numbers.
    np.testing.assert_allclose(judged.detach().numpy(), wanted, atol=2e-6 * np.abs(wanted).max())
    for name, part in (('rotations', rotations), ('betas', betas)):
        gradient = official[f'judged_gradient/{name}']
        atol = 1e-5 * np.abs(gradient).max()
        np.testing.assert_allclose(part.grad.numpy(), gradient, rtol=0, atol=atol)


def test_discriminator_has_the_names_and_shapes_of_the_published_one(official):
    named = HamerDiscriminator().named_parameters()
    found = [f'{name} {tuple(parameter.shape)}' for name, parameter in named]
    assert sorted(found) == sorted(official['discriminator_names'].tolist())
    lines = (training_reference.DATA / 'hamer_full_state_dict.txt').read_text().splitlines()
    entries = [line.split(maxsplit=2) for line in lines if line.startswith('discriminator.')]
    published = [f'{name.split(".", 1)[1]} {shape}' for name, _, shape in entries]
    assert sorted(found) == sorted(published)


def test_new_discriminator_has_the_published_initial_weights():
    torch.manual_seed(0)
    discriminator = HamerDiscriminator()
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 1_545_211
    bound = (6 / (480 + 1024)) ** 0.5  # Glorot and Bengio, 2010
    weight = discriminator.D_alljoints_fc1.weight
    assert 0.99 * bound < weight.abs().max() <= bound
    assert not discriminator.D_conv1.bias.any()


def test_published_weights_of_the_losses():
    weights = HamerLossWeights()
    assert (weights.keypoints_2d, weights.keypoints_3d) == (0.01, 0.05)
    assert (weights.global_orient, weights.hand_pose) == (0.001, 0.001)
    assert (weights.betas, weights.adversarial) == (0.0005, 0.0005)
