"""Several trainings side by side that differ in what they are to compare."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from hand_perception.errors import ConfigError
from hand_perception.training.networks import NETWORKS, Network, find_network
from hand_perception.training.run import run_training
from hand_perception.training.run_folder import RunFolder
from hand_perception.training.training_file import Sections, find_training_file, read_training_file

_KEYS: Final = {'network', 'base', 'common', 'variants'}
_FORMAT: Final = (
    'expected network, base (a training file), common (words section.name=value) and variants '
    '(a name and its words each), as in config/train/htt_ablation.yaml'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """What is compared.

    Attributes:
        network: what is trained.
        variants: settings by name, in order.
    """

    network: Network
    variants: Mapping[str, Sections]

    def folder(self, out: Path, name: str) -> RunFolder:
        """Name the folder of a variant."""
        return RunFolder(out / ''.join(c if c.isalnum() else '_' for c in name))


def read_ablation(name: str, *, overrides: Sequence[str] = ()) -> Ablation:
    """Read which variants there are; all of their settings are checked before any is run.

    Args:
        name: a file, or one of those in ``config/train`` without its ending.
        overrides: words for all variants, stronger than theirs.

    Raises:
        ConfigError: no such file, not of this form, or settings that are unknown or not allowed.
    """
    path = find_training_file(name)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'{path} cannot be read as YAML: {error}') from error
    if not isinstance(content, dict) or set(content) != _KEYS:
        raise ConfigError(f'{path} is no comparison; {_FORMAT}')
    if content['network'] not in NETWORKS:
        raise ConfigError(
            f'{path}: network is {content["network"]!r}, expected one of {", ".join(NETWORKS)}'
        )
    common, variants = content['common'], content['variants']
    if not _are_words(common) or not isinstance(variants, dict) or not variants:
        raise ConfigError(f'{path}: common or variants are not as expected; {_FORMAT}')
    network = find_network(content['network'])
    read = {}
    for variant, words in variants.items():
        if not _are_words(words):
            raise ConfigError(f'{path}: the words of {variant!r} are {words!r}; {_FORMAT}')
        try:
            read[str(variant)] = read_training_file(
                str(content['base']), network.sections, overrides=[*common, *words, *overrides]
            )
        except ConfigError as error:
            raise ConfigError(f'{path}, {variant}: {error}') from error
    return Ablation(network=network, variants=read)


def run_ablation(
    ablation: Ablation, out: Path, *, resume: bool = False, show_progress: bool = True,
    command: Sequence[str] = (),
) -> Iterator[tuple[str, Mapping[str, Any]]]:  # fmt: skip
    """Train variant by variant.

    Args:
        ablation: what is compared.
        out: folder of their folders.
        resume: go on where it was stopped; what is done is not done again.
        show_progress: a bar on stderr for each.
        command: that was typed, for the record.

    Yields:
        Name of each variant and what was measured last on held-out samples.

    Raises:
        ConfigError: a folder holds a run and ``resume`` is False, or nothing was held out.
        KeyboardInterrupt: a signal ended a run, which was saved.
    """
    for name, sections in ablation.variants.items():
        folder = ablation.folder(out, name)
        if not (resume and _is_done(folder, sections)):
            done = run_training(
                ablation.network, sections, folder.path, resume=resume,
                show_progress=show_progress, command=command,
            )  # fmt: skip
            if done.outcome.signal:
                raise KeyboardInterrupt
        yield name, _last_figures(folder)


def _is_done(folder: RunFolder, sections: Sections) -> bool:
    if not folder.figures.exists() or not folder.state.exists():
        return False
    steps = [line['step'] for line in folder.read_figures() if line['kind'] == 'validation']
    return bool(steps) and sections.run.steps > 0 and steps[-1] >= sections.run.steps


def _last_figures(folder: RunFolder) -> Mapping[str, Any]:
    found = [line for line in folder.read_figures() if line['kind'] == 'validation']
    if not found:
        raise ConfigError(
            f'{folder.path} has no figures of held-out samples; name some in section data'
        )
    return found[-1]


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
