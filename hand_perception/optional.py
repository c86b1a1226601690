"""Import optional packages where they are needed, with an error that says how to get them."""

import importlib
from types import ModuleType

from hand_perception.errors import MissingPackageError


def require(name: str, *, purpose: str, install: str | None = None) -> ModuleType:
    """Import an optional package.

    Args:
        name: the module to import.
        purpose: what needs it, for the error message.
        install: what to do when it is not there; ``pip install <name>`` when None.

    Raises:
        MissingPackageError: the package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split('.')[0] != name.split('.')[0]:
            raise  # the package is there, one of its own imports is not
        hint = install or f'install it with: pip install {name}'
        raise MissingPackageError(
            f'{purpose} needs the Python package {name!r}, which is not installed; {hint}'
        ) from error
