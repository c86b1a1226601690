"""Mend the CMake files of ROS wheels: their include folders are those of another machine.

The exported targets of the wheels name the Python and numpy header folders of the machine that
built them (/opt/python/cp3XX-cp3XX/...). CMake refuses targets whose include folders do not exist,
so both are rewritten to the folders of the running interpreter. Running it again changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILD_MACHINE_FOLDER = re.compile(
    r'/opt/(?:python|_internal)/[^";]*?/include(?:/python3\.\d+)?(?=[";])'
)


def mend(text: str) -> str:
    """Return the CMake text with the include folders of this interpreter."""

    def here(match: re.Match[str]) -> str:
        if 'numpy' in match.group():
            return numpy.get_include()
        return sysconfig.get_paths()['include']

    return BUILD_MACHINE_FOLDER.sub(here, text)


def main() -> None:
    """Mend every CMake file below the share folder of the running environment."""
    for path in sorted(Path(sys.prefix, 'share').rglob('*.cmake')):
        text = path.read_text(encoding='utf-8')
        mended = mend(text)
        if mended != text:
            path.write_text(mended, encoding='utf-8')


if __name__ == '__main__':
    main()
