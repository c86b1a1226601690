"""What a setting is: default, range, sentence, live or not; groups of them check themselves."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hand_perception.errors import ConfigError

SettingValue = bool | int | float | str
SettingsT = TypeVar('SettingsT', bound='Settings')


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known of one setting beside its value."""

    name: str
    kind: type
    default: SettingValue
    sentence: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    is_live: bool

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and tables."""
        if self.choices:
            return ' or '.join(repr(choice) for choice in self.choices)
        if self.kind is bool:
            return 'true or false'
        if self.minimum is not None or self.maximum is not None:
            low = '-inf' if self.minimum is None else f'{self.minimum:g}'
            high = 'inf' if self.maximum is None else f'{self.maximum:g}'
            return f'{low} to {high}'
        return {str: 'text', int: 'a whole number', float: 'a number'}[self.kind]

    def check(self, value: object) -> SettingValue:
        """Return the value in the setting's type.

        Raises:
            ConfigError: wrong type, out of range, or not one of the choices.
        """
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.kind is str and type(value) is int:
            value = str(value)  # a camera number, which YAML reads as a whole number
        is_right_type = type(value) is self.kind
        if not is_right_type or not self._is_allowed(value):
            raise ConfigError(
                f'{self.name} must be {self.allowed}, got {value!r}'
                + ('' if is_right_type else f' ({type(value).__name__})')
            )
        return value  # type: ignore[return-value]  # the type was compared above

    def _is_allowed(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, float) and not math.isfinite(value):
            return False
        above = self.minimum is None or value >= self.minimum
        return above and (self.maximum is None or value <= self.maximum)


def make_setting(
    default: Any,
    sentence: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """Make the dataclass field of a setting.

    Args:
        default: value, whose type is the type of the setting.
        sentence: what it is, for people.
        minimum: least number.
        maximum: greatest number.
        choices: allowed words.
        live: may be changed while running.
    """
    details = {
        'sentence': sentence, 'minimum': minimum, 'maximum': maximum,
        'choices': choices, 'is_live': live,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=details)


def _described(field: 'dataclasses.Field[Any]') -> Setting:
    default: Any = field.default
    return Setting(name=field.name, kind=type(default), default=default, **field.metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A frozen group of settings that checks itself when it is made."""

    def __post_init__(self) -> None:
        """Refuse values outside what a setting allows."""
        for setting in self.settings():
            value = setting.check(getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """List the settings in the order in which they were written."""
        return tuple(_described(f) for f in dataclasses.fields(cls))

    @classmethod
    def from_mapping(cls: type[SettingsT], values: Mapping[str, object]) -> SettingsT:
        """Make settings from names and values.

        Raises:
            ConfigError: an unknown name or a value that is not allowed.
        """
        known = {setting.name for setting in cls.settings()}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f'unknown setting {", ".join(unknown)}; {cls.__name__} knows '
                f'{", ".join(sorted(known))}'
            )
        return cls(**values)

    def replace(self: SettingsT, **values: object) -> SettingsT:
        """Return a checked copy with some values changed."""
        return dataclasses.replace(self, **values)
