"""Files of a HaMeR that was trained here: the node reads them, and so does the official layout."""

import re
import shutil

import hamer_files
import hamer_training
import numpy as np
import pytest
import torch
import training_reference
import yaml
from hamer_training import plain_backward

from hand_perception.config import PipelineSettings
from hand_perception.errors import ConfigError, MissingPackageError, WeightsError
from hand_perception.models.hamer import timm_stem
from hand_perception.models.hamer.engine import HamerEngine
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.sizes import BackboneSizes, DecoderSizes, HamerSizes
from hand_perception.models.hamer.weight_files import HamerParts, published_name
from hand_perception.models.safetensors_file import read_export_metadata, write_export_file
from hand_perception.pipeline.hamer_reconstruct import HamerReconstructor
from hand_perception.training.hamer_samples import collate_samples
from hand_perception.training.hamer_settings import HamerModelSettings
from hand_perception.training.hamer_weights import load_backbone, load_weights, make_weights
from hand_perception.training.hand_statistics import HandPoses, read_pose_file
from hand_perception.training.task import Draw

#: A small network with patches, as the published one has them.
PATCHES = {'stem': '', 'width': 32, 'heads': 2, 'mlp_hidden': 64}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return hamer_training.write_hands(tmp_path_factory.mktemp('hands'))


@pytest.fixture(scope='module')
def task(folder):
    """After a step, so that optimizers have a state."""
    task = hamer_training.small_task(folder, range(4))
    plain_backward(task, batch_of(task))
    for optimizer in task.optimizers.values():
        optimizer.step()
        optimizer.zero_grad()
    return task


def batch_of(task):
    return collate_samples([task.data[Draw(0, number)] for number in range(4)])


def poses():
    random = np.random.default_rng(3)
    return HandPoses(
        hand_pose=random.normal(0, 0.3, (5, 45)).astype(np.float32),
        betas=random.normal(0, 1, (5, 10)).astype(np.float32),
    )


def expect_same_hands(task, hamer_dir):
    """What was loaded says of crops what the network in training says."""
    batch = batch_of(task).crops
    network = HamerNetwork.load(hamer_dir, device='cpu')
    loaded = network(batch.images)
    task.modules['network'].eval()
    with torch.no_grad():
        trained = task._reconstruct(task.modules)(batch.images)
    task.modules['network'].train()
    for name in ('keypoints', 'vertices', 'rotations', 'betas', 'pred_keypoints_2d'):
        # Folded and fused layers sum in another order.
        torch.testing.assert_close(
            getattr(loaded, name), getattr(trained, name), rtol=1e-4, atol=2e-5
        )
    return network


def test_export_is_loaded_without_mano(task, tmp_path):
    path = tmp_path / 'best.safetensors'
    task.save(path, step=7)
    network = expect_same_hands(task, path)
    assert network.hand.name == 'default'
    notes = read_export_metadata(path)
    assert (notes['trained_step'], notes['hand_model']) == ('7', 'default')


def test_engine_and_pipeline_take_the_hand_that_an_export_names(task, tmp_path):
    """Its mesh has other vertices than MANO's 778."""
    path = tmp_path / 'hamer.safetensors'
    task.save(path, step=0)
    network = HamerNetwork.load(tmp_path, device='cpu')
    hands = HamerEngine(network).run(batch_of(task).crops.crops.numpy())
    wanted = network(network.normalize(batch_of(task).crops.crops))
    assert hands.vertices.shape == (4, network.hand.num_vertices, 3)
    # Four hands at once or one by one: float32 sums in another order.
    np.testing.assert_allclose(hands.vertices, wanted.vertices.numpy(), atol=1e-5)
    np.testing.assert_allclose(
        hands.pred_keypoints_2d, wanted.pred_keypoints_2d.numpy(), atol=1e-5
    )
    settings = PipelineSettings(backend='hamer', hamer_dir=str(path), device='cpu')
    assert HamerReconstructor.load(settings).model.name == 'default'


@pytest.mark.parametrize('precision', ['bf16', 'int8'])
def test_convolutional_stem_runs_in_other_precisions(task, tmp_path, precision):
    path = tmp_path / 'hamer.safetensors'
    task.save(path, step=0)
    images = batch_of(task).crops.images
    full = HamerNetwork.load(path, device='cpu')(images)
    coarse = HamerNetwork.load(path, device='cpu', precision=precision)(images)
    # Eight bits of mantissa; a hand has 0.2 m.
    torch.testing.assert_close(coarse.keypoints, full.keypoints, rtol=0, atol=0.005)


def test_training_goes_on_from_an_export(task, tmp_path):
    path = tmp_path / 'hamer.safetensors'
    task.save(path, step=3)
    weights = load_weights(HamerModelSettings(weights=str(path)))
    assert weights.hand.name == 'default'
    for name, tensor in task.modules['network'].state_dict().items():
        assert torch.equal(tensor, weights.parts.state_dict()[name]), name
    assert all(parameter.requires_grad for parameter in weights.parts.parameters())
    shutil.move(path, tmp_path / 'gone.safetensors')
    weights.parts.mano_head.decpose.weight.data.zero_()  # not a view of the file


def test_official_checkpoint_has_all_that_theirs_has(task, tmp_path):
    files = task.export_official(tmp_path, step=12, epoch=2)
    assert [file.name for file in files] == [
        'hamer.ckpt', 'model_config.yaml', 'mano_mean_params.npz',
    ]  # fmt: skip
    content = torch.load(files[0], weights_only=True)  # as Lightning reads it
    assert (content['epoch'], content['global_step']) == (2, 12)
    config = yaml.safe_load(files[1].read_text())
    assert content['hyper_parameters'] == {'cfg': config}
    assert config['LOSS_WEIGHTS']['ADVERSARIAL'] == 0.0005
    assert {name.split('.')[0] for name in content['state_dict']} == {
        'backbone', 'mano_head', 'discriminator', 'initialized',
    }  # fmt: skip
    network, judging = content['optimizer_states']
    assert len(judging['state']) == len(list(task.modules['discriminator'].parameters()))
    assert network['param_groups'][0]['lr'] == task.optimizers['network'].param_groups[0]['lr']
    assert [str(file) for file in tmp_path.rglob('.*')] == []


def test_official_checkpoint_goes_through_our_own_loader(task, tmp_path):
    task.export_official(tmp_path, step=12, epoch=2)
    network = expect_same_hands(task, tmp_path / 'hamer_ckpts')
    assert network.hand.name == 'default'
    weights = load_weights(HamerModelSettings(weights=str(tmp_path / 'hamer_ckpts')))
    discriminator = task.modules['discriminator'].state_dict()
    assert set(weights.discriminator) == set(discriminator)
    assert all(torch.equal(weights.discriminator[n], one) for n, one in discriminator.items())


def test_optimizer_counts_parameters_as_the_official_one():
    """Head first, then backbone, each in the order of the published checkpoint."""
    lines = (training_reference.DATA / 'hamer_full_state_dict.txt').read_text().splitlines()
    listed = [line.split()[0] for line in lines]
    published = [n for n in listed if n.startswith('mano_head.') and '.init_' not in n]
    published += [n for n in listed if n.startswith('backbone.')]
    with torch.device('meta'):
        parts = HamerParts(
            HamerSizes(
                backbone=BackboneSizes(width=1280, depth=32, num_heads=16, mlp_hidden=5120),
                decoder=DecoderSizes(
                    width=1024, depth=6, num_heads=8, head_width=64, mlp_hidden=1024,
                    context_width=1280,
                ),
            )
        )  # fmt: skip
    names = [f'mano_head.{name}' for name, _ in parts.mano_head.named_parameters()]
    names += [f'backbone.{name}' for name, _ in parts.backbone.named_parameters()]
    assert [published_name(name) for name in names] == published


def test_new_network_of_patches_has_the_published_names(tmp_path):
    weights = make_weights(
        HamerModelSettings.from_mapping({**hamer_training.SMALL, **PATCHES}), poses()
    )
    names = {published_name(name) for name in weights.parts.state_dict()}
    lines = (training_reference.DATA / 'hamer_full_state_dict.txt').read_text().splitlines()
    assert names <= {line.split()[0] for line in lines}


def test_new_network_starts_from_the_mean_of_the_real_poses():
    known = poses()
    weights = make_weights(HamerModelSettings.from_mapping(hamer_training.SMALL), known)
    weights.parts.eval()
    with torch.no_grad():
        _, betas, cam = weights.parts(torch.zeros(1, 3, 256, 256))
    # The readouts add a little to the mean: weights of 0.01 on a token of norm 10.
    np.testing.assert_allclose(betas[0].numpy(), known.betas.mean(0), atol=0.1)
    np.testing.assert_allclose(cam[0].numpy(), (7, 0, 0), atol=0.1)


def test_means_come_from_the_official_file_where_it_is_named(tmp_path):
    hamer_files.write_mean_params(tmp_path)
    model = HamerModelSettings.from_mapping(
        {**hamer_training.SMALL, 'mean_params': str(tmp_path / 'mano_mean_params.npz')}
    )
    head = make_weights(model, poses()).parts.mano_head
    wanted = hamer_files.network_tensors()['mano_head.init_hand_pose']
    assert torch.equal(head.init_hand_pose, wanted)


def test_backbone_of_vitpose_is_taken(tmp_path):
    source = make_weights(
        HamerModelSettings.from_mapping({**hamer_training.SMALL, **PATCHES}), poses()
    ).parts.backbone
    path = tmp_path / 'vitpose_backbone.pth'
    content = {f'backbone.{name}': one for name, one in source.state_dict().items()}
    torch.save({'state_dict': content | {'keypoint_head.bias': torch.zeros(3)}}, path)
    model = HamerModelSettings.from_mapping(
        {**hamer_training.SMALL, **PATCHES, 'backbone_weights': str(path)}
    )
    taken = make_weights(model, poses()).parts.backbone.state_dict()
    assert all(torch.equal(taken[name], one) for name, one in source.state_dict().items())


def test_backbone_of_other_size_is_refused_by_name(tmp_path):
    small = HamerModelSettings.from_mapping({**hamer_training.SMALL, **PATCHES})
    path = tmp_path / 'vitpose_backbone.pth'
    torch.save({'state_dict': make_weights(small, poses()).parts.backbone.state_dict()}, path)
    deeper = make_weights(
        HamerModelSettings.from_mapping({**hamer_training.SMALL, **PATCHES, 'depth': 2}), poses()
    )
    with pytest.raises(WeightsError, match=r'2 blocks of width 32: it lacks blocks\.1\.attn'):
        load_backbone(deeper.parts.backbone, path)


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'heads': 3}, ConfigError, 'model.heads must divide model.width'),
        ({'stem': '8 16'}, ConfigError, 'model.stem must be 4 multiples of 8'),
        ({'stem': 'resnet18'}, ConfigError, 'model.stem must be 4 multiples of 8'),
        ({'hand_model': 'mano'}, ConfigError, 'needs model.mano_dir'),
        ({'mean_params': 'gone.npz'}, WeightsError, 'gone.npz cannot be read'),
        ({'weights': 'gone'}, WeightsError, 'no HaMeR checkpoint found'),
    ],
)
def test_network_that_cannot_be_made_is_refused(changes, error, message):
    model = HamerModelSettings.from_mapping({**hamer_training.SMALL, **changes})
    with pytest.raises(error, match=re.escape(message)):
        load_weights(model) if model.weights else make_weights(model, poses())


def test_weights_of_htt_are_refused_by_what_they_are(tmp_path):
    path = tmp_path / 'htt.safetensors'
    write_export_file(path, {'x': torch.zeros(1)}, model='htt', metadata={})
    with pytest.raises(WeightsError, match='an export of htt, expected one of hamer'):
        load_weights(HamerModelSettings(weights=str(path)))


def test_export_for_an_unknown_hand_is_refused(task, tmp_path):
    path = tmp_path / 'hamer.safetensors'
    write_export_file(
        path, {'x': torch.zeros(1)}, model='hamer',
        metadata={'config': '{}', 'hand_model': 'octopus'},
    )  # fmt: skip
    with pytest.raises(WeightsError, match="for the hand model 'octopus', expected mano or def"):
        HamerNetwork.load(path, device='cpu')


def test_official_files_are_whole_or_not_there(task, tmp_path):
    (tmp_path / 'hamer_ckpts').write_text('a file in the place of the folder')
    with pytest.raises(WeightsError, match='cannot be written'):
        task.export_official(tmp_path, step=1, epoch=0)


def test_real_poses_are_read_from_the_official_file(tmp_path):
    path, known = tmp_path / 'freihand_mocap.npz', poses()
    whole = np.concatenate([np.ones((5, 3), np.float32), known.hand_pose], 1)
    np.savez(path, hand_pose=whole, betas=known.betas)
    found = read_pose_file(path)
    assert np.array_equal(found.hand_pose, known.hand_pose)
    assert np.array_equal(found.betas, known.betas)


def test_timm_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'timm', None)
    model = HamerModelSettings.from_mapping({**hamer_training.SMALL, 'stem': 'timm:resnet18'})
    with pytest.raises(MissingPackageError, match='install timm and a torchvision'):
        make_weights(model, poses())


@pytest.fixture
def timm():
    return pytest.importorskip('timm', reason='needs timm')


def test_network_of_timm_is_trained_and_loaded_again(timm, folder, tmp_path):
    task = hamer_training.small_task(folder, range(4), stem='timm:resnet10t')
    plain_backward(task, batch_of(task))
    task.optimizers['network'].step()
    path = tmp_path / 'hamer.safetensors'
    task.save(path, step=1)
    expect_same_hands(task, path)


def test_network_that_timm_does_not_know_is_refused(timm):
    with pytest.raises(ConfigError, match="timm cannot make 'resnet7q'"):
        timm_stem.TimmStem('resnet7q', 32)
