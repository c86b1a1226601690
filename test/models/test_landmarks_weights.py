"""Weight files are read strictly and never executed."""

import shutil

import numpy as np
import pytest

from hand_perception.errors import WeightsError
from hand_perception.models.landmarks.backend import LandmarkBackend
from hand_perception.models.landmarks.networks import HandLandmarkNetwork
from hand_perception.models.landmarks.weight_files import WEIGHTS_DIR, load_network


@pytest.fixture
def arrays():
    with np.load(WEIGHTS_DIR / 'hand_landmark_full.npz') as archive:
        return {name: archive[name] for name in archive.files}


def load(tmp_path, arrays):
    np.savez(tmp_path / 'weights.npz', **arrays)
    return load_network(HandLandmarkNetwork, tmp_path / 'weights.npz')


def test_weights_are_stored_as_half_and_run_as_single_precision(arrays):
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    network = load_network(HandLandmarkNetwork, WEIGHTS_DIR / 'hand_landmark_full.npz')
    state = network.state_dict()
    assert {str(tensor.dtype) for tensor in state.values()} == {'torch.float32'}
    for name, array in arrays.items():
        np.testing.assert_array_equal(state[name].numpy(), array.astype(np.float32))


def test_missing_array_is_named(tmp_path, arrays):
    del arrays['blocks.3.depthwise.bias']
    with pytest.raises(WeightsError, match=r'lacks blocks\.3\.depthwise\.bias'):
        load(tmp_path, arrays)


def test_unknown_array_is_named(tmp_path, arrays):
    arrays['blocks.99.bias'] = np.zeros(3, np.float16)
    with pytest.raises(WeightsError, match=r'unknown blocks\.99\.bias'):
        load(tmp_path, arrays)


def test_array_of_another_shape_is_named_with_both_shapes(tmp_path, arrays):
    arrays['presence.weight'] = np.zeros((2, 1152), np.float16)
    with pytest.raises(WeightsError, match=r'presence\.weight .*\(2, 1152\).*\(1, 1152\)'):
        load(tmp_path, arrays)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, arrays, bad):
    arrays['stem.bias'][3] = bad
    with pytest.raises(WeightsError, match=r'stem\.bias .*finite'):
        load(tmp_path, arrays)


def test_weights_of_another_type_are_refused_by_name(tmp_path, arrays):
    arrays['stem.bias'] = arrays['stem.bias'].astype(np.int32)
    with pytest.raises(WeightsError, match=r'stem\.bias \(int32\)'):
        load(tmp_path, arrays)


def test_pickled_array_is_refused(tmp_path, arrays):
    arrays['stem.bias'] = np.array([{'not': 'numbers'}], object)
    with pytest.raises(WeightsError, match='cannot be read'):
        load(tmp_path, arrays)


def test_file_of_the_other_network_is_refused():
    with pytest.raises(WeightsError, match='lacks .* more; has unknown .* more'):
        load_network(HandLandmarkNetwork, WEIGHTS_DIR / 'palm_detection_full.npz')


def test_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(WeightsError, match=r'palm_detection_full\.npz is missing'):
        LandmarkBackend.load(device='cpu', weights_dir=tmp_path)


@pytest.mark.parametrize('damage', ['truncated', 'garbled', 'text', 'empty', 'single array'])
def test_corrupt_file_is_refused(tmp_path, damage):
    path = tmp_path / 'palm_detection_full.npz'
    shutil.copy(WEIGHTS_DIR / path.name, path)
    content = path.read_bytes()
    if damage == 'truncated':
        path.write_bytes(content[: len(content) // 2])
    elif damage == 'garbled':
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes(4096) + content[middle + 4096 :])
    elif damage == 'text':
        path.write_text('version https://git-lfs.github.com/spec/v1\n')
    elif damage == 'empty':
        path.write_bytes(b'')
    else:
        with path.open('wb') as file:
            np.save(file, np.zeros(3))
    with pytest.raises(WeightsError, match=r'palm_detection_full\.npz'):
        LandmarkBackend.load(device='cpu', weights_dir=tmp_path)
