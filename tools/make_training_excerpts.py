"""Write test/data/htt_training.npz and hamer_training.npz from complete official results.

    python -m tools.make_training_excerpts HTT_FOLDER HAMER_FOLDER DISCRIMINATOR_PY

HTT_FOLDER holds fpha_small.npz and h2o_small.npz (tools/make_htt_excerpt.py) with losses, gradient
norms and two steps of Adam; HAMER_FOLDER a tiny HaMeR in the official layout with reference.npz
(tools/make_hamer_excerpt.py), one step of training included; DISCRIMINATOR_PY is the module
hamer/models/discriminator.py of the official HaMeR.

Backbones and discriminator are too large for the tests, so they are run here, whole steps are
compared with the official ones, and nothing is written where they differ. What the tests need of
them is kept: HTT's features before and after the first step, and the gradient that HaMeR's
discriminator sends back.
"""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.config_file import parse_config
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.hand_files import load_hand
from hand_perception.models.hamer.weight_files import build_parts, published_name
from hand_perception.models.htt.module import HttModule, run_clips
from hand_perception.models.rotations import rotation_from_axis_angle
from hand_perception.training.hamer_discriminator import HamerDiscriminator
from hand_perception.training.hamer_losses import (
    HamerLossWeights,
    discriminator_loss,
    generator_loss,
    hamer_losses,
)
from hand_perception.training.hamer_network import TrainableHamer
from hand_perception.training.htt_losses import htt_losses

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / 'test' / 'data'
sys.path.insert(0, str(ROOT / 'test' / 'models'))

import htt_reference  # noqa: E402 - lie beside the tests
import training_reference  # noqa: E402

_HAMER_HANDS = slice(0, 3)  # crops of the official step
_PIECE = 4  # images at a time through the backbone


def main() -> None:
    """Compare, then write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('htt', type=Path)
    parser.add_argument('hamer', type=Path)
    parser.add_argument('discriminator', type=Path)
    folders = parser.parse_args()
    kept = _htt_values(folders.htt)
    for name in htt_reference.CASES:
        steps = _htt_steps(name, folders.htt / f'{name}_small.npz')
        kept |= steps if name == 'fpha' else {}  # one is enough for the tests
    _write('htt_training.npz', kept)
    kept = _hamer_step(folders.hamer) | _official_judgements(folders.discriminator)
    _write('hamer_training.npz', kept)


def _write(name: str, arrays: dict[str, Any]) -> None:
    np.savez_compressed(DATA / name, **arrays)
    print(DATA / name, (DATA / name).stat().st_size)


def _require(name: str, found: Any, official: Any, *, rtol: float, atol: float = 0.0) -> None:
    np.testing.assert_allclose(np.asarray(found), official, rtol=rtol, atol=atol, err_msg=name)


def _htt_values(folder: Path) -> dict[str, np.ndarray]:
    kept = {}
    for name in htt_reference.CASES:
        inputs = htt_reference.inputs(name)
        with np.load(folder / f'{name}_small.npz') as official:
            for ours, theirs in (
                (inputs.joints_3d, official['in_gt_joints3d']),
                (inputs.joints_2d, official['in_gt_joints25d'][..., :2]),
                (inputs.objects, official['in_gt_object']),
                (inputs.actions, official['in_gt_action'][:: htt_reference.WINDOW]),
            ):
                if not np.array_equal(ours, theirs):
                    raise SystemExit(f'{name}: the truth is not what htt_reference makes')
            for norm, prefix in (('l1', 'out_loss_'), ('l2', 'out_l2_loss_')):
                for term, field in training_reference.HTT_TERMS.items():
                    kept[f'{name}/{norm}/{field}'] = official[prefix + term]
    return kept


def _htt_steps(name: str, path: Path) -> dict[str, np.ndarray]:
    """Two steps of Adam through the backbone, held against the official ones."""
    module, inputs = (
        htt_reference.module(name).requires_grad_(True),
        htt_reference.inputs(name),
    )
    targets = training_reference.htt_targets(name)
    seen = torch.from_numpy(inputs.not_padding).nonzero()[:, 0]
    images = torch.from_numpy(inputs.images)[seen].permute(0, 3, 1, 2).float() / 255 - 0.5
    optimizer = torch.optim.Adam(module.parameters(), lr=training_reference.HTT_LEARNING_RATE)
    named = dict(module.named_parameters())
    features, norms = [], {}
    with np.load(path) as official:
        names = official['out_train_grad_names'].tolist()
        terms = official['out_train_step_terms'].tolist()
        for step in range(2):
            optimizer.zero_grad()
            features.append(_features(module, images))
            whole = training_reference.padded(features[-1], seen).requires_grad_(True)
            losses = htt_losses(
                run_clips(
                    module, whole, targets.not_padding, window=htt_reference.WINDOW,
                    pose_window=htt_reference.POSE_WINDOW,
                ),
                targets,
            )  # fmt: skip
            for term, value in zip(terms, official['out_train_step_losses'][step], strict=True):
                found = getattr(losses, training_reference.HTT_TERMS[term]).detach()
                _require(f'step {step}, {term}', found, value, rtol=(2e-6, 2e-5)[step])
            losses.total.backward()
            for piece, gradient in zip(
                images.split(_PIECE), whole.grad[seen].split(_PIECE), strict=True
            ):
                module.features(piece).backward(gradient)
            if step == 0:
                norms = {key: float(named[key].grad.double().norm()) for key in names}
            optimizer.step()
        _require('gradient norms', [*norms.values()], official['out_train_grad_norm'], rtol=5e-4)
        without = {key for key, parameter in named.items() if parameter.grad is None}
        if without != set(official['out_train_no_grad_names'].tolist()):
            raise SystemExit(f'parameters without gradient: {sorted(without)}')
        return {
            'features': features[0].numpy(),
            # Half the size; its rounding is 1e-5 of the features.
            'features_change': (features[1] - features[0]).numpy().astype(np.float16),
            'gradient_names': official['out_train_grad_names'],
            'gradient_norms': official['out_train_grad_norm'],
            'step_losses': official['out_train_step_losses'],
            'step_terms': official['out_train_step_terms'],
        }


def _features(module: HttModule, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([module.features(piece) for piece in images.split(_PIECE)])


def _hamer_step(folder: Path) -> dict[str, np.ndarray]:
    """One step of HaMeR and its discriminator, held against the official one."""
    files = find_files(folder)
    checkpoint = read_checkpoint(files)
    config = parse_config(checkpoint.config, source=checkpoint.config_source)
    parts = build_parts(checkpoint, config, mean_params=files.mean_params).requires_grad_(True)
    network = TrainableHamer(
        parts, load_hand(checkpoint, files, device='cpu'), focal_px=config.focal_length
    )
    discriminator = HamerDiscriminator()
    discriminator.load_state_dict(
        {
            name.removeprefix('discriminator.'): tensor
            for name, tensor in checkpoint.tensors.items()
            if name.startswith('discriminator.')
        }
    )
    named = {published_name(name): parameter for name, parameter in parts.named_parameters()}
    named |= {f'discriminator.{name}': p for name, p in discriminator.named_parameters()}
    with np.load(folder / 'reference.npz') as archive:
        official = {
            name: archive[name] for name in archive.files if name.startswith(('train', 'target'))
        }
        crops, tokens = archive['crop/img'][_HAMER_HANDS], archive['tap/token'][_HAMER_HANDS]
    targets = training_reference.hamer_targets(official)
    weight = HamerLossWeights().adversarial
    output = network(torch.from_numpy(crops))
    losses = hamer_losses(output, targets)
    for name in training_reference.HAMER_TERMS:
        found = getattr(losses, name).detach()
        _require(name, found, official[f'train/loss_{name}'], rtol=1e-6)
    _require('loss', losses.total.detach(), official['train/loss'], rtol=1e-6)
    made = [output.rotations[:, 1:], output.betas]
    judged = discriminator(*made)
    _require('judgements', judged.detach(), official['train/disc_out'], rtol=0, atol=2e-6)
    adversarial = generator_loss(judged)
    _require('generator', adversarial.detach(), official['train/step_loss_gen'], rtol=1e-6)
    sent_back = torch.autograd.grad(weight * adversarial, made, retain_graph=True)
    (losses.total + weight * adversarial).backward()
    discriminator.zero_grad()
    real = rotation_from_axis_angle(
        torch.from_numpy(official['target/mocap/hand_pose']).view(-1, 15, 3)
    )
    judged_real = discriminator(real, torch.from_numpy(official['target/mocap/betas']))
    loss = discriminator_loss(discriminator(*(part.detach() for part in made)), judged_real)
    _require('discriminator', loss.detach(), official['train/step_loss_disc'], rtol=1e-6)
    (weight * loss).backward()
    gradients = {name: array for name, array in official.items() if 'train/grad/' in name}
    for name, array in gradients.items():
        found = named[name.removeprefix('train/grad/')].grad
        _require(name, found, array, rtol=0, atol=2e-5 * float(np.abs(array).max()))
    kept = {name: array for name, array in official.items() if name.startswith('target/')}
    kept |= {
        name: array
        for name, array in official.items()
        if name.startswith(('train/loss', 'train/grad/mano_head', 'train/delta/mano_head'))
        or name in ('train/disc_out', 'train/step_loss_gen', 'train/step_loss_disc')
    }
    return kept | {
        'tokens': tokens,
        'adversarial/rotations': sent_back[0].numpy(),
        'adversarial/betas': sent_back[1].numpy(),
        'judged_real': judged_real.detach().numpy(),
    }


def _official_judgements(path: Path) -> dict[str, np.ndarray]:
    """What the official discriminator says with weights that anybody can make again."""
    spec = importlib.util.spec_from_file_location('official_discriminator', path)
    if spec is None or spec.loader is None:
        raise SystemExit(f'{path} is not a Python module')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    discriminator = module.Discriminator()
    names = [f'{name} {tuple(p.shape)}' for name, p in discriminator.named_parameters()]
    training_reference.fill(discriminator)
    rotations, betas = training_reference.judged_hands()
    judged = discriminator(rotations.requires_grad_(True), betas.requires_grad_(True))
    generator_loss(judged).backward()
    return {
        'judged': judged.detach().numpy(),
        'judged_gradient/rotations': rotations.grad.numpy(),
        'judged_gradient/betas': betas.grad.numpy(),
        'discriminator_names': np.array(names),
    }


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
