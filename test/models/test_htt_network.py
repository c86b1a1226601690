"""HTT against what the official code says, module and running network alike."""

import copy
import dataclasses

import htt_files
import htt_reference as official
import numpy as np
import pytest
import torch

from hand_perception.errors import ConfigError, ImageError, WeightsError
from hand_perception.models.htt import packed
from hand_perception.models.htt.lift import lift
from hand_perception.models.htt.module import HttModule, HttOutput, run_clips
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.sizes import HttSizes, sizes_from_shapes

CPU = torch.device('cpu')
WINDOWS = {'window': official.WINDOW, 'pose_window': official.POSE_WINDOW}
TAPS = ('feat_resnet', 'feat_pose', 'hand_raw', 'object_logits', 'object_prob', 'action_logits',
        'action_prob')  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Reference:
    """A full-size network with the official results' weights, and what it says of the inputs."""

    name: str
    inputs: official.Inputs
    results: dict
    module: HttModule
    network: HttNetwork
    output: HttOutput


@pytest.fixture(scope='module', params=['fpha', 'h2o'])
def reference(request):
    name = request.param
    inputs = official.inputs(name)
    module = official.module(name)
    network = HttNetwork.from_module(module, device=CPU, precision='fp32')
    output = network.clip(
        torch.from_numpy(inputs.images), torch.from_numpy(inputs.not_padding), **WINDOWS
    )
    return Reference(name, inputs, official.results(name), module, network, output)


@pytest.fixture
def small():
    return small_network('fpha')


def small_network(dataset, **sizes):
    """A module of an eighth of the width, and the network made of it."""
    if sizes:
        torch.manual_seed(3)
        module = HttModule(dataclasses.replace(htt_files.small_sizes(dataset), **sizes))
    else:
        module = htt_files.network(dataset)
    return module, HttNetwork.from_module(module, device=CPU, precision='fp32')


def assert_official(output, results, valid, *, tolerance=official.TOLERANCE):
    """Compare taps: clips and features of all frames, the rest of those that count."""
    for tap in TAPS:
        got, wanted = getattr(output, tap).numpy(), results.get(tap)
        if tap == 'object_prob':
            wanted = softmax(results['object_logits'])
        if tap.startswith('feat'):
            got = got[:: official.FEATURE_STEP]
        elif len(got) == len(valid):
            got, wanted = got[valid], wanted[valid]
        np.testing.assert_allclose(
            got.reshape(len(got), -1), wanted, rtol=0, atol=tolerance[tap], err_msg=tap
        )


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def normalized(images_u8):
    """Images as the official loader gives them."""
    levels = torch.from_numpy(images_u8).permute(0, 3, 1, 2).float()
    return levels / 255 - 0.5


def windows_of(network, features):
    """Pose features of the first images of a clip, by sequences that end where they end."""
    return torch.cat(
        [network.pose(part[None])[0] for part in features.split(official.POSE_WINDOW)]
    )  # fmt: skip


def test_inputs_made_again_are_those_of_the_official_results(reference):
    assert reference.inputs.sums == reference.results['input_sums'].tolist()


def test_module_has_the_names_shapes_and_types_of_official_checkpoints_in_their_order(reference):
    entries = [
        f'{name} {tuple(value.shape)} {str(value.dtype).removeprefix("torch.")}'
        for name, value in reference.module.state_dict().items()
    ]
    assert entries == reference.results['state_entries'].tolist()
    assert len(entries) == 194


def test_every_tap_of_the_running_network_is_official(reference):
    valid = reference.inputs.not_padding.astype(bool)
    assert_official(reference.output, reference.results, valid)


def test_features_of_the_module_are_official(reference):
    picked = slice(None, None, 8 * official.FEATURE_STEP)
    with torch.inference_mode():
        features = reference.module.features(normalized(reference.inputs.images[picked]))
    np.testing.assert_allclose(
        features, reference.results['feat_resnet'][::8], rtol=0, atol=1e-5
    )  # fmt: skip


def test_every_tap_of_the_module_is_official(reference):
    mask = torch.from_numpy(reference.inputs.not_padding)
    with torch.inference_mode():
        output = run_clips(reference.module, reference.output.feat_resnet, mask, **WINDOWS)
    assert_official(output, reference.results, mask.bool().numpy())


def test_joints_in_pixels_and_metres_are_official(reference):
    valid = reference.inputs.not_padding.astype(bool)
    joints_2d, depth, joints_3d = lift(reference.output.hand_raw.numpy(), reference.inputs.K)
    for got, name in ((joints_2d, 'joints2d'), (joints_3d, 'joints3d')):
        np.testing.assert_allclose(
            got[valid], reference.results[name][valid], rtol=0, atol=official.TOLERANCE[name]
        )
    np.testing.assert_array_equal(depth, joints_3d[..., 2])


@pytest.mark.parametrize('way', ['masks', 'shorter sequences'])
def test_first_images_of_a_clip_give_the_official_prefix(reference, way):
    network, results = reference.network, reference.results
    features = reference.output.feat_resnet[: official.WINDOW]
    for i, count in enumerate(results['prefix_n'].tolist()):
        if way == 'masks':
            mask = (torch.arange(official.WINDOW) < count).long()
            output = run_clips(network, features, mask, **WINDOWS)
            heads, action_prob = output.heads, output.action_prob[0]
        else:
            heads = network.heads(windows_of(network, features[:count]))
            action_prob = network.action(heads.action_inputs[None]).softmax(-1)[0]
        newest = count - 1
        K = reference.inputs.K[newest : newest + 1]
        joints_3d = lift(heads.raw[newest : newest + 1].numpy(), K)[2][0]
        for got, name in (
            (joints_3d, 'joints3d'),
            (heads.object_prob[newest], 'object_prob'),
            (action_prob, 'action_prob'),
        ):
            np.testing.assert_allclose(
                got, results[f'prefix_{name}'][i], rtol=0, atol=official.TOLERANCE[name],
                err_msg=f'{name} after {count} images',
            )  # fmt: skip


def test_images_that_do_not_count_change_nothing(reference):
    valid = reference.inputs.not_padding.astype(bool)
    features = reference.output.feat_resnet.clone()
    features[~valid] = 100 * torch.randn(
        int((~valid).sum()), 512, generator=torch.Generator().manual_seed(5)
    )
    mask = torch.from_numpy(reference.inputs.not_padding)
    output = run_clips(reference.network, features, mask, **WINDOWS)
    torch.testing.assert_close(
        output.hand_raw[valid], reference.output.hand_raw[valid], rtol=0, atol=5e-6
    )
    torch.testing.assert_close(
        output.action_logits, reference.output.action_logits, rtol=0, atol=2e-5
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.int64, torch.bool])
def test_mask_of_the_caller_stays_as_it_is_whatever_its_type(small, dtype):
    _, network = small
    mask = torch.tensor([1, 1, 0, 0, 0, 0]).to(dtype)  # a pose window of padding alone
    before = mask.clone()
    features = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    output = run_clips(network, features, mask, window=6, pose_window=2)
    assert torch.equal(mask, before)
    assert torch.isfinite(output.feat_pose).all() and torch.isfinite(output.action_logits).all()


def test_bfloat16_backbone_keeps_hands_within_a_few_millimetres(reference):
    network = HttNetwork.from_module(reference.module, device=CPU, precision='bf16')
    count = official.POSE_WINDOW
    features = network.features(torch.from_numpy(reference.inputs.images[:count]))
    assert features.dtype == torch.float32
    heads = network.heads(network.pose(features[None])[0])
    K = reference.inputs.K[:count]
    difference = np.linalg.norm(
        lift(heads.raw.numpy(), K)[2] - reference_joints(reference, count), axis=-1
    )
    # The official code in bfloat16 was off by 0.26 mm on average and 0.8 mm at worst.
    assert difference.mean() < 0.5e-3
    assert difference.max() < 2e-3


def reference_joints(reference, count):
    features = reference.output.feat_resnet[:count]
    heads = reference.network.heads(windows_of(reference.network, features))
    return lift(heads.raw.numpy(), reference.inputs.K[:count])[2]


@pytest.mark.parametrize(('name', 'count'), [('fpha', 25_981_102), ('h2o', 26_011_858)])
def test_number_of_parameters_is_the_published_one(name, count):
    with torch.device('meta'):
        module = HttModule(official.CASES[name].sizes)
    assert sum(parameter.numel() for parameter in module.parameters()) == count


@pytest.mark.parametrize('dataset', ['fpha', 'h2o'])
def test_running_network_is_the_module_for_batches_of_masked_sequences(dataset):
    module, network = small_network(dataset)
    random = torch.Generator().manual_seed(1)
    features = torch.randn(3, 9, 64, generator=random)
    is_padding = torch.rand(3, 9, generator=random) < 0.5
    with torch.inference_mode():
        for mask in (None, is_padding):
            pose = network.pose(features, mask)
            torch.testing.assert_close(pose, module.pose(features, mask), rtol=0, atol=1e-5)
            torch.testing.assert_close(
                network.action(features, mask), module.action(features, mask), rtol=0, atol=1e-5
            )
        heads, expected = network.heads(pose[0]), module.heads(pose[0])
        for field in dataclasses.fields(heads):
            torch.testing.assert_close(
                getattr(heads, field.name), getattr(expected, field.name), rtol=0, atol=1e-5
            )


def test_sequences_longer_than_the_positions_kept_ready_are_placed_right():
    module, network = small_network('fpha', num_positions=700)
    tokens = torch.randn(1, 600, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        for length in (600, 300, 1):
            part = tokens[:, :length]
            torch.testing.assert_close(network.pose(part), module.pose(part), rtol=0, atol=1e-5)
            torch.testing.assert_close(
                network.action(part), module.action(part), rtol=0, atol=1e-5
            )  # fmt: skip


def test_sequence_longer_than_the_table_of_positions_is_refused(small):
    module, network = small
    tokens = torch.zeros(1, module.sizes.num_positions, 64)
    assert torch.isfinite(network.pose(tokens)).all()
    with pytest.raises(ConfigError, match='201 tokens in a sequence, the weights have 200'):
        network.action(tokens)  # and the class token


def test_inputs_of_the_network_stay_as_they_are(small):
    _, network = small
    tokens = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(0))
    images = torch.randint(0, 256, (1, 270, 480, 3), dtype=torch.uint8)
    before = tokens.clone(), images.clone()
    network.pose(tokens)
    network.heads(tokens[0])
    network.action(tokens)
    network.features(images)
    assert torch.equal(tokens, before[0]) and torch.equal(images, before[1])


def test_network_keeps_its_weights_when_the_module_is_trained_on(small):
    module, network = small
    tokens = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(0))
    images = torch.full((1, 270, 480, 3), 90, dtype=torch.uint8)

    def all_outputs():
        heads = network.heads(tokens[0])
        return [network.features(images), network.pose(tokens), network.action(tokens),
                heads.raw, heads.object_logits, heads.action_inputs]  # fmt: skip

    before = all_outputs()
    with torch.no_grad():
        for value in module.state_dict().values():
            value.zero_()
    for a, b in zip(before, all_outputs(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_plain_layers_say_the_same_where_torch_has_no_packed_ones(monkeypatch, precision):
    module = htt_files.network('fpha')
    tokens = torch.randn(1, 5, 64, generator=torch.Generator().manual_seed(0))
    images = torch.randint(
        0, 256, (1, 270, 480, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    ready = HttNetwork.from_module(module, device=CPU, precision=precision)
    monkeypatch.setattr(packed, 'can_pack', lambda device, dtype: False)
    plain = HttNetwork.from_module(module, device=CPU, precision=precision)
    # bf16 has 8 bits, and the fused additions round once less.
    atol = 1e-5 if precision == 'fp32' else 0.005 * float(plain.features(images).abs().max())
    torch.testing.assert_close(ready.features(images), plain.features(images), rtol=0, atol=atol)
    torch.testing.assert_close(ready.pose(tokens), plain.pose(tokens), rtol=0, atol=1e-5)
    torch.testing.assert_close(ready.action(tokens), plain.action(tokens), rtol=0, atol=1e-5)


def test_packed_layers_that_are_wrong_are_not_used(monkeypatch, caplog):
    monkeypatch.setattr(
        packed, '_run_packed_linear', lambda x, weight, bias, relu: x.new_ones(2, 5, 24)
    )
    packed._is_packing_right.cache_clear()
    try:
        assert not packed.can_pack(CPU, torch.float32)
    finally:
        packed._is_packing_right.cache_clear()
    assert 'are wrong; going without' in caplog.text


@pytest.mark.parametrize('count', [0, 1, 5])
def test_images_go_through_the_backbone_in_pieces_of_any_number(small, count):
    module, network = small
    images = torch.randint(
        0, 256, (count, 270, 480, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(4)
    )
    features = network.features(images)
    assert features.shape == (count, 64)
    for image, feature in zip(images, features, strict=True):
        expected = module.features(normalized(image[None].numpy()))[0]
        torch.testing.assert_close(feature, expected.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    'images',
    [
        torch.zeros(1, 270, 480, 3),
        torch.zeros(1, 3, 270, 480, dtype=torch.uint8),
        torch.zeros(270, 480, 3, dtype=torch.uint8),
        torch.zeros(1, 256, 256, 3, dtype=torch.uint8),
    ],
)
def test_images_of_another_shape_or_type_are_refused(small, images):
    with pytest.raises(ImageError, match=r'uint8 of shape \(N, 270, 480, 3\), got'):
        small[1].features(images)


@pytest.mark.parametrize(
    ('images', 'marks', 'window', 'pose_window'),
    [(6, 6, 6, 4), (6, 6, 4, 2), (6, 5, 6, 2), (0, 0, 6, 2)],
)
def test_windows_that_do_not_fit_are_refused(small, images, marks, window, pose_window):
    features, mask = torch.zeros(images, 64), torch.ones(marks)
    with pytest.raises(ConfigError, match=f'do not make clips of {window} images'):
        run_clips(small[1], features, mask, window=window, pose_window=pose_window)


def test_precision_that_the_backbone_does_not_have_is_refused(small):
    with pytest.raises(ConfigError, match="fp32 or bf16, got 'fp16'"):
        HttNetwork.from_module(small[0], device=CPU, precision='fp16')


def test_gradients_reach_all_weights_but_the_unused_layer():
    module = htt_files.network('h2o').train()
    statistics = copy.deepcopy(dict(module.named_buffers()))
    images = torch.rand(4, 3, 90, 160, generator=torch.Generator().manual_seed(0)) - 0.5
    output = module(images, torch.tensor([1, 1, 1, 0]), window=4, pose_window=2)
    loss = (
        output.hand_raw.abs().mean()
        + output.object_logits.square().mean()
        + output.action_logits.square().mean()
    )
    loss.backward()
    without = [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == ['meshregnet.base_net.fc.weight', 'meshregnet.base_net.fc.bias']
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, statistics[name]), f'{name} changed by a step of training'


def test_action_loss_reaches_backbone_and_pose_block():
    module = htt_files.network('fpha')
    images = torch.rand(2, 3, 90, 160, generator=torch.Generator().manual_seed(0)) - 0.5
    output = module(images, torch.ones(2), window=2, pose_window=2)
    output.action_logits.square().sum().backward()
    for weight in (
        module.meshregnet.base_net.conv1.weight,
        module.transformer_pose.encoder.layers[0].linear1.weight,
        module.image_to_hand_pose.mlp[4].weight,
        module.transformer_action.encoder.layers[0].linear1.weight,
    ):
        assert weight.grad is not None and weight.grad.any()


def test_module_says_the_same_in_training_and_evaluation():
    module = htt_files.network('fpha')
    images = torch.rand(2, 3, 90, 160, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        taps = [
            module.train(is_training)(images, torch.ones(2), window=2, pose_window=2).action_logits
            for is_training in (True, False)
        ]
    assert torch.equal(*taps)


@pytest.mark.parametrize('name', ['fpha', 'h2o'])
def test_sizes_are_read_from_the_shapes_of_the_weights(name):
    sizes = official.CASES[name].sizes
    with torch.device('meta'):
        shapes = {key: tuple(v.shape) for key, v in HttModule(sizes).state_dict().items()}
    found = sizes_from_shapes(shapes, source='checkpoint_45.pth')
    assert found == sizes
    assert (found.dataset, found.num_hands) == (name, 1 if name == 'fpha' else 2)


def test_sizes_of_other_classes_are_of_no_known_data_set():
    assert HttSizes(num_joints=21, num_objects=5, num_actions=7).dataset == ''


@pytest.mark.parametrize(
    ('name', 'shape', 'message'),
    [
        ('image_to_hand_pose.mlp.4.weight', (60, 512), 'has 60 outputs; expected 63'),
        ('action_token', (1, 1, 500), '500 numbers, which 8 attention heads do not divide'),
        ('transformer_pe.pe', (5000, 512), r'has shape \(5000, 512\), expected 3 axes'),
        ('obj_classification.classifier.weight', None, 'lacks obj_classification.classifier'),
        ('action_classification.classifier.weight', (0, 512), r'has shape \(0, 512\)'),
    ],
)
def test_shapes_of_something_else_are_refused(name, shape, message):
    with torch.device('meta'):
        module = HttModule(official.CASES['fpha'].sizes)
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    shapes = {key: value for key, value in (shapes | {name: shape}).items() if value is not None}
    with pytest.raises(WeightsError, match=message):
        sizes_from_shapes(shapes, source='other.pth')


def test_lift_takes_fx_for_both_axes_and_the_middle_of_the_image_for_pixels():
    K = np.array([[[200.0, 0, 230], [0, 400, 140], [0, 0, 1]]], np.float32)
    raw = np.array([[[0.0, 0.0, 0.0], [0.5, -0.25, 10.0]]], np.float32)
    joints_2d, depth, joints_3d = lift(raw, K)
    np.testing.assert_allclose(joints_2d[0], [[240, 135], [290, 110]], rtol=0, atol=1e-4)
    np.testing.assert_allclose(depth[0], [0.4, 0.6], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        joints_3d[0],
        [[10 * 0.4 / 200, -5 * 0.4 / 200, 0.4], [60 * 0.6 / 200, -30 * 0.6 / 200, 0.6]],
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_fp32_on_cuda_is_official_and_not_tf32(reference):
    network = HttNetwork.from_module(
        reference.module, device=torch.device('cuda'), precision='fp32'
    )  # fmt: skip
    output = network.clip(
        torch.from_numpy(reference.inputs.images),
        torch.from_numpy(reference.inputs.not_padding),
        **WINDOWS,
    )
    on_host = HttOutput(
        feat_resnet=output.feat_resnet.cpu(),
        feat_pose=output.feat_pose.cpu(),
        heads=dataclasses.replace(
            output.heads, raw=output.hand_raw.cpu(), object_logits=output.object_logits.cpu()
        ),
        action_logits=output.action_logits.cpu(),
    )
    # TF32 has 10 bits: features would be off by 1e-3.
    assert_official(
        on_host, reference.results, reference.inputs.not_padding.astype(bool)
    )  # fmt: skip
