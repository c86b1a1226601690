"""Labels: the maps that come with the package, the user's files, and what is refused of them."""

import dataclasses

import pytest

from hand_perception.actions import LabelMap
from hand_perception.errors import ConfigError
from hand_perception.labels import SHIPPED, label_map_for, label_map_from, load_label_map


@dataclasses.dataclass(frozen=True)
class Sizes:
    num_actions: int
    num_objects: int


FPHA, H2O = Sizes(45, 26), Sizes(36, 8)


def write(tmp_path, text, name='mine.yaml'):
    path = tmp_path / name
    path.write_text(text, encoding='utf-8')
    return path


@pytest.mark.parametrize(('name', 'counts'), [('fpha', (45, 26)), ('h2o', (36, 8))])
def test_data_set_has_its_number_of_actions_and_objects(name, counts):
    labels = load_label_map(name)
    assert labels.name == name
    assert (len(labels.actions), len(labels.objects)) == counts


@pytest.mark.parametrize(
    ('name', 'index', 'action'),
    [
        ('fpha', 0, 'open_juice_bottle'), ('fpha', 5, 'prick'), ('fpha', 19, 'wash_sponge'),
        ('fpha', 29, 'take_letter_from_enveloppe'), ('fpha', 44, 'high_five'),
        ('h2o', 0, 'grab book'), ('h2o', 7, 'grab cappuccino'), ('h2o', 8, 'place book'),
        ('h2o', 16, 'open lotion'), ('h2o', 22, 'pour milk'), ('h2o', 23, 'take out espresso'),
        ('h2o', 27, 'put in espresso'), ('h2o', 35, 'squeeze lotion'),
    ],
)  # fmt: skip
def test_class_has_the_name_of_the_data_set(name, index, action):
    assert load_label_map(name).actions[index] == action


def test_every_action_of_h2o_ends_with_one_of_its_objects():
    labels = load_label_map('h2o')
    assert {action.split()[-1] for action in labels.actions} == set(labels.objects)


def test_objects_of_fpha_stand_in_the_order_in_which_its_actions_first_need_them():
    objects = load_label_map('fpha').objects
    assert objects[:5] == ('juice', 'peanut_butter', 'fork', 'spoon', 'milk')
    assert objects[-3:] == ('wine_bottle', 'wine_glass', 'hand')


def test_primitives_are_those_of_the_recogniser_and_have_no_objects():
    labels = load_label_map('primitives')
    assert labels.actions == ('open', 'fist', 'point', 'pinch', 'grasp', 'release', 'wave')
    assert labels.objects == ()


def test_file_of_the_user_is_loaded_and_takes_its_name_from_the_file_when_it_has_none(tmp_path):
    path = write(tmp_path, 'actions: [saw, "on"]\nobjects: [wood]\n', 'workshop.yaml')
    expected = LabelMap(name='workshop', actions=('saw', 'on'), objects=('wood',))
    assert load_label_map(path) == load_label_map(str(path)) == expected
    assert load_label_map(write(tmp_path, 'name: w\nactions: [saw]\n')).name == 'w'


def test_names_of_other_languages_are_kept(tmp_path):
    assert load_label_map(write(tmp_path, 'actions: [öffnen, 握る]\n')).actions == (
        'öffnen',
        '握る',
    )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r'mine\.yaml holds nothing; expected a name, a list of actions'),
        ('- open\n- close\n', 'holds list'),
        ('actions: [open\n', r'mine\.yaml is not YAML'),
        ('!!python/object/apply:os.system [true]\n', 'is not YAML'),
        ('action: [open]\n', 'unknown entries action'),
        ('name: x\n', 'actions is nothing, expected a list'),
        ('actions: open\n', 'actions is str, expected a list'),
        ('actions: {0: open}\n', 'actions is dict, expected a list'),
        ('actions: []\n', 'actions is empty'),
        ('actions: [open, on]\n', r'entry 2 of actions is bool \(True\), .* put it in quotes'),
        ('actions: [open, 3]\n', r'entry 2 of actions is int \(3\)'),
        ('actions: [open, ]\nobjects: [a, [b]]\n', 'entry 2 of objects is list'),
        ('actions: [open, " "]\n', 'entry 2 of actions is empty'),
        ('actions: [open, shut, open]\n', "'open' is entry 1 and entry 3 of actions"),
        ('actions: [open]\nobjects: [a, a]\n', "'a' is entry 1 and entry 2 of objects"),
        ('actions: [open]\nobjects: null\n', 'objects is nothing'),
        ('name: 3\nactions: [open]\n', r'name is int \(3\), expected a text'),
        ('name: ""\nactions: [open]\n', 'name is str'),
    ],
)
def test_file_that_is_no_label_map_is_refused_with_what_it_holds(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_label_map(write(tmp_path, text))


def test_file_that_is_no_text_or_very_large_is_refused(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ConfigError, match='is not YAML'):
        load_label_map(path)
    path.write_text('#' * (1 << 20) + '\nactions: [a]\n')
    with pytest.raises(ConfigError, match='too large'):
        load_label_map(path)


def test_missing_file_is_refused_and_the_names_that_exist_are_told(tmp_path):
    with pytest.raises(ConfigError, match='hto does not exist; give .* fpha, h2o, primitives'):
        load_label_map('hto')
    with pytest.raises(ConfigError, match='is a folder'):
        load_label_map(tmp_path)


def test_network_takes_the_labels_of_its_data_set():
    assert label_map_for(FPHA, 'fpha') == load_label_map('fpha')
    assert label_map_for(H2O, 'h2o') == load_label_map('h2o')


def test_labels_in_the_weights_come_before_the_data_set_and_the_file_before_both(tmp_path):
    stored = LabelMap(name='stored', actions=('a', 'b'), objects=('c',))
    sizes = Sizes(2, 1)
    assert label_map_for(sizes, 'h2o', '', stored) is stored
    path = write(tmp_path, 'actions: [x, y]\nobjects: [z]\n')
    assert label_map_for(sizes, 'h2o', str(path), stored).actions == ('x', 'y')


def test_labels_of_another_length_are_refused_with_both_counts(tmp_path):
    path = write(tmp_path, 'actions: [x, y]\nobjects: [z]\n')
    with pytest.raises(
        ConfigError,
        match=r'htt_labels \(.*mine\.yaml\): 2 actions and 1 objects, but the weights tell 45 '
        'actions and 26 objects',
    ):
        label_map_for(FPHA, 'fpha', str(path))
    with pytest.raises(ConfigError, match=r'htt_labels \(h2o\): 36 actions and 8 objects'):
        label_map_for(FPHA, 'fpha', 'h2o')
    with pytest.raises(ConfigError, match='labels of fpha: 45 actions'):
        label_map_for(H2O, 'fpha')


def test_network_whose_classes_nothing_names_is_refused():
    with pytest.raises(ConfigError, match='nothing names the 7 actions and 2 objects'):
        label_map_for(Sizes(7, 2), '')


def test_every_shipped_map_survives_a_round_trip_through_its_fields():
    for name in SHIPPED:
        labels = load_label_map(name)
        content = {'actions': list(labels.actions), 'objects': list(labels.objects)}
        assert label_map_from(content, source='here', name=name) == labels
