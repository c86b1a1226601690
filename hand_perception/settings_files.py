"""Write the parameter files in ``config/`` and the tables in ``docs/`` from the settings.

``python -m hand_perception.settings_files`` writes them, ``--check`` tells which are out of date.
"""

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from hand_perception import config
from hand_perception.config import PerceptionSettings, VideoSourceSettings
from hand_perception.settings_base import Settings, SettingValue
from hand_perception.teleop.node_settings import TeleopNodeSettings

#: Parameter file -> node -> (settings, values that differ from the defaults in this set-up).
PROFILES: Final[Mapping[str, Mapping[str, tuple[type[Settings], Mapping[str, SettingValue]]]]] = {
    'egocentric': {
        'perception': (PerceptionSettings, {}),
        'video_source': (VideoSourceSettings, {}),
    },
    # A robot's camera: frames must be fresh, and hands that are not the operator's may appear.
    'robot': {
        'perception': (PerceptionSettings, {'max_age_ms': 200.0}),
    },
    # What is older than teleop would use is not worth a look.
    'teleoperation': {
        'perception': (PerceptionSettings, {'max_age_ms': 150.0}),
        'video_source': (VideoSourceSettings, {}),
        'teleop': (TeleopNodeSettings, {}),
    },
}

_TITLES: Final = {
    'egocentric': 'A head- or chest-mounted camera, or a video of one.',
    'robot': 'A camera driver on a robot publishes the images.',
    'teleoperation': 'A camera sees the hands of an operator; they drive the arms of a robot.',
}
_TABLE: Final = re.compile(
    r'(<!-- settings:(?P<name>\w+) -->\n)(?P<table>.*?)(<!-- /settings -->)', re.DOTALL
)


def parameter_file(profile: str) -> str:
    """Write one ROS 2 parameter file as text: every setting with its sentence and range."""
    lines = [
        f'# {_TITLES[profile]}',
        '# Made by `python -m hand_perception.settings_files`; copy it to change values.',
    ]
    for node, (settings, changes) in PROFILES[profile].items():
        values = settings.from_mapping(changes)
        lines += [f'/**/{node}:', '  ros__parameters:']
        for setting in settings.settings():
            live = ' Live.' if setting.is_live else ''
            comment = f'{setting.sentence} Allowed: {setting.allowed}.{live}'
            lines += textwrap.wrap(
                comment, 99, initial_indent='    # ', subsequent_indent='    # '
            )
            lines.append(f'    {setting.name}: {_yaml(getattr(values, setting.name))}')
    return '\n'.join(lines) + '\n'


def markdown_table(settings: type[Settings]) -> str:
    """Write the settings of one group as a Markdown table."""
    rows = [
        '| parameter | default | allowed | live | meaning |',
        '| --- | --- | --- | --- | --- |',
    ]
    for setting in settings.settings():
        live = 'yes' if setting.is_live else 'no'
        rows.append(
            f'| `{setting.name}` | `{_yaml(setting.default)}` | {setting.allowed} | {live} '
            f'| {setting.sentence} |'
        )
    return '\n'.join(rows) + '\n'


def fill_tables(text: str) -> str:
    """Fill every ``<!-- settings:NAME -->`` block of a Markdown text."""

    def table(match: re.Match[str]) -> str:
        in_profiles = {s.__name__: s for nodes in PROFILES.values() for s, _ in nodes.values()}
        settings = in_profiles.get(match['name']) or getattr(config, match['name'])
        return f'{match[1]}{markdown_table(settings)}{match[4]}'

    return _TABLE.sub(table, text)


def files(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each generated file of a source tree and what it should hold."""
    for profile in PROFILES:
        yield root / 'config' / f'{profile}.yaml', parameter_file(profile)
    for page in [root / 'README.md', *sorted((root / 'docs').glob('*.md'))]:
        if page.exists():
            text = page.read_text(encoding='utf-8')
            if _TABLE.search(text):
                yield page, fill_tables(text)


def main(arguments: list[str] | None = None) -> int:
    """Write or check the generated files; return 1 when a checked file is out of date."""
    parser = argparse.ArgumentParser(prog='hand_perception.settings_files', description=__doc__)
    parser.add_argument('--check', action='store_true', help='change nothing, tell what differs')
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args(arguments)
    stale = [
        (path, text)
        for path, text in files(options.root)
        if not path.exists() or path.read_text(encoding='utf-8') != text
    ]
    for path, text in stale:
        if options.check:
            print(f'{path} is out of date; run: python -m hand_perception.settings_files')
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding='utf-8')
            print(f'wrote {path}')
    return int(options.check and bool(stale))


def _yaml(value: SettingValue) -> str:
    return json.dumps(value)  # JSON scalars are YAML scalars


if __name__ == '__main__':
    sys.exit(main())
