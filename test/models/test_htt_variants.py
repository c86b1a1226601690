"""Variants of HTT for research: exact in module, network and stream, in files, off by default."""

import dataclasses

import htt_streams
import htt_training
import numpy as np
import pytest
import torch

from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.htt.export import write_module
from hand_perception.models.htt.module import HttModule, run_clips
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.options_file import HttOptions
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.models.htt.weight_files import check_windows, load_module
from hand_perception.pipeline.htt_stream import make_engine
from hand_perception.pipeline.temporal_state import TemporalSettings
from hand_perception.training.htt_network import TrainableHtt, start_module
from hand_perception.training.htt_official import write_official
from hand_perception.training.htt_settings import HttModelSettings, HttSections

SIZES = HttSizes(
    num_joints=42, num_objects=3, num_actions=5, width=32, hidden=64, num_positions=40
)
WINDOW, POSE_WINDOW = 12, 4
#: Images that count in each of two clips.
VALID = (12, 7)


def make_module(**changes):
    """A network with random weights, biases and positions included."""
    torch.manual_seed(0)
    module = HttModule(dataclasses.replace(SIZES, **changes)).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(('relative_bias', 'pose_smoothing.weight')):
                parameter.add_(torch.randn_like(parameter))
    return module


def make_clips():
    """Features of two clips, and which images count."""
    torch.manual_seed(1)
    mask = torch.arange(WINDOW) < torch.tensor(VALID)[:, None]
    return torch.randn(2 * WINDOW, SIZES.width), mask.flatten()


def run(network, features, mask, **how):
    return run_clips(network, features, mask, window=WINDOW, pose_window=POSE_WINDOW, **how)


def fast(module):
    return HttNetwork.from_module(module, device=torch.device('cpu'), precision='fp32')


VARIANTS = {
    'relative': {'reach': 3},
    'smoothing': {'smoothing': 3},
    'both': {'reach': 12, 'smoothing': 5},
}


@pytest.mark.parametrize('lookahead', [None, 0, 2])
@pytest.mark.parametrize('changes', [{}, *VARIANTS.values()], ids=['published', *VARIANTS])
def test_network_that_runs_says_what_the_module_says(changes, lookahead):
    module, (features, mask) = make_module(**changes), make_clips()
    with torch.no_grad():
        wanted = run(module, features, mask, lookahead=lookahead)
    found = run(fast(module), features, mask, lookahead=lookahead)
    for name in ('hand_raw', 'object_logits'):
        np.testing.assert_allclose(
            getattr(found, name)[mask], getattr(wanted, name)[mask], atol=2e-4
        )
    np.testing.assert_allclose(found.action_logits, wanted.action_logits, atol=2e-4)


@pytest.mark.parametrize('changes', VARIANTS.values(), ids=VARIANTS)
def test_images_that_do_not_count_change_nothing(changes):
    module, (features, mask) = make_module(**changes), make_clips()
    other = torch.where(mask[:, None], features, 7.0)
    for lookahead in (None, 1):
        with torch.no_grad():
            one = run(module, features, mask, lookahead=lookahead)
            two = run(module, other, mask, lookahead=lookahead)
        assert torch.allclose(one.hand_raw[mask], two.hand_raw[mask], atol=1e-6)
        assert torch.allclose(one.action_logits, two.action_logits, atol=1e-6)


@pytest.mark.parametrize('changes', [{'reach': 3}, {'smoothing': 3}], ids=['reach', 'smoothing'])
def test_variants_begin_near_the_published_network(changes):
    torch.manual_seed(0)
    plain = HttModule(SIZES).eval()
    torch.manual_seed(0)
    variant = HttModule(dataclasses.replace(SIZES, **changes)).eval()
    shared = plain.state_dict()
    new = {k: v for k, v in variant.state_dict().items() if k not in shared}
    variant.load_state_dict(shared | new)
    features, mask = make_clips()
    if 'reach' in changes:
        assert all(not tensor.any() for tensor in new.values())
        plain.transformer_pe.pe.zero_()  # without any positions
    with torch.no_grad():
        one, two = run(plain, features, mask), run(variant, features, mask)
    assert torch.allclose(one.hand_raw, two.hand_raw, atol=1e-6)


def test_smoothing_reaches_back_across_pose_windows_and_not_ahead():
    module, (features, mask) = make_module(smoothing=3), make_clips()
    moved = features.clone()
    moved[POSE_WINDOW - 1] += 1  # the last image of the first window
    with torch.no_grad():
        changed = run(module, features, mask).hand_raw != run(module, moved, mask).hand_raw
    told = changed.flatten(1).any(1).nonzero()[:, 0].tolist()
    assert told == [0, 1, 2, 3, 4, 5]  # its window, and the two images after it


def test_sliding_window_of_an_image_ends_lookahead_images_after_it():
    module, (features, mask) = make_module(), make_clips()
    for image, lookahead in ((5, 0), (5, 2), (1, 0), (11, 2)):
        with torch.no_grad():
            found = run(module, features, mask, lookahead=lookahead).feat_pose[image]
            last = min(image + lookahead, WINDOW - 1)
            first = max(last - POSE_WINDOW + 1, 0)
            wanted = module.pose(features[None, first : last + 1])[0, image - first]
        assert torch.allclose(found, wanted, atol=1e-5), (image, lookahead)


def test_sliding_windows_end_where_the_clip_does():
    module, (features, mask) = make_module(), make_clips()
    last = WINDOW + VALID[1] - 1  # of the second clip
    with torch.no_grad():
        found = run(module, features, mask, lookahead=2).feat_pose[last]
        wanted = module.pose(features[None, last - POSE_WINDOW + 1 : last + 1])[0, -1]
    assert torch.allclose(found, wanted, atol=1e-5)


def test_lookahead_beyond_the_window_is_refused():
    module, (features, mask) = make_module(), make_clips()
    with pytest.raises(ConfigError, match='a lookahead of 4 tokens must lie between 0 and'):
        run(module, features, mask, lookahead=4)


@pytest.mark.parametrize('changes', [{}, *VARIANTS.values()], ids=['published', *VARIANTS])
def test_file_says_its_variants_and_loads_again(tmp_path, changes):
    module = make_module(**changes)
    path = tmp_path / 'htt.safetensors'
    options = HttOptions(window=12, pose_window=4, spacing=2, engine='sliding', lookahead=1)
    write_module(path, module, options=options, labels=None, notes={'positions': 'learned'})
    loaded = load_module(path)
    assert loaded.sizes == module.sizes
    assert (loaded.options.engine, loaded.options.lookahead) == ('sliding', 1)
    assert 'engine sliding with a lookahead of 1' in str(loaded.options)
    assert loaded.notes['positions'] == 'learned'
    features, mask = make_clips()
    with torch.no_grad():
        assert torch.equal(
            run(loaded.module, features, mask).hand_raw, run(module, features, mask).hand_raw
        )


def test_weights_trained_on_sliding_windows_ask_for_that_engine(tmp_path):
    path = tmp_path / 'htt.safetensors'
    options = HttOptions(window=12, pose_window=4, engine='sliding', lookahead=1)
    write_module(path, make_module(), options=options, labels=None, notes={})
    loaded = load_module(path)
    windows = {'window': 12, 'pose_window': 4, 'token_rate_hz': 0.0}
    assert check_windows(loaded, **windows, engine='sliding', lookahead=1) == ()
    (told,) = check_windows(loaded, **windows, engine='tiled')
    assert 'htt_engine is tiled' in told
    assert 'trained with sliding and 1' in told


@pytest.mark.parametrize('changes', [{}, *VARIANTS.values()], ids=['published', *VARIANTS])
@pytest.mark.parametrize('lookahead', [None, 0, 2], ids=['tiled', 'sliding', 'ahead'])
def test_stream_says_what_the_clip_says(changes, lookahead):
    network, (features, mask) = fast(make_module(**changes)), make_clips()
    wanted = run(network, features, mask, lookahead=lookahead)
    settings = TemporalSettings(
        engine='tiled' if lookahead is None else 'sliding', lookahead=lookahead or 0,
        window=WINDOW, pose_window=POSE_WINDOW, is_rolling=False,
    )  # fmt: skip
    engine = make_engine(network, settings)
    state = engine.new_state()
    for clip, count in enumerate(VALID):  # one stream: the second clip follows the first
        first = clip * WINDOW
        told = {}
        for index in range(count):
            step = engine.step(
                state, features[first + index], htt_streams.token(first + index), action_interval=1
            )
            for rows in (step.told, step.finals):
                if rows is not None:
                    told |= zip((token.index for token in rows.tokens), rows.raw, strict=True)
        # The last clip is ended; a full one leaves room for the next by itself.
        last = engine.finish(state) if count < WINDOW else None
        for rows in () if last is None else (last.told, last.finals):
            if rows is not None:
                told |= zip((token.index for token in rows.tokens), rows.raw, strict=True)
        assert sorted(told) == list(range(first, first + count))
        for index, raw in told.items():
            np.testing.assert_allclose(raw, wanted.hand_raw[index], atol=2e-4)
        action = (last or step).action_prob
        np.testing.assert_allclose(action, wanted.action_prob[clip], atol=2e-5)


def started(**model):
    settings = HttModelSettings(**{**htt_training.MODEL, **model})
    return start_module(
        settings, num_joints=42, num_objects=1, num_actions=7, window=4, pose_window=2
    )


@pytest.mark.parametrize(
    'model',
    [
        {'positions': 'learned'},
        {'positions': 'relative'},
        {'smoothing': 3},
        {'pose_windows': 'sliding'},
        {'pose_windows': 'sliding', 'lookahead': 1, 'positions': 'relative', 'smoothing': 2},
    ],
    ids=lambda model: ' '.join(map(str, model.values())),
)
def test_all_that_a_variant_adds_is_trained(model):
    module = started(**model)
    lookahead = model.get('lookahead', 0) if 'pose_windows' in model else None
    network = TrainableHtt(module, window=4, pose_window=2, lookahead=lookahead)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (8, 270, 480, 3), dtype=torch.uint8)
    answers = network(images, torch.ones(8))
    sum(answer.square().sum() for answer in answers).backward()
    without = {n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {
        'meshregnet.base_net.fc.weight', 'meshregnet.base_net.fc.bias'
    }  # fmt: skip


def test_learned_positions_begin_as_sines_under_the_published_name():
    names = [list(started(positions=positions).state_dict()) for positions in ('sines', 'learned')]
    assert sorted(names[0]) == sorted(names[1])
    tables = [started(positions=p).transformer_pe.pe.detach() for p in ('sines', 'learned')]
    assert torch.equal(*tables)


@pytest.mark.parametrize(
    ('model', 'is_official'),
    [({}, True), ({'positions': 'learned'}, True), ({'positions': 'relative'}, False),
     ({'smoothing': 2}, False)],
)  # fmt: skip
def test_only_what_the_official_program_has_is_exported(tmp_path, model, is_official):
    module = started(**model)
    optimizer = torch.optim.Adam(module.parameters())
    if is_official:
        paths = write_official(tmp_path, module, optimizer, sections=HttSections(), epoch=1)
        content = torch.load(paths[0], weights_only=False)
        assert len(content['optimizer']['param_groups'][0]['params']) == len(
            list(started().parameters())
        )
        assert load_module(paths[0]).sizes == module.sizes
    else:
        with pytest.raises(WeightsError, match='the official program has no relative positions'):
            write_official(tmp_path, module, optimizer, sections=HttSections(), epoch=1)
