"""Count the tests in a folder of JUnit files and say whether the run was good.

Usage: count_tests.py FOLDER [--one-line]

Fails when a test failed, when there is no test at all, and when a test was skipped for a reason
that is not listed in ALLOWED_SKIPS.
"""

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

# The reasons for which a test may be skipped; anything else hides a test that should run.
ALLOWED_SKIPS = (
    r'no CUDA device',  # machines without a GPU
    r'needs the package launch',  # launch is not among the ROS wheels
    r'needs the packages tf2_msgs and tf2_ros',  # nor is tf2
    r'needs timm',  # backbones of others; it wants a torchvision that goes with torch
    r'needs MANO',  # licensed, never shipped: HAND_PERCEPTION_MANO_DIR
    r'needs a camera',  # machines without one
    r'needs the optional package dex_retargeting',  # robot hands; Python below 3.13, numpy 2
)


@dataclass
class Tally:
    """What the files say."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def unexpected_skips(self) -> list[tuple[str, str]]:
        """Skipped tests whose reason is not allowed."""
        return [
            (name, reason)
            for name, reason in self.skipped
            if not any(re.search(allowed, reason) for allowed in ALLOWED_SKIPS)
        ]

    @property
    def is_good(self) -> bool:
        """Whether tests ran, none failed, and none was skipped without an allowed reason."""
        return self.passed > 0 and not self.failed and not self.unexpected_skips

    def line(self) -> str:
        """Return the counts in one line."""
        num_failed = len(self.failed) + len(self.unexpected_skips)
        num_skipped = len(self.skipped) - len(self.unexpected_skips)
        return f'{self.passed} passed, {num_failed} failed, {num_skipped} skipped'


def read(folder: Path) -> Tally:
    """Read every JUnit file below a folder."""
    tally = Tally()
    for path in sorted(folder.rglob('*.xml')):
        for case in ElementTree.parse(path).getroot().iter('testcase'):
            name = f'{case.get("classname", path.stem)}.{case.get("name", "?")}'
            skip = case.find('skipped')
            if case.find('failure') is not None or case.find('error') is not None:
                tally.failed.append(name)
            elif skip is not None:
                tally.skipped.append((name, skip.get('message') or skip.text or ''))
            else:
                tally.passed += 1
    return tally


def main() -> int:
    """Print the counts, and what is wrong unless --one-line is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--one-line', action='store_true')
    arguments = parser.parse_args()
    tally = read(arguments.folder)
    if not arguments.one_line:
        for name in tally.failed:
            print(f'failed: {name}')
        for name, reason in tally.unexpected_skips:
            print(f'skipped, and must not be: {name}: {reason}')
        for name, reason in tally.skipped:
            if (name, reason) not in tally.unexpected_skips:
                print(f'skipped: {name}: {reason}')
        if not tally.passed:
            print('no test passed; a run without tests is a failure')
    print(tally.line())
    return 0 if tally.is_good else 1


if __name__ == '__main__':
    sys.exit(main())
