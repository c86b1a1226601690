"""Commands in the documents are understood, word by word."""

import re
import shlex
from pathlib import Path

import pytest

from hand_perception.cli.main import make_parser
from hand_perception.training.networks import NETWORKS, find_network
from hand_perception.training.training_file import read_training_file

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')))


def commands():
    """Every command of ``hand_perception`` in a block of code, with its page."""
    for page in PAGES:
        for block in re.findall(r'^```\w*\n(.*?)^```', page.read_text(), re.DOTALL | re.MULTILINE):
            for line in block.replace('\\\n', ' ').splitlines():
                line = re.sub(r'<[^>]*>', 'PLACE', line)
                words = shlex.split(line.strip().removeprefix('$ '), comments=True)
                if 'hand_perception.cli' in words:  # python -m, torchrun -m
                    words = ['hand_perception', *words[words.index('hand_perception.cli') + 1 :]]
                if words and words[0] == 'hand_perception':
                    name = f'{page.name}: {" ".join(words[1:])}'
                    yield pytest.param(words[1:], id=name[:90])


@pytest.mark.parametrize('words', list(commands()))
def test_documented_command_is_understood(words, capsys):
    try:
        options = make_parser().parse_args([word for word in words if word != '...'])
    except SystemExit as error:
        assert error.code == 0, capsys.readouterr().err
        return
    if options.command == 'train' and options.network in NETWORKS and options.config:
        sections = find_network(options.network).sections
        read_training_file(options.config, sections, overrides=options.overrides)


def test_there_are_commands_of_training_and_evaluation():
    told = {tuple(parameter.values[0][:2]) for parameter in commands()}
    wanted = {(do, network) for do in ('train', 'evaluate') for network in ('htt', 'hamer')}
    assert wanted <= told
