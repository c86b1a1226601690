"""``hand_perception weights`` tells what is there, what is missing and what to do."""

import hamer_files
import htt_files
import pytest
import torch

from hand_perception.cli.main import main
from hand_perception.labels import load_label_map
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.htt.weight_files import load_module


def lines(capsys):
    """What was printed: (level, topic) to text."""
    found = {}
    for line in capsys.readouterr().out.splitlines():
        level, topic, *rest = line.split(maxsplit=2)
        found[level, topic] = ' '.join(rest)
    return found


def test_check_of_a_whole_folder_reconstructs_a_crop_and_returns_0(tmp_path, capsys):
    hamer_files.write_official(tmp_path)
    assert main(['weights', 'check', str(tmp_path)]) == 0
    found = lines(capsys)
    assert {level for level, _ in found} == {'ok'}
    assert '2 blocks of width 160, decoder 2 layers of width 96' in found['ok', 'networks']
    assert 'in the checkpoint' in found['ok', 'mano']
    assert 'one crop took' in found['ok', 'trial']


def test_check_of_an_empty_folder_says_where_to_get_what_and_returns_1(tmp_path, capsys):
    assert main(['weights', 'check', str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert 'FAIL  checkpoint' in out
    assert 'https://github.com/geopavlakos/hamer' in out
    assert 'https://mano.is.tue.mpg.de' in out
    assert 'https://github.com/fylwen/HTT' in out


def test_check_without_hand_says_where_mano_comes_from_and_returns_1(tmp_path, capsys):
    state = {k: v for k, v in hamer_files.state_dict().items() if not k.startswith('mano.')}
    hamer_files.write_flat(tmp_path / 'user', hamer_files.lightning(state, {}))
    assert main(['weights', 'check', str(tmp_path / 'user')]) == 1
    found = lines(capsys)
    assert ('ok', 'networks') in found
    assert 'https://mano.is.tue.mpg.de' in found['FAIL', 'mano']
    hamer_files.write_mano(tmp_path / 'mano')
    arguments = ['weights', 'check', str(tmp_path / 'user'), '--mano-dir', str(tmp_path / 'mano')]
    assert main(arguments) == 0


def test_check_finds_a_flipped_bit_that_loading_does_not(tmp_path, capsys):
    folder = hamer_files.write_flat(tmp_path)
    path = folder / 'hamer.ckpt'
    content = bytearray(path.read_bytes())
    at = content.find(hamer_files.network_tensors()['backbone.pos_embed'].numpy().tobytes()[:64])
    content[at] ^= 1
    path.write_bytes(bytes(content))
    HamerNetwork.load(folder, device='cpu')
    assert main(['weights', 'check', str(folder)]) == 1
    assert 'is damaged' in lines(capsys)['FAIL', 'content']


def test_check_finds_weights_that_are_not_finite(tmp_path, capsys):
    state = hamer_files.state_dict()
    bad = state['mano_head.decpose.weight'].clone()
    bad[3, 4] = torch.nan
    state['mano_head.decpose.weight'] = bad
    folder = hamer_files.write_flat(tmp_path, hamer_files.lightning(state, {}))
    assert main(['weights', 'check', str(folder)]) == 1
    assert 'mano_head.decpose.weight' in lines(capsys)['FAIL', 'content']


def test_check_of_a_damaged_checkpoint_says_what_is_wrong_and_returns_1(tmp_path, capsys):
    folder = hamer_files.write_flat(tmp_path)
    path = folder / 'hamer.ckpt'
    path.write_bytes(path.read_bytes()[:-1000])
    assert main(['weights', 'check', str(folder)]) == 1
    assert 'cut off' in lines(capsys)['FAIL', 'checkpoint']


def test_info_counts_the_numbers_of_every_part_and_names_the_licences(tmp_path, capsys):
    folder = hamer_files.write_flat(tmp_path)
    assert main(['weights', 'info', str(folder), '--sha256']) == 0
    out = capsys.readouterr().out
    assert 'backbone: 772,800 numbers' in out
    assert 'discriminator: 32 numbers' in out
    assert 'non-commercial' in out
    assert 'global_step 1000' in out


def test_info_without_checkpoint_is_refused_with_2(tmp_path, capsys):
    assert main(['weights', 'info', str(tmp_path)]) == 2
    assert 'no HaMeR checkpoint found' in capsys.readouterr().err


def test_convert_writes_an_export_that_gives_the_same_hands(tmp_path, capsys):
    folder = hamer_files.write_flat(tmp_path / 'user', with_hand_file=True)
    out = tmp_path / 'export' / 'hamer.safetensors'
    assert main(['weights', 'convert', str(folder), '--out', str(out)]) == 0
    assert 'the hand model is not in it' in capsys.readouterr().out
    crops = torch.from_numpy(hamer_files.reference()['crops_rgb'][:1])
    hands = [
        network(network.normalize(crops)).vertices
        for network in (
            HamerNetwork.load(folder, device='cpu'),
            HamerNetwork.load(out, mano_dir=folder, device='cpu'),
        )
    ]
    # The hand model comes from the file in float64 instead of the checkpoint's float32.
    torch.testing.assert_close(hands[0], hands[1], rtol=0, atol=1e-7)


def test_convert_writes_beside_the_checkpoint_unless_told_otherwise(tmp_path):
    folder = hamer_files.write_flat(tmp_path)
    assert main(['weights', 'convert', str(folder), '--with-mano']) == 0
    assert (folder / 'hamer.safetensors').is_file()
    assert main(['weights', 'check', str(folder)]) == 0


def test_convert_of_an_incomplete_checkpoint_is_refused_with_2_and_writes_nothing(
    tmp_path, capsys
):
    state = hamer_files.state_dict()
    del state['mano_head.decpose.bias']
    folder = hamer_files.write_flat(tmp_path, hamer_files.lightning(state, {}))
    assert main(['weights', 'convert', str(folder)]) == 2
    assert 'lacks mano_head.decpose.bias' in capsys.readouterr().err
    assert not (folder / 'hamer.safetensors').exists()


def test_convert_onto_its_own_source_is_refused(tmp_path, capsys):
    folder = hamer_files.write_flat(tmp_path)
    assert main(['weights', 'convert', str(folder)]) == 0
    assert main(['weights', 'convert', str(folder)]) == 2
    assert 'read and written at once' in capsys.readouterr().err


def test_keeping_a_hand_model_that_is_not_there_is_refused(tmp_path, capsys):
    state = {k: v for k, v in hamer_files.state_dict().items() if not k.startswith('mano.')}
    folder = hamer_files.write_flat(tmp_path, hamer_files.lightning(state, {}))
    assert main(['weights', 'convert', str(folder), '--with-mano']) == 2
    assert 'has no hand model to keep' in capsys.readouterr().err


# HTT: recognised by what the path holds.


@pytest.mark.parametrize(
    ('dataset', 'hands'), [('fpha', 'one (right) hand'), ('h2o', 'two hands')]
)
def test_check_of_htt_runs_a_clip_and_returns_0(tmp_path, capsys, dataset, hands):
    path = htt_files.write(tmp_path, dataset)
    for given in (tmp_path, path):
        assert main(['weights', 'check', str(given)]) == 0
        found = lines(capsys)
        assert {level for level, _ in found} == {'ok'}
        assert found['ok', 'checkpoint'].startswith(f'HTT, {path}')
        assert hands in found['ok', 'network']
        assert 'action window 32 tokens' in found['ok', 'training']
        assert found['ok', 'labels'].startswith(f'{dataset}: from ')
        assert 'a clip of 8 images took' in found['ok', 'trial']


def test_checkpoint_is_recognised_whatever_its_name(tmp_path, capsys):
    path = htt_files.write(tmp_path / 'htt').rename(tmp_path / 'mine.ckpt')
    assert main(['weights', 'info', str(path)]) == 0
    assert capsys.readouterr().out.startswith('ok    checkpoint  HTT, ')
    hamer = hamer_files.write_flat(tmp_path / 'hamer')
    path = (hamer / 'hamer.ckpt').rename(hamer / 'checkpoint_45.pth')
    assert main(['weights', 'info', str(path)]) == 0
    assert 'backbone 2 blocks' in capsys.readouterr().out


def test_folder_with_weights_of_both_is_refused_with_both_names(tmp_path, capsys):
    hamer_files.write_flat(tmp_path)
    htt_files.write(tmp_path)
    assert main(['weights', 'check', str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert 'checkpoint_45.pth' in error and 'hamer.ckpt' in error and 'name one' in error


@pytest.mark.parametrize('action', ['info', 'convert'])
def test_path_with_neither_says_where_both_come_from(tmp_path, capsys, action):
    assert main(['weights', action, str(tmp_path / 'nowhere')]) == 2
    error = capsys.readouterr().err
    assert 'https://github.com/geopavlakos/hamer' in error
    assert 'https://github.com/fylwen/HTT' in error


def test_check_of_a_damaged_htt_checkpoint_returns_1(tmp_path, capsys):
    path = htt_files.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert main(['weights', 'check', str(path)]) == 1
    assert 'cut off or damaged' in lines(capsys)['FAIL', 'checkpoint']


def test_check_finds_a_flipped_bit_in_htt_that_loading_does_not(tmp_path, capsys):
    path = htt_files.write(tmp_path)
    content = bytearray(path.read_bytes())
    weight = htt_files.state_dict()['image_to_olabel_embed.weight']
    content[content.find(weight.numpy().tobytes()[:64])] ^= 1
    path.write_bytes(bytes(content))
    load_module(path)
    assert main(['weights', 'check', str(path)]) == 1
    found = lines(capsys)
    assert 'is damaged' in found['FAIL', 'content']
    assert ('ok', 'trial') not in found


def test_check_of_htt_names_what_is_missing_or_not_finite(tmp_path, capsys):
    state = htt_files.state_dict()
    state['action_token'][0, 0, 0] = torch.nan
    path = htt_files.save(tmp_path / 'checkpoint_45.pth', {'state_dict': state})
    assert main(['weights', 'check', str(path)]) == 1
    found = lines(capsys)
    assert 'action_token has values that are not finite' in found['FAIL', 'content']
    assert 'weights convert' not in found['FAIL', 'network']  # which cannot mend it
    del state['action_token']
    htt_files.save(path, {'state_dict': state})
    assert main(['weights', 'check', str(path)]) == 1
    assert 'lacks action_token' in lines(capsys)['FAIL', 'network']


def test_check_compares_the_labels_with_the_classes(tmp_path, capsys):
    path = htt_files.write(tmp_path)
    assert main(['weights', 'check', str(path), '--labels', 'h2o']) == 1
    assert '36 actions and 8 objects, but the weights tell 45' in lines(capsys)['FAIL', 'labels']


def test_convert_of_htt_keeps_labels_and_weights(tmp_path, capsys):
    path = htt_files.write(tmp_path, 'h2o')
    assert main(['weights', 'convert', str(path)]) == 0
    assert 'labels in it: h2o' in capsys.readouterr().out
    path.unlink()
    loaded = load_module(tmp_path)
    assert loaded.path.name == 'htt.safetensors'
    htt_files.expect_same(loaded.module, htt_files.state_dict('h2o'))
    assert loaded.labels == load_label_map('h2o')
    assert main(['weights', 'check', str(tmp_path)]) == 0
    assert main(['weights', 'info', str(tmp_path), '--sha256']) == 0
    out = capsys.readouterr().out
    assert 'source_name checkpoint_45.pth' in out
    assert 'transformer_pose: ' in out and 'licence' in out


def test_convert_writes_where_it_is_told(tmp_path, capsys):
    path = htt_files.write(tmp_path)
    (tmp_path / 'folder').mkdir()
    for out in ('folder', 'mine.safetensors'):
        assert main(['weights', 'convert', str(path), '--out', str(tmp_path / out)]) == 0
    assert (tmp_path / 'folder' / 'htt.safetensors').is_file()
    assert (tmp_path / 'mine.safetensors').is_file()
    assert main(['weights', 'convert', str(path), '--out', str(tmp_path / 'mine.pth')]) == 2
    assert 'ends in .safetensors' in capsys.readouterr().err
    arguments = ['weights', 'convert', str(tmp_path / 'mine.safetensors'), '--out']
    assert main([*arguments, str(tmp_path / 'mine.safetensors')]) == 2
    assert 'read and written at once' in capsys.readouterr().err


def test_options_of_the_other_network_are_refused(tmp_path, capsys):
    path = htt_files.write(tmp_path / 'htt')
    assert main(['weights', 'convert', str(path), '--with-mano']) == 2
    assert 'leave out MANO' in capsys.readouterr().err
    hamer = hamer_files.write_flat(tmp_path / 'hamer')
    assert main(['weights', 'check', str(hamer), '--labels', 'fpha']) == 2
    assert 'leave out --labels' in capsys.readouterr().err
