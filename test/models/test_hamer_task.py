"""HaMeR's training step through its task: official numbers, discriminator, parts of a batch."""

import dataclasses

import hamer_files
import hamer_training
import hand_trees
import numpy as np
import pytest
import torch
import training_reference
from hamer_training import PlainFabric, PlainModule, plain_backward

from hand_perception.cli.main import main
from hand_perception.datasets.hands import open_hands
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.models.hamer.head import rotations_from_readout
from hand_perception.training import hamer_task
from hand_perception.training.hamer_batches import HandCrops
from hand_perception.training.hamer_data import HamerData, SomeHands, open_data, parse_sources
from hand_perception.training.hamer_losses import HamerLossWeights, discriminator_loss
from hand_perception.training.hamer_picture import draw_hands
from hand_perception.training.hamer_samples import collate_samples
from hand_perception.training.hamer_settings import HamerModelSettings
from hand_perception.training.hamer_task import HamerRecipe, HamerTask
from hand_perception.training.hamer_validation import validate_hands
from hand_perception.training.hamer_weights import load_weights
from hand_perception.training.hand_statistics import HandPoses, hand_statistics
from hand_perception.training.settings import OptimizerSettings
from hand_perception.training.stochastic_depth import depth_factors
from hand_perception.training.task import Draw

RTOL = 2e-6  # float32 sums over hundreds of numbers
PUBLISHED = OptimizerSettings(kind='adamw', learning_rate=1e-5, weight_decay=1e-4)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return hamer_training.write_hands(tmp_path_factory.mktemp('hands'))


@pytest.fixture(scope='module')
def official_folder(tmp_path_factory):
    return hamer_files.write_flat(tmp_path_factory.mktemp('hamer'))


@pytest.fixture
def task(folder):
    return hamer_training.small_task(folder, range(4))


def batch_of(task, numbers, epoch=0):
    return collate_samples([task.data[Draw(epoch, number)] for number in numbers])


def official_batch(folder):
    """Truth of the official step, in a batch of other crops."""
    batch = batch_of(hamer_training.small_task(folder, range(3)), range(3))
    stored = training_reference.stored('hamer')
    crops = dataclasses.replace(batch.crops, targets=training_reference.hamer_targets(stored))
    real = torch.from_numpy(stored['target/mocap/hand_pose'])
    betas = torch.from_numpy(stored['target/mocap/betas'])
    return dataclasses.replace(batch, crops=crops, real_pose=real, real_betas=betas)


def official_task(official_folder, folder, losses):
    hands = open_hands('synthetic', folder, 'train')
    statistics = hand_statistics(hands, limit=10)
    data = HamerData(
        crops=HandCrops(hands), poses=statistics.poses, mean_joints=None, held_out=None,
        mean_orientation=statistics.mean_orientation, words='test', seed=0,
    )  # fmt: skip
    weights = load_weights(HamerModelSettings(weights=str(official_folder)))
    recipe = HamerRecipe(losses=losses, betas_prior=False, optimizer=PUBLISHED)
    return HamerTask(weights, data, recipe)


def test_step_of_the_task_is_the_official_one(monkeypatch, official_folder, folder):
    """From the token that the decoder ends with; what the discriminator sends was recorded."""
    stored = training_reference.stored('hamer')
    task = official_task(official_folder, folder, HamerLossWeights(adversarial=1.0))

    def recorded(discriminator, made):
        sent = zip(made, ('rotations', 'betas'), strict=True)
        return sum(
            (part * torch.from_numpy(stored[f'adversarial/{name}'])).sum() for part, name in sent
        )

    monkeypatch.setattr(hamer_task, '_judged', recorded)
    monkeypatch.setattr(hamer_task, 'generator_loss', lambda judged: judged)
    head = task.modules['network'].mano_head
    token = torch.from_numpy(stored['tokens'])[:, 0]

    def from_token(images, factors):
        assert factors is None and images.shape == (3, 3, 256, 256)
        six = head.decpose(token) + head.init_hand_pose
        return (
            rotations_from_readout(six),
            head.decshape(token) + head.init_betas,
            head.deccam(token) + head.init_cam,
        )

    modules = {name: PlainModule(module) for name, module in task.modules.items()}
    modules['network'] = from_token
    losses = task.backward(PlainFabric(), modules, official_batch(folder), share=1.0)
    for name in training_reference.HAMER_TERMS:
        assert losses[name].item() == pytest.approx(float(stored[f'train/loss_{name}']), rel=RTOL)
    before = {name: one.detach().clone() for name, one in head.named_parameters()}
    for name in ('decpose.bias', 'decshape.weight', 'deccam.bias'):
        gradient = stored[f'train/grad/mano_head.{name}']
        found = head.get_parameter(name).grad.numpy()
        # Float32 through 778 vertices and rotations from nearly parallel columns.
        np.testing.assert_allclose(found, gradient, rtol=0, atol=5e-5 * np.abs(gradient).max())
    task.optimizers['network'].step()
    for name in ('decpose.bias', 'decshape.weight', 'deccam.bias'):
        moved = (head.get_parameter(name) - before[name]).detach().numpy()
        # A step is about 1e-5 for each number; weights of about 1 are known to 6e-8.
        delta = stored[f'train/delta/mano_head.{name}']
        np.testing.assert_allclose(moved, delta, rtol=0, atol=2e-7)


def test_discriminator_learns_from_its_own_loss_alone(task):
    batch = batch_of(task, range(4))
    plain_backward(task, batch)
    discriminator = task.modules['discriminator']
    found = {name: one.grad.clone() for name, one in discriminator.named_parameters()}
    discriminator.zero_grad()
    rotations, betas, _ = task.modules['network'](batch.crops.images)
    real = hamer_task.rotation_from_axis_angle(batch.real_pose.view(-1, 15, 3))
    loss = discriminator_loss(
        discriminator(rotations[:, 1:].detach(), betas.detach()),
        discriminator(real, batch.real_betas),
    )
    (HamerLossWeights().adversarial * loss).backward()
    for name, one in discriminator.named_parameters():
        torch.testing.assert_close(found[name], one.grad, rtol=1e-4, atol=1e-9)


def test_what_the_discriminator_says_reaches_the_network(folder):
    """Without all other losses its gradient is left."""
    losses = HamerLossWeights(
        keypoints_2d=0, keypoints_3d=0, global_orient=0, hand_pose=0, betas=0, adversarial=1.0
    )
    task = hamer_training.small_task(folder, range(4), recipe=HamerRecipe(losses=losses))
    plain_backward(task, batch_of(task, range(4)))
    network = task.modules['network']
    assert network.mano_head.decpose.weight.grad.abs().max() > 0
    assert network.mano_head.deccam.weight.grad.abs().max() == 0  # it does not see the camera


def test_two_parts_of_a_step_give_the_mean_of_their_gradients(task):
    """As of several devices with as many samples each."""
    parts = [batch_of(task, (0, 1)), batch_of(task, (2, 3))]
    alone = []
    for part in parts:
        plain_backward(task, part)
        alone.append({n: one.grad for n, one in gradients(task)})
        forget(task)
    for part in parts:
        plain_backward(task, part, share=0.5)
    for name, one in gradients(task):
        mean = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(one.grad, mean, rtol=1e-4, atol=1e-5 * float(mean.abs().max()))


def gradients(task):
    return [
        (f'{kind}.{name}', one)
        for kind, module in task.modules.items()
        for name, one in module.named_parameters()
    ]


def forget(task):
    for module in task.modules.values():
        module.zero_grad()


def test_unknown_shape_is_asked_for_the_mean_shape(folder):
    for prior, wanted in ((True, True), (False, False)):
        recipe = HamerRecipe(betas_prior=prior)
        task = hamer_training.small_task(folder, range(2), recipe=recipe)
        batch = batch_of(task, range(2))
        targets = dataclasses.replace(
            batch.crops.targets, betas=torch.zeros(2, 10), has_betas=torch.zeros(2)
        )
        batch = dataclasses.replace(
            batch, crops=dataclasses.replace(batch.crops, targets=targets)
        )  # fmt: skip
        assert (plain_backward(task, batch)['betas'].item() > 0) is wanted


def test_sample_follows_from_its_draw_alone(task):
    first, again, later = (task.data[draw] for draw in (Draw(0, 1), Draw(0, 1), Draw(1, 1)))
    for name in ('uniforms', 'real_pose', 'real_betas'):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.uniforms, later.uniforms)
    assert first.real_pose.shape == (2, 45)  # real hands weigh double, as published


def test_blocks_are_left_out_more_often_the_deeper_they_are():
    rate, depth, count = 0.55, 5, 4000
    uniforms = torch.from_numpy(
        np.random.default_rng(1).random((depth, 2, count), np.float32)
    )  # fmt: skip
    factors = depth_factors(uniforms, rate=rate)
    shares = (factors == 0).float().mean((1, 2))
    wanted = torch.linspace(0, rate, depth)
    assert shares[0] == 0
    torch.testing.assert_close(shares, wanted, rtol=0, atol=0.02)  # 8000 draws: 4 sigma
    torch.testing.assert_close(factors.mean((1, 2)), torch.ones(depth), rtol=0, atol=0.05)


def test_block_that_is_left_out_changes_nothing(folder):
    task = hamer_training.small_task(folder, range(1), depth=2)
    backbone = task.modules['network'].backbone
    images = batch_of(task, (0, 0)).crops.images
    none = torch.zeros(2, 2, 2)
    with torch.no_grad():
        torch.testing.assert_close(
            backbone(images, none), backbone.last_norm(backbone.embed(images))
        )
        assert torch.equal(backbone(images, torch.ones(2, 2, 2)), backbone(images))
        one = none.clone()
        one[:, :, 1] = 1  # the second crop goes through all blocks
        both = backbone(images, one)
        torch.testing.assert_close(both[1], backbone(images)[1])
    assert not torch.equal(both[0], both[1])


def test_stochastic_depth_is_drawn_in_training_only(folder):
    recipe = HamerRecipe(stochastic_depth=0.5)
    task = hamer_training.small_task(folder, range(2), recipe=recipe, depth=2)
    with torch.no_grad():
        validated = [
            task.validate(task.modules, torch.device('cpu')).figures['mpjpe_mm'] for _ in range(2)
        ]
    assert validated[0] == validated[1]
    losses = [plain_backward(task, batch_of(task, (0, 1), epoch))['total'] for epoch in range(8)]
    assert len({float(loss) for loss in losses}) > 1


def test_held_out_hands_are_compared_with_the_mean_pose(folder):
    task = hamer_training.small_task(folder, range(4))
    held_out = task._held_out.held_out
    with torch.no_grad():
        figures = task.validate(task.modules, torch.device('cpu')).figures
    truth = [held_out[Draw(0, number)].keypoints_3d[:, :3] for number in range(4)]
    apart = [one - one[0] - task._held_out.mean_joints for one in truth]
    mean_mm = 1000 * np.linalg.norm(apart, axis=-1).mean()
    assert figures['mean_pose_mm'] == pytest.approx(mean_mm, rel=1e-5)
    assert figures['times_better'] == pytest.approx(mean_mm / figures['mpjpe_mm'], rel=1e-5)


def test_true_hands_have_no_error(folder):
    hands = open_hands('synthetic', folder, 'train')
    crops = HandCrops(SomeHands(hands, [0, 3]))
    targets = collate_samples_of(crops)
    found = type('Found', (), {
        'keypoints': targets.keypoints_3d[..., :3] + 1.0,  # a shift does not count
        'pred_keypoints_2d': targets.keypoints_2d[..., :2],
    })  # fmt: skip
    figures = validate_hands(lambda images: found, crops, device=torch.device('cpu')).figures
    assert figures == pytest.approx(
        {'mpjpe_mm': 0, 'pa_mpjpe_mm': 0, 'keypoints_2d_px': 0}, abs=1e-3
    )  # mm and px, float32 a metre from the origin


def collate_samples_of(crops):
    from hand_perception.training.hamer_batches import collate_crops

    return collate_crops([crops[Draw(0, number)] for number in range(len(crops))]).targets


def test_picture_shows_truth_and_prediction(task):
    batch = batch_of(task, range(4))
    picture = task.picture(task.modules, batch)
    assert picture.shape == (512, 512, 3) and picture.dtype == np.uint8
    crops = batch.crops.crops.numpy()
    plain = np.concatenate([np.concatenate(crops[:2], 1), np.concatenate(crops[2:], 1)])
    truth = draw_hands(batch.crops, batch.crops.targets.keypoints_2d[..., :2])
    x, y = ((batch.crops.targets.keypoints_2d[0, 0, :2] + 0.5) * 256).round().int().tolist()
    assert np.abs(truth[y, x].astype(int) - plain[y, x]).max() > 40  # the wrist is drawn over
    assert 0.001 < (truth != plain).any(-1).mean() < 0.2


def test_step_with_gradients_of_all_parameters(task):
    plain_backward(task, batch_of(task, range(4)))
    without = [
        name
        for name, one in gradients(task)
        # Attention over one token does not depend on query and key, nor a zero on its factor.
        if (one.grad is None or not one.grad.any()) and 'to_token_embedding.weight' not in name
    ]
    assert without == []


@pytest.mark.parametrize(
    ('text', 'wanted'),
    [
        ('synthetic:/a/b', [('synthetic', '/a/b', 1.0)]),
        (
            'freihand:/f=0.25, ho3d:/h=0.05',
            [('freihand', '/f', 0.25), ('ho3d', '/h', 0.05)],
        ),
        ('synthetic:/a=b/c', [('synthetic', '/a=b/c', 1.0)]),
    ],
)
def test_data_are_named_by_kind_folder_and_weight(text, wanted):
    assert [tuple(source) for source in parse_sources(text, setting='data.train')] == wanted


@pytest.mark.parametrize('text', ['', 'freihand', 'frei:/a', 'freihand:', 'freihand:/f=-1'])
def test_data_that_are_not_named_so_are_refused(text):
    with pytest.raises(ConfigError, match=r'data\.train'):
        parse_sources(text, setting='data.train')


def test_adversarial_training_without_real_poses_is_refused(folder, monkeypatch):
    sections = hamer_training.small_sections(folder)
    nothing = HandPoses(
        hand_pose=np.empty((0, 45), np.float32), betas=np.empty((0, 10), np.float32)
    )
    monkeypatch.setattr(
        'hand_perception.training.hamer_data._real_poses', lambda *arguments: nothing
    )
    with pytest.raises(ConfigError, match=r'set data\.real_poses, or losses\.adversarial=0'):
        hamer_task.make_task(sections)


def mano_sections(folder, train, **changes):
    """Of a network that poses MANO, played by a small file."""
    model = {'hand_model': 'mano', 'mano_dir': str(hand_trees.write_mano(folder / 'mano'))}
    return hamer_training.small_sections(
        folder, model=model, data={'train': train, 'validation': '', **changes}
    )


def opened(sections, hand_model, mano_dir=''):
    return open_data(
        sections.data, sections.augmentation, seed=0, hand_model=hand_model, mano_dir=mano_dir
    )


def test_parameters_of_another_hand_model_are_not_learned(folder, tmp_path, caplog):
    shards = tmp_path / 'shards'
    words = ['data', 'make-shards', 'synthetic', str(folder), 'train', str(shards)]
    assert main([*words, '--processes', '1']) == 0
    again = tmp_path / 'again'
    words = ['data', 'make-shards', 'shards', str(shards), 'train', str(again)]
    assert main([*words, '--processes', '1']) == 0
    for source in (f'synthetic:{folder}', f'shards:{shards}', f'shards:{again}'):
        sections = hamer_training.small_sections(
            folder, data={'train': source, 'validation': ''}
        )  # fmt: skip
        caplog.clear()
        own = opened(sections, 'default')
        assert not caplog.records
        other = opened(sections, 'mano')
        assert len(caplog.records) == 1 and source in caplog.text
        wanted, found = own.crops[Draw(0, 0)], other.crops[Draw(0, 0)]
        assert (wanted.has_pose, wanted.has_betas) == (1, 1)
        assert (found.has_pose, found.has_betas) == (0, 0)
        assert not any(array.any() for array in (found.global_orient, found.hand_pose))
        np.testing.assert_array_equal(wanted.keypoints_3d, found.keypoints_3d)
        assert len(own.poses) and not len(other.poses)
        np.testing.assert_array_equal(own.mean_joints, other.mean_joints)


def test_parameters_of_mano_are_not_learned_by_the_default_hand(tmp_path, caplog):
    tree = hand_trees.freihand(tmp_path / 'data')
    sections = mano_sections(tmp_path, f'freihand:{tree}')
    mano_dir = sections.model.mano_dir
    assert opened(sections, 'mano', mano_dir).crops[Draw(0, 0)].has_pose == 1
    assert not caplog.records
    crop = opened(sections, 'default', mano_dir).crops[Draw(0, 0)]
    assert (crop.has_pose, crop.has_betas) == (0, 0)
    assert 'only their keypoints are learned' in caplog.text


def test_real_poses_of_another_hand_model_are_refused(folder, tmp_path):
    sections = mano_sections(tmp_path, f'synthetic:{folder}')
    with pytest.raises(ConfigError, match=r'set model\.hand_model=default for a new network'):
        hamer_task.make_task(sections)
    sections = mano_sections(
        tmp_path, f'synthetic:{folder}', real_poses=f'synthetic:{folder}'
    )  # fmt: skip
    with pytest.raises(ConfigError, match='poses of the hand model default, and the network'):
        opened(sections, 'mano')
    sections = mano_sections(tmp_path, f'synthetic:{folder}', real_poses='mocap.npz')
    with pytest.raises(ConfigError, match=r'mocap\.npz has poses of MANO'):
        opened(sections, 'default')


def test_freihand_without_manos_file_is_told_to_name_it(tmp_path):
    tree = hand_trees.freihand(tmp_path / 'data')
    sections = mano_sections(tmp_path, f'freihand:{tree}')
    sections = dataclasses.replace(
        sections, model=dataclasses.replace(sections.model, mano_dir='')
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r'has none: set model\.mano_dir .*; or set data\.real'):
        hamer_task.make_task(sections)


@pytest.mark.parametrize('name', ['validation', 'real_poses'])
def test_second_source_where_there_is_one_is_refused(folder, name):
    two = f'synthetic:{folder}, synthetic:{folder}'
    sections = hamer_training.small_sections(folder, data={name: two})
    with pytest.raises(ConfigError, match=rf'data\.{name} takes one KIND:FOLDER, got 2'):
        opened(sections, 'default')


def test_held_out_hands_without_joints_are_refused(folder):
    class Unknown(HandCrops):
        def __getitem__(self, draw):
            crop = super().__getitem__(draw)
            return dataclasses.replace(crop, keypoints_3d=crop.keypoints_3d * [1, 1, 1, 0])

    hands = open_hands('synthetic', folder, 'train')
    task = hamer_training.small_task(folder, range(1))
    with torch.no_grad(), pytest.raises(DatasetError, match='no held-out hand has joints in 3D'):
        validate_hands(task._reconstruct(task.modules), Unknown(hands), device=torch.device('cpu'))


def test_plain_stand_ins_are_enough():
    assert PlainModule(torch.nn.Identity())(3) == 3
    assert PlainFabric().backward(torch.ones((), requires_grad=True)) is None
