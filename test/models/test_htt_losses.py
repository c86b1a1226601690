"""HTT's losses, their gradients and two steps of Adam are the official ones."""

import dataclasses

import htt_reference
import numpy as np
import pytest
import torch
import training_reference
from torch import nn

from hand_perception.errors import DatasetError
from hand_perception.models.htt.lift import lift
from hand_perception.models.htt.module import HttHeads, HttOutput, run_clips
from hand_perception.training.htt_losses import (
    UNLABELLED,
    HttLossWeights,
    htt_losses,
    lift_joints,
)

#: The official numbers are float32 sums over thousands of numbers.
RTOL = 5e-6


def official_output(name):
    """What the official network says, as our own network would."""
    said = htt_reference.results(name)
    sizes = htt_reference.CASES[name].sizes
    frames = htt_reference.NUM_FRAMES
    nothing = torch.zeros(frames, 0)
    return HttOutput(
        feat_resnet=nothing,
        feat_pose=nothing,
        heads=HttHeads(
            raw=torch.from_numpy(said['hand_raw']).view(frames, sizes.num_joints, 3),
            object_logits=torch.from_numpy(said['object_logits']),
            action_inputs=nothing,
        ),
        action_logits=torch.from_numpy(said['action_logits']),
    )


@pytest.mark.parametrize('norm', ['l1', 'l2'])
@pytest.mark.parametrize('name', ['fpha', 'h2o'])
def test_losses_are_the_official_ones(name, norm):
    losses = htt_losses(official_output(name), training_reference.htt_targets(name), norm=norm)
    wanted = training_reference.stored('htt')
    for field in training_reference.HTT_TERMS.values():
        found = getattr(losses, field).item()
        assert found == pytest.approx(float(wanted[f'{name}/{norm}/{field}']), rel=RTOL), field


def test_lift_with_gradients_is_the_lift_of_the_results():
    output, K = official_output('h2o'), htt_reference.inputs('h2o').K
    found = lift_joints(output.hand_raw, torch.from_numpy(K))
    wanted = lift(output.hand_raw.numpy(), K)
    np.testing.assert_allclose(found[0].numpy(), wanted[0], atol=1e-4)  # px
    np.testing.assert_allclose(found[1].numpy()[..., 0], wanted[1], atol=1e-6)  # m
    np.testing.assert_allclose(found[2].numpy(), wanted[2], atol=1e-6)  # m


@pytest.fixture(scope='module')
def steps():
    """Losses, gradient norms and change of two steps of all that follows the backbone."""
    official = training_reference.stored('htt')
    module = htt_reference.module('fpha').requires_grad_(True)
    module.meshregnet.requires_grad_(False)
    targets = training_reference.htt_targets('fpha')
    seen = targets.not_padding.nonzero()[:, 0]
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=training_reference.HTT_LEARNING_RATE)
    features = torch.from_numpy(official['features'])
    change = torch.from_numpy(official['features_change']).float()
    losses, norms = [], {}
    for step in range(2):
        optimizer.zero_grad()
        whole = training_reference.padded(features + step * change, seen).requires_grad_(True)
        output = run_clips(
            module, whole, targets.not_padding, window=htt_reference.WINDOW,
            pose_window=htt_reference.POSE_WINDOW,
        )  # fmt: skip
        losses.append(htt_losses(output, targets))
        losses[-1].total.backward()
        if step == 0:
            norms = {
                name: float(p.grad.double().norm())
                for name, p in module.named_parameters()
                if p.requires_grad
            }
            feature_gradient = whole.grad
        optimizer.step()
    moved = {
        name: float((p.detach() - before[name]).abs().max())
        for name, p in module.named_parameters()
    }
    return losses, norms, moved, feature_gradient[seen], feature_gradient


@pytest.mark.parametrize('step', [0, 1])
def test_losses_of_two_steps_of_adam_are_the_official_ones(steps, step):
    official = training_reference.stored('htt')
    terms = official['step_terms'].tolist()
    for term, wanted in zip(terms, official['step_losses'][step], strict=True):
        found = getattr(steps[0][step], training_reference.HTT_TERMS[term]).item()
        # Of the second step the features are known to 1e-5.
        assert found == pytest.approx(float(wanted), rel=(RTOL, 2e-5)[step]), term


def test_gradient_norms_behind_the_backbone_are_the_official_ones(steps):
    official = training_reference.stored('htt')
    wanted = dict(
        zip(official['gradient_names'].tolist(), official['gradient_norms'], strict=True)
    )
    mine = {name: norm for name, norm in wanted.items() if not name.startswith('meshregnet.')}
    assert steps[1].keys() == mine.keys()
    assert len(mine) == 71
    for name, norm in mine.items():
        # Absolute errors and rectifiers change sign at zero, where rounding decides.
        assert steps[1][name] == pytest.approx(float(norm), rel=2e-4), name


def test_steps_move_what_is_trained_and_nothing_else(steps):
    for name, moved in steps[2].items():
        limit = 2.1 * training_reference.HTT_LEARNING_RATE  # of Adam in two steps
        assert (moved == 0) if name.startswith('meshregnet.') else (0 < moved <= limit), name


def test_gradient_reaches_images_that_count_and_no_others(steps):
    _, _, _, seen, everywhere = steps
    assert (seen.abs().amax(1) > 0).all()
    assert (everywhere != 0).any(1).sum() == len(seen)


def test_gradient_passes_through_the_backbone_but_not_its_unused_layer():
    module = htt_reference.module('fpha').requires_grad_(True)
    images = torch.from_numpy(htt_reference.inputs('fpha').images[:1])
    module.features(images.permute(0, 3, 1, 2) / 255 - 0.5).square().sum().backward()
    names = dict(module.meshregnet.named_parameters())
    without = {name for name, parameter in names.items() if parameter.grad is None}
    assert without == {'base_net.fc.weight', 'base_net.fc.bias'}


def test_targets_of_padding_may_be_anything_and_are_not_written_to():
    targets, output = training_reference.htt_targets('fpha'), official_output('fpha')
    unseen = targets.not_padding == 0
    marks = targets.not_padding.float()
    changed = dataclasses.replace(
        targets,
        joints_2d=targets.joints_2d.masked_fill(unseen[:, None, None], torch.nan),
        joints_3d=targets.joints_3d.masked_fill(unseen[:, None, None], torch.nan),
        objects=targets.objects.masked_fill(unseen, UNLABELLED),
        not_padding=marks,
    )
    raw = output.heads.raw.clone().requires_grad_(True)
    output = dataclasses.replace(output, heads=dataclasses.replace(output.heads, raw=raw))
    losses = htt_losses(output, changed)
    losses.total.backward()
    assert torch.equal(losses.total, htt_losses(output, targets).total)
    assert torch.equal(marks, targets.not_padding.float())
    assert raw.grad.isfinite().all()
    assert not raw.grad[unseen].any()


def test_hand_without_truth_leaves_the_loss_to_the_other_one():
    targets, output = training_reference.htt_targets('h2o'), official_output('h2o')
    is_valid = torch.ones(htt_reference.NUM_FRAMES, 2, dtype=torch.bool)
    same = htt_losses(output, dataclasses.replace(targets, is_hand_valid=is_valid))
    assert same.total.item() == pytest.approx(htt_losses(output, targets).total.item(), rel=RTOL)
    is_valid[:, 0] = False
    joints_3d = targets.joints_3d.clone()
    joints_3d[:, :21] = torch.nan
    alone = dataclasses.replace(targets, is_hand_valid=is_valid, joints_3d=joints_3d)
    _, _, points = lift_joints(output.hand_raw, targets.K)
    seen = targets.not_padding != 0
    wanted = nn.functional.l1_loss(points[seen, 21:], targets.joints_3d[seen, 21:])
    assert htt_losses(output, alone).joints_3d.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_nothing_that_counts_gives_no_loss():
    targets, output = training_reference.htt_targets('fpha'), official_output('fpha')
    empty = dataclasses.replace(
        targets,
        not_padding=torch.zeros_like(targets.not_padding),
        actions=torch.full_like(targets.actions, UNLABELLED),
    )
    assert htt_losses(output, empty).total.item() == 0


def test_weights_are_factors_of_the_sum():
    targets, output = training_reference.htt_targets('fpha'), official_output('fpha')
    weights = HttLossWeights(joints_2d=0, depth=0, joints_3d=3, labels=0)
    losses = htt_losses(output, targets, weights=weights)
    assert losses.total.item() == pytest.approx(3 * losses.joints_3d.item(), rel=RTOL)


def test_truth_of_other_hands_is_refused_by_name():
    with pytest.raises(DatasetError, match=r'joints_2d must be \(96, 42, 2\), got \(96, 21, 2\)'):
        htt_losses(official_output('h2o'), training_reference.htt_targets('fpha'))
