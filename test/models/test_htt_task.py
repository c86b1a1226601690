"""HTT as a task: its step is the official one; weights go to the node and official program."""

import dataclasses
import pickle

import htt_reference
import htt_training
import numpy as np
import pytest
import torch
import training_reference

from hand_perception.errors import ConfigError, DatasetError, WeightsError
from hand_perception.labels import load_label_map
from hand_perception.models.htt.checkpoint import read_checkpoint
from hand_perception.models.htt.module import run_clips
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.weight_files import load_module
from hand_perception.training.htt_batches import HttBatch
from hand_perception.training.htt_losses import htt_losses
from hand_perception.training.htt_network import TrainableHtt, as_output, start_module
from hand_perception.training.htt_places import places, places_loss
from hand_perception.training.htt_settings import HttModelSettings, HttSections
from hand_perception.training.htt_task import MODULE, HttTask, make_task
from hand_perception.training.task import Draw
from hand_perception.training.training_file import read_training_file

WINDOW, POSE_WINDOW = htt_reference.WINDOW, htt_reference.POSE_WINDOW


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return htt_training.write_synthetic(tmp_path_factory.mktemp('synthetic'))


def official_batch(name):
    """The 96 frames of the official step."""
    inputs = htt_reference.inputs(name)
    return HttBatch(
        images=torch.from_numpy(inputs.images), targets=training_reference.htt_targets(name),
        window=WINDOW, segments=('a', 'b', 'c'),
    )  # fmt: skip


def official_task(name, **model):
    """A task as the recipe of a data set has it, with the weights of the official results."""
    module = htt_reference.module(name).requires_grad_(True)
    network = TrainableHtt(module, window=WINDOW, pose_window=POSE_WINDOW, **model)
    settings = HttSections()  # the defaults are the publication's
    return HttTask(settings, network, [], labels=load_label_map(name))


def step(task, batch):
    losses = task.backward(htt_training.PlainFabric(), task.modules, batch, share=1.0)
    return {name: float(value) for name, value in losses.items()}


def test_two_steps_through_the_task_are_the_official_ones():
    # In pieces, which changes nothing but the memory: all at once takes 4 GB.
    task, batch = official_task('fpha', images_at_once=4), official_batch('fpha')
    official = training_reference.stored('htt')
    network = task.modules[MODULE]
    with htt_training.one_thread():
        first = step(task, batch)
        norms = {
            name: float(p.grad.double().norm())
            for name, p in network.module.named_parameters()
            if p.grad is not None
        }
        task.optimizers[MODULE].step()
        with torch.no_grad():
            second = htt_losses(as_output(network(batch.images, batch.not_padding)), batch.targets)
    wanted = dict(
        zip(official['gradient_names'].tolist(), official['gradient_norms'], strict=True)
    )
    assert norms.keys() == wanted.keys()
    for name, norm in wanted.items():
        # Rectifiers change at zero, where the rounding of 52 images in the backbone decides:
        # 1.5e-4 with channels last in memory, as here, 1.2e-3 with planes.
        assert norms[name] == pytest.approx(float(norm), rel=1e-3), name
    terms = [training_reference.HTT_TERMS[term] for term in official['step_terms'].tolist()]
    for name, *values in zip(terms, *official['step_losses'].tolist(), strict=True):
        assert first[name] == pytest.approx(values[0], rel=5e-6), name
        # Adam's first step is the sign of each gradient, which rounding decides near zero.
        assert getattr(second, name).item() == pytest.approx(values[1], rel=3e-4), name


def test_images_that_fill_up_do_not_pass_the_backbone(monkeypatch):
    task, batch = official_task('fpha'), official_batch('fpha')
    sizes = []
    backbone = task.modules[MODULE].module.meshregnet.base_net
    cells = backbone.cells

    def counted(images):
        sizes.append(len(images))
        return cells(images)

    monkeypatch.setattr(backbone, 'cells', counted)
    kept = torch.arange(64, 96)  # the third clip, of which one image counts
    with torch.no_grad():
        answers = task.modules[MODULE](batch.images[kept], batch.not_padding[kept])
    assert sizes == [htt_reference.VALID[2]]
    wanted = htt_reference.results('fpha')['action_logits'][2]
    np.testing.assert_allclose(answers[2][0].numpy(), wanted, atol=1e-4)


def test_saved_weights_are_what_the_node_loads(root, tmp_path):
    task = make_task(htt_training.sections(root))
    path = tmp_path / 'last.safetensors'
    task.save(path, step=7)
    loaded = load_module(path)
    assert loaded.labels == task.labels
    assert loaded.notes['step'] == '7'
    assert loaded.notes['trained_on'] == 'synthetic'
    assert (loaded.options.window, loaded.options.pose_window, loaded.options.spacing) == (4, 2, 1)
    mine = task.modules[MODULE].module.state_dict()
    for name, tensor in loaded.module.state_dict().items():
        assert torch.equal(tensor, mine[name]), name
    clip = task.data.clips[0]
    images, mask = torch.from_numpy(clip.images), torch.from_numpy(clip.not_padding)
    network = HttNetwork.from_module(loaded.module, device=torch.device('cpu'), precision='fp32')
    ready = network.clip(images, mask, window=4, pose_window=2)
    with torch.no_grad():
        answers = task.modules[MODULE].eval()(images, mask)
    np.testing.assert_allclose(ready.hand_raw.numpy(), answers[0].numpy(), atol=1e-4)
    np.testing.assert_allclose(ready.action_logits.numpy(), answers[2].numpy(), atol=1e-4)


@pytest.mark.parametrize(('rate_hz', 'spacing'), [(30.0, 6), (15.0, 12), (60.0, 3)])
def test_spacing_in_the_file_counts_images_of_30_hz(root, tmp_path, rate_hz, spacing):
    settings = htt_training.sections(root, data={'spacing': 6})
    network = TrainableHtt(small(), window=4, pose_window=2)
    labels = make_task(settings).labels
    task = HttTask(settings, network, [], labels=labels, rate_hz=rate_hz)
    task.save(tmp_path / 'a.safetensors', step=1)
    assert load_module(tmp_path / 'a.safetensors').options.spacing == spacing


def test_export_is_read_as_an_official_checkpoint(root, tmp_path):
    task = make_task(htt_training.sections(root, optimizer={'schedule': 'step'}))
    step(task, task.collate([task.data[Draw(0, n)] for n in range(2)]))
    task.optimizers[MODULE].step()
    paths = task.export_official(tmp_path / 'official', step=1, epoch=15)
    assert [path.name for path in paths] == ['checkpoint.pth', 'opt.pkl']
    mine = task.modules[MODULE].module.state_dict()
    content = torch.load(paths[0], weights_only=False)  # as the official program does
    assert set(content) == {'epoch', 'network', 'state_dict', 'optimizer', 'scheduler'}
    assert (content['epoch'], content['network']) == (15, 'HTT')
    assert list(content['state_dict']) == list(mine)
    assert all(torch.equal(content['state_dict'][name], mine[name]) for name in mine)
    scheduler = content['scheduler']
    assert (scheduler.step_size, scheduler.gamma, scheduler.last_epoch) == (15, 0.5, 15)
    assert content['optimizer']['param_groups'][0]['lr'] == pytest.approx(5e-4)  # half of it
    adam = torch.optim.Adam([torch.nn.Parameter(p.clone()) for p in task_parameters(task)])
    adam.load_state_dict(content['optimizer'])
    moments = [entry['exp_avg'] for entry in adam.state.values()]
    live = task.optimizers[MODULE].state_dict()['state'].values()
    assert len(moments) == len(live) > 0
    for found, entry in zip(moments, live, strict=True):
        assert torch.equal(found, entry['exp_avg'])
    # And as this package reads official files, with the arguments beside it.
    checkpoint = read_checkpoint(tmp_path / 'official')
    assert (checkpoint.options.window, checkpoint.options.dataset) == (4, 'h2o')
    loaded = load_module(paths[0])
    assert all(torch.equal(t, mine[n]) for n, t in loaded.module.state_dict().items())
    assert pickle.loads(paths[1].read_bytes())['ntokens_pose'] == 2  # noqa: S301 - just written


def task_parameters(task):
    return [p.detach() for p in task.modules[MODULE].parameters()]


def test_export_leaves_the_training_as_it_was(root, tmp_path):
    task = make_task(htt_training.sections(root))
    optimizer = task.optimizers[MODULE]
    before = {key: value for key, value in optimizer.param_groups[0].items() if key != 'params'}
    task.export_official(tmp_path, step=0, epoch=0)
    after = {key: value for key, value in optimizer.param_groups[0].items() if key != 'params'}
    assert after == before
    assert 'step' not in vars(optimizer)  # which a scheduler would have wrapped


def test_validation_tells_the_mean_pose_beside_the_network(root):
    task = make_task(htt_training.sections(root, data={'validation_split': 'val'}))
    network = task.modules[MODULE].eval()
    told = task.validate({MODULE: network}, torch.device('cpu'))
    assert told.watched == 'mepe_mm'
    assert told.figures.keys() == {
        'mepe_mm', 'mepe_ra_mm', 'action_accuracy', 'object_accuracy', 'mean_pose_mepe_mm',
        'mean_pose_mepe_ra_mm',
    }  # fmt: skip
    assert told.figures['object_accuracy'] == 1  # there is one
    assert 20 < told.figures['mean_pose_mepe_mm'] < 300


def test_network_that_begins_with_the_mean_pose_errs_as_it_does(root):
    given = {'data': {'validation_split': 'val'}}
    mean = make_task(htt_training.sections(root, model={'mean_pose': True}, **given))
    last = mean.modules[MODULE].module.image_to_hand_pose.mlp[-1]
    with torch.no_grad():
        last.weight.zero_()
    figures = mean.validate({}, torch.device('cpu')).figures
    assert figures['mepe_mm'] == pytest.approx(figures['mean_pose_mepe_mm'], abs=0.05)  # mm


def test_mean_pose_is_not_read_where_nothing_needs_it(root, monkeypatch):
    def read(*_):
        raise AssertionError('read')

    monkeypatch.setattr('hand_perception.training.htt_data.mean_pose', read)
    make_task(htt_training.sections(root))
    for group in ({'model': {'mean_pose': True}}, {'data': {'validation_split': 'val'}}):
        with pytest.raises(AssertionError, match='read'):
            make_task(htt_training.sections(root, **group))


def test_mean_pose_of_a_hand_that_is_annotated_nowhere_is_refused(root, monkeypatch):
    monkeypatch.setattr(
        'hand_perception.training.htt_data.mean_pose', lambda truths: np.full((42, 3), np.nan)
    )
    with pytest.raises(DatasetError, match='has a hand that is annotated nowhere'):
        make_task(htt_training.sections(root, model={'mean_pose': True}))


def test_variant_without_official_layout_is_refused_for_export(root):
    make_task(htt_training.sections(root)).check_export()
    task = make_task(htt_training.sections(root, model={'positions': 'relative'}))
    with pytest.raises(WeightsError, match='leave out --export'):
        task.check_export()


def test_gradient_of_the_action_token_lies_as_processes_that_train_together_want(root):
    task = make_task(htt_training.sections(root))
    task.backward(
        htt_training.PlainFabric(), task.modules, task.collate([task.data[Draw(0, 0)]]), share=1.0
    )
    token = task.modules[MODULE].module.action_token
    assert token.grad.stride() == token.stride()


def test_picture_shows_images_of_the_first_clip(root):
    task = make_task(htt_training.sections(root))
    batch = task.collate([task.data[Draw(0, n)] for n in range(2)])
    picture = task.picture({}, batch)
    assert picture.shape == (540, 960, 3)
    tile = picture[:270, :480]
    changed = (tile != batch.images[0].numpy()).any(-1)
    assert 100 < changed.sum() < 20_000  # lines and dots, not the whole image


@pytest.mark.parametrize(
    ('model', 'match'),
    [
        ({'width': 60}, 'model.width must be a multiple of 8'),
        ({'weights': 'a', 'backbone': 'b'}, 'give model.weights or model.backbone'),
        ({'freeze': 'backbone'}, 'which would stay random: give model.backbone or model.weights'),
        ({'weights': 'a', 'mean_pose': True}, 'model.mean_pose is for networks that start anew'),
        ({'batch_norm': 'learned', 'images_at_once': 2}, 'images_at_once to 0|set it to 0'),
        ({'lookahead': 1}, 'lookahead is for pose_windows sliding'),
        ({'pose_windows': 'sliding', 'lookahead': 2}, 'must be below data.pose_window'),
    ],
)
def test_settings_that_contradict_each_other_are_refused(model, match):
    with pytest.raises(ConfigError, match=match):
        start_module(
            HttModelSettings(**model), num_joints=21, num_objects=1, num_actions=1, window=4,
            pose_window=2,
        )  # fmt: skip


def test_run_without_a_folder_is_told_what_to_give():
    with pytest.raises(ConfigError, match=r'data.root is empty: give the folder of h2o with'):
        make_task(HttSections())


def small(**changes):
    counts = {'num_joints': 42, 'num_objects': 1, 'num_actions': 7, 'window': 4, 'pose_window': 2}
    model = HttModelSettings(**{**htt_training.MODEL, **changes})
    return start_module(model, **counts)


def test_run_goes_on_from_weights_and_draws_heads_of_other_classes_anew(root, tmp_path, caplog):
    path = tmp_path / 'first.safetensors'
    task = make_task(htt_training.sections(root))
    task.save(path, step=1)
    counts = {'num_joints': 42, 'num_objects': 3, 'num_actions': 5, 'window': 4, 'pose_window': 2}
    model = HttModelSettings(**{**htt_training.MODEL, 'weights': str(path)})
    module = start_module(model, **counts)
    first = task.modules[MODULE].module.state_dict()
    differing = {
        name.split('.')[0]
        for name, tensor in module.state_dict().items()
        if tensor.shape != first[name].shape or not torch.equal(tensor, first[name])
    }
    assert differing == {
        'obj_classification', 'olabel_to_action_input', 'action_classification'
    }  # fmt: skip
    assert 'has 7 actions and 1 objects, the data set 5 and 3' in caplog.text
    with pytest.raises(ConfigError, match='is of another network than this run'):
        start_module(model, **{**counts, 'num_joints': 21})


def write_imagenet(path, *, width=64, is_old=True):
    """A ResNet-18 as torchvision publishes it: old ones have no counters of batches."""
    backbone = small(width=width).meshregnet.base_net
    state = {n: t for n, t in backbone.state_dict().items() if 'num_batches' not in n}
    torch.save(state, path, _use_new_zipfile_serialization=not is_old)
    return path, state


@pytest.mark.parametrize('is_old', [True, False])
def test_backbone_starts_from_a_file_of_imagenet(tmp_path, is_old):
    path, state = write_imagenet(tmp_path / 'resnet18.pth', is_old=is_old)
    found = small(backbone=str(path)).meshregnet.base_net.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_backbone_of_another_kind_is_refused(tmp_path):
    path, state = write_imagenet(tmp_path / 'resnet18.pth', width=128)
    with pytest.raises(WeightsError, match=r'conv1.weight has shape .* model.width must be 512'):
        small(backbone=str(path))
    del state['layer4.1.bn2.bias']
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r'lacks layer4\.1\.bn2\.bias; download'):
        small(backbone=str(path))
    path.write_bytes(b'nothing')
    with pytest.raises(WeightsError, match=r'is not a file of weights'):
        small(backbone=str(path))
    with pytest.raises(WeightsError, match=r'does not exist; download https'):
        small(backbone=str(tmp_path / 'none.pth'))


def test_backbone_is_taken_from_weights_of_htt(root, tmp_path):
    path = tmp_path / 'first.safetensors'
    task = make_task(htt_training.sections(root))
    task.save(path, step=1)
    first, found = task.modules[MODULE].module, small(backbone=str(path))
    for name, tensor in found.meshregnet.base_net.state_dict().items():
        assert torch.equal(tensor, first.meshregnet.base_net.state_dict()[name]), name
    assert not torch.equal(found.action_token, first.action_token)
    width = htt_training.MODEL['width']
    with pytest.raises(ConfigError, match=f'has width {width} and model.width is {2 * width}'):
        small(backbone=str(path), width=2 * width)


@pytest.mark.parametrize('width', [64, 128])  # in planes; with channels last
def test_order_of_images_in_memory_changes_nothing(width):
    torch.manual_seed(0)
    module = small(width=width)
    network = TrainableHtt(module, window=2, pose_window=2)
    images = torch.randint(0, 256, (2, 270, 480, 3), dtype=torch.uint8)
    raw, _, _, _ = network(images, torch.ones(2))
    planes = images.permute(0, 3, 1, 2).contiguous().float() / 255 - 0.5
    wanted = run_clips(module, module.features(planes), torch.ones(2), window=2, pose_window=2)
    torch.testing.assert_close(raw, wanted.hand_raw, rtol=1e-4, atol=1e-4)
    gradients = []
    for output in (raw, wanted.hand_raw):
        module.zero_grad()
        output.square().sum().backward()
        gradients.append(module.meshregnet.base_net.conv1.weight.grad.clone())
    largest = float(gradients[0].abs().max())
    assert largest > 0
    # Rectifiers change at zero, where rounding decides.
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=0.02 * largest)


def test_joints_keep_32_bits_whatever_the_precision_of_the_backbone(monkeypatch):
    module = small(width=128)
    network = TrainableHtt(module, window=2, pose_window=2, has_places=True)
    images = torch.randint(0, 256, (2, 270, 480, 3), dtype=torch.uint8)
    cells = []
    backbone = module.meshregnet.base_net
    forward = backbone.cells
    monkeypatch.setattr(backbone, 'cells', lambda x: cells.append(forward(x)) or cells[-1])
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        raw, _, _, found = network(images, torch.ones(2))
    assert cells[0].dtype == torch.bfloat16
    with torch.no_grad():
        features = cells[0].float().mean((2, 3))
        wanted = run_clips(module, features, torch.ones(2), window=2, pose_window=2).hand_raw
    assert torch.equal(raw, wanted) and found.dtype == torch.float32


def test_statistics_of_batch_normalisation_learn_only_where_they_are_told_to():
    images = torch.rand(3, 3, 270, 480) - 0.5
    for batch_norm, learns in (('learned', True), ('stored', False)):
        module = small(batch_norm=batch_norm)
        norm = module.meshregnet.base_net.bn1
        before = norm.running_mean.clone()
        module.features(images)
        assert (not torch.equal(norm.running_mean, before)) is learns
        after = norm.running_mean.clone()
        with torch.no_grad():
            module.eval().features(images)
        assert torch.equal(norm.running_mean, after)


def test_frozen_backbone_gets_no_gradient(root, tmp_path):
    path = tmp_path / 'first.safetensors'
    make_task(htt_training.sections(root)).save(path, step=1)
    model = {'freeze': 'backbone', 'backbone': str(path)}
    task = make_task(htt_training.sections(root, model=model))
    step(task, task.collate([task.data[Draw(0, n)] for n in range(2)]))
    with_gradient = {
        name.split('.')[1]
        for name, p in task.modules[MODULE].named_parameters()
        if p.grad is not None
    }
    assert 'meshregnet' not in with_gradient
    assert 'transformer_pose' in with_gradient


def test_places_are_learned_along_and_dropped_from_what_is_saved(root, tmp_path):
    task = make_task(htt_training.sections(root, losses={'places': 10.0}))
    batch = task.collate([task.data[Draw(0, n)] for n in range(2)])
    losses = step(task, batch)
    assert losses['total'] > 10 * losses['places'] > 0
    assert task.modules[MODULE].places.linear.weight.grad.any()
    names = set(task.modules[MODULE].module.state_dict())
    task.save(tmp_path / 'a.safetensors', step=1)
    assert set(load_module(tmp_path / 'a.safetensors').module.state_dict()) == names
    assert 'places' not in step(make_task(htt_training.sections(root)), batch)


def test_heads_wait_while_places_come_first(root):
    task = make_task(htt_training.sections(root, losses={'places': 10.0, 'places_first': 2}))
    batch = task.collate([task.data[Draw(0, n)] for n in range(2)])
    optimizer, module = task.optimizers[MODULE], task.modules[MODULE].module
    head, stem = module.image_to_hand_pose.mlp[-1].weight, module.meshregnet.base_net.conv1.weight
    moved = []
    for _ in range(3):
        before = [p.detach().clone() for p in (head, stem)]
        step(task, batch)
        optimizer.step()
        optimizer.zero_grad()
        moved.append([not torch.equal(p, b) for p, b in zip((head, stem), before, strict=True)])
    assert moved == [[False, True], [False, True], [True, True]]
    assert optimizer.state[head]['step'] == 1  # Adam begins with it, too
    with pytest.raises(ConfigError, match='losses.places_first is 2, but losses.places is 0'):
        make_task(htt_training.sections(root, losses={'places_first': 2}))


def test_truth_of_places_lies_under_the_hand(root):
    task = make_task(htt_training.sections(root))
    targets = task.data[Draw(0, 0)].truth
    batch = task.collate([task.data[Draw(0, 0)]])
    found = places(batch.targets, 9, 15)
    assert found.shape == (4, 67, 2, 9, 15)
    presence = found[:, 0]
    assert presence.min() >= 0
    assert 0.9 < presence.flatten(1).amax(1).min() <= 1
    for hand in range(2):
        row, column = divmod(int(presence[0, hand].argmax()), 15)
        joints = targets.joints_2d[0, hand]
        assert np.abs(joints - (16 + 32 * column, 7 + 32 * row)).max(1).min() <= 17  # px
        x = found[0, 1, hand, row, column] / presence[0, hand, row, column]
        assert float(x) * 120 + 240 == pytest.approx(joints[:, 0].mean(), abs=0.1)
        thumb = (
            found[0, 4 + 3 * 4 : 4 + 3 * 4 + 2, hand, row, column] / presence[0, hand, row, column]
        )
        np.testing.assert_allclose(thumb * 40, joints[4] - joints.mean(0), atol=0.1)


def test_places_of_hands_without_truth_and_of_padding_count_for_nothing(root):
    task = make_task(htt_training.sections(root))
    targets = task.collate([task.data[Draw(0, 0)]]).targets
    seen = torch.tensor([True, True, False, True])
    valid = torch.ones(4, 2, dtype=torch.bool)
    valid[1, 0] = False
    targets = dataclasses.replace(targets, not_padding=seen, is_hand_valid=valid)
    found = places(targets, 9, 15)[seen].requires_grad_(True)
    assert places_loss(found, targets).item() == 0
    off = found.detach().clone()
    off[1, :, 0] += 1  # the second image that counts, its hand without truth
    assert places_loss(off, targets).item() == 0
    off[1, :, 1] += 1
    assert places_loss(off, targets).item() == pytest.approx(7 / 5)  # of five hands


def test_parts_of_a_batch_add_up(root):
    task = make_task(htt_training.sections(root, model={'batch_norm': 'stored'}))
    batch = task.collate([task.data[Draw(0, 0)]])
    parameter = task.modules[MODULE].module.image_to_hand_pose.mlp[-1].bias
    step(task, batch)
    whole = parameter.grad.clone()
    parameter.grad = None
    for _ in range(2):
        task.backward(htt_training.PlainFabric(), task.modules, batch, share=0.5)
    torch.testing.assert_close(parameter.grad, whole)


def test_recipes_are_those_of_the_publication():
    for dataset in ('fpha', 'h2o'):
        recipe = read_training_file(f'htt_{dataset}', HttSections)
        wanted = dataclasses.replace(
            HttSections(),
            run=recipe.run.replace(epochs=45, batch_size=2, seed=0, accumulate=1),
            data=recipe.data.replace(kind=dataset, train_split='train'),
        )
        assert recipe == wanted
        assert (recipe.run.epochs, recipe.run.batch_size, recipe.run.seed) == (45, 2, 0)
        assert (recipe.data.window, recipe.data.pose_window, recipe.data.spacing) == (128, 16, 2)
        assert (recipe.optimizer.kind, recipe.optimizer.learning_rate) == ('adam', 3e-5)
        assert (recipe.optimizer.decay_epochs, recipe.optimizer.decay_factor) == (15, 0.5)
        assert recipe.model.batch_norm == 'stored'
