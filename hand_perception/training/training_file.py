"""Training files: sections of settings in YAML, changed by ``section.name=value`` words."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import yaml

from hand_perception.errors import ConfigError
from hand_perception.settings_base import Settings
from hand_perception.shared_files import find_shared
from hand_perception.training.settings import OptimizerSettings, RunSettings

SectionsT = TypeVar('SectionsT', bound='Sections')

_NETWORK: Final = 'network'
_FOLDER: Final = Path('config', 'train')
_POWER: Final = re.compile(r'[+-]?\d+(\.\d*)?[eE][+-]?\d+')


@dataclass(frozen=True, kw_only=True)
class Sections:
    """All settings of a training run; a network adds its own groups of settings as fields.

    A subclass names its network and has fields such as ``data: HttDataSettings``, each one a
    subclass of ``Settings`` with a default value. A name of a field is that of a section.
    """

    network: ClassVar[str]

    run: RunSettings = RunSettings()
    optimizer: OptimizerSettings = OptimizerSettings()

    @classmethod
    def groups(cls) -> dict[str, type[Settings]]:
        """The groups of settings by the name of their section."""
        return {field.name: type(_default(field)) for field in dataclasses.fields(cls)}

    @classmethod
    def from_mapping(
        cls: type[SectionsT], values: Mapping[str, Mapping[str, object]]
    ) -> SectionsT:
        """Make settings from values by section and name; what is not named has its default.

        Raises:
            ConfigError: an unknown section or name, or a value that is not allowed.
        """
        groups = cls.groups()
        made: dict[str, Any] = {}
        for section, named in values.items():
            group = groups[_known(section, groups, what='section')]
            names = [setting.name for setting in group.settings()]
            for name in named:
                _known(name, names, what='setting', section=section)
            start = dataclasses.asdict(_default_of(cls, section))
            try:
                read = {name: _number(value) for name, value in named.items()}
                made[section] = group.from_mapping({**start, **read})
            except ConfigError as error:
                raise ConfigError(f'section {section}: {error}') from error
        return cls(**made)

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """Return all values by section and name."""
        return {name: dataclasses.asdict(getattr(self, name)) for name in self.groups()}


def read_training_file(
    name: str, sections: type[SectionsT], *, overrides: Sequence[str] = ()
) -> SectionsT:
    """Read the settings of a run.

    Args:
        name: a file, or one of those in ``config/train`` without its ending.
        sections: what the network knows.
        overrides: ``section.name=value``; the value as YAML writes it.

    Raises:
        ConfigError: no such file, not YAML, of another network, or settings that are unknown
            (the nearest known one is named) or not allowed.
    """
    path = find_training_file(name)
    try:
        values = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'{path} cannot be read as YAML: {error}') from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f'{path} must hold sections of settings, such as "run:"')
    found = values.pop(_NETWORK, None)
    if found != sections.network:
        raise ConfigError(
            f'{path} is for the network {found!r}, expected "{_NETWORK}: {sections.network}"; '
            'name the other network or take another file'
        )
    for section, named in values.items():
        if not isinstance(named, dict) and named is not None:
            raise ConfigError(
                f'{path}: section {section} must hold settings, such as "seed: 0", got {named!r}'
            )
    merged = {section: dict(named or {}) for section, named in values.items()}
    try:
        sections.from_mapping(merged)  # so that a mistake of the file is told of the file
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error
    for section, setting, value in map(_read_override, overrides):
        merged.setdefault(section, {})[setting] = value
    return sections.from_mapping(merged)


def training_text(sections: Sections) -> str:
    """Write all settings of a run as a training file."""
    return yaml.safe_dump(
        {_NETWORK: sections.network, **sections.to_mapping()}, sort_keys=False
    )  # fmt: skip


def find_training_file(name: str) -> Path:
    """Find a training file by its name in ``config/train`` or by its path.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name).expanduser()
    if path.suffix in ('.yaml', '.yml') or path.is_file():
        if path.is_file():
            return path
        raise ConfigError(f'no training file {path}; {_shipped_words()}')
    shared = find_shared(str(_FOLDER / f'{name}.yaml'))
    if shared is None:
        raise ConfigError(f'no training file {name!r}{_nearest(name, shipped())}; '
                          f'{_shipped_words()}')  # fmt: skip
    return shared


def shipped() -> tuple[str, ...]:
    """Names of the training files that come with the package."""
    folder = find_shared(str(_FOLDER))
    return tuple(sorted(path.stem for path in folder.glob('*.yaml'))) if folder else ()


def _shipped_words() -> str:
    return f'give the path of one or a name out of {", ".join(shipped()) or "(none installed)"}'


def _read_override(word: str) -> tuple[str, str, object]:
    key, equals, text = word.partition('=')
    section, dot, name = key.partition('.')
    if not equals or not dot or not section or not name:
        raise ConfigError(
            f'a setting is changed by section.name=value, such as run.seed=1, got {word!r}'
        )
    try:
        return section, name, yaml.safe_load(text) if text else ''
    except yaml.YAMLError as error:
        raise ConfigError(f'the value of {word!r} is not YAML: {error}') from error


def _number(value: object) -> object:
    """Read what YAML 1.1 takes for text as it lacks a point: 1e-4."""
    return float(value) if isinstance(value, str) and _POWER.fullmatch(value) else value


def _default(field: 'dataclasses.Field[Any]') -> Settings:
    default = field.default
    if not isinstance(default, Settings):
        raise TypeError(f'section {field.name} needs a group of settings as default')
    return default


def _default_of(sections: type[Sections], name: str) -> Settings:
    return next(_default(f) for f in dataclasses.fields(sections) if f.name == name)


def _known(name: str, known: Iterable[str], *, what: str, section: str = '') -> str:
    known = list(known)
    if name in known:
        return name
    where = f' in section {section}' if section else ''
    raise ConfigError(
        f'unknown {what} {name!r}{where}{_nearest(name, known)}; known: {", ".join(known)}'
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f', did you mean {near[0]!r}?' if near else ''
