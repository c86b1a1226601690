"""ROS parameters made from the settings dataclasses: one source for name, range and sentence."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from hand_perception.errors import ConfigError
from hand_perception.settings_base import Setting, Settings

SettingsT = TypeVar('SettingsT', bound=Settings)

_TYPES: Final[Mapping[type, int]] = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
}
_INT_MAX: Final = 2**63 - 1
#: Parameters that rclpy itself declares or reads, beside our own.
_OF_RCLPY: Final = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


def descriptor(setting: Setting) -> ParameterDescriptor:
    """Describe a setting to ROS tools: type, sentence, allowed values, read-only unless live."""
    made = ParameterDescriptor(
        name=setting.name,
        type=_TYPES[setting.kind],
        description=setting.sentence,
        additional_constraints=f'Allowed: {setting.allowed}.',
        read_only=not setting.is_live,
    )
    low, high = setting.minimum, setting.maximum
    if low is None and high is None:
        return made
    if setting.kind is int:
        made.integer_range = [
            IntegerRange(
                from_value=-_INT_MAX if low is None else int(low),
                to_value=_INT_MAX if high is None else int(high),
            )
        ]
    else:
        made.floating_point_range = [
            FloatingPointRange(
                from_value=-sys.float_info.max if low is None else float(low),
                to_value=sys.float_info.max if high is None else float(high),
            )
        ]
    return made


class NodeParameters(Generic[SettingsT]):
    """The settings of one node, kept in step with its ROS parameters.

    The node must be made with ``automatically_declare_parameters_from_overrides=True``: values
    from files and the command line are then seen before the types of the descriptors are
    enforced, so a wrong one is refused in our words and ``hand_scale: 1`` is a number.
    """

    def __init__(
        self, node: Node, settings: type[SettingsT], *, on_change: Callable[[SettingsT], None]
    ) -> None:
        """Declare all settings as parameters of ``node``.

        Args:
            node: the node.
            settings: which settings.
            on_change: called with new settings after live parameters were changed.

        Raises:
            ConfigError: a value is not allowed; the message names what is.
        """
        known = {setting.name: setting for setting in settings.settings()}
        values: dict[str, object] = {}
        for name in known:
            if node.has_parameter(name):
                values[name] = node.get_parameter(name).value
        self.unknown_names = sorted(
            name
            for name in node.get_parameters_by_prefix('')
            if name not in known and not name.startswith(_OF_RCLPY)
        )
        self._settings = settings.from_mapping(values)
        for name, setting in known.items():
            if name in values:
                node.undeclare_parameter(name)
            value = getattr(self._settings, name)
            node.declare_parameter(name, value, descriptor(setting), ignore_override=True)
        self._on_change = on_change
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    @property
    def settings(self) -> SettingsT:
        """The settings as they are now."""
        return self._settings

    def _changed(self, parameters: Sequence[Parameter]) -> SettingsT:
        known = {setting.name for setting in self._settings.settings()}
        values = {p.name: p.value for p in parameters if p.name in known}
        return self._settings.replace(**values) if values else self._settings

    def _check(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        try:
            self._changed(parameters)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply(self, parameters: Sequence[Parameter]) -> None:
        changed = self._changed(parameters)
        if changed != self._settings:
            self._settings = changed
            self._on_change(changed)
