"""The file that says what a synthetic data set holds: enough to render it when it is asked for."""

import dataclasses
import json
from pathlib import Path
from typing import Final

from hand_perception.datasets.begun_folder import begin_or_go_on
from hand_perception.datasets.synthetic_files import NAME, SPLITS, TABLE
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.synthetic.people import DataSpec

#: Written first, so that a run that goes on cannot mix two specs.
SPEC_FILE: Final = 'spec.json'


def begin_data_set(spec: DataSpec, folder: Path) -> Path:
    """Note in a folder what it holds or will hold; return the file.

    Raises:
        DatasetError: the folder holds data of another spec, or cannot be written.
    """
    path = folder / SPEC_FILE
    begin_or_go_on(
        path, dataclasses.asdict(spec),
        is_taken=any((folder / name).exists() for name in (*SPLITS, TABLE)),
    )  # fmt: skip
    return path


def is_spec_file(kind: str, root: str) -> bool:
    """Tell whether data are named by such a file, and not by a folder of images."""
    return kind == NAME and root.endswith('.json')


def read_spec(path: str | Path) -> DataSpec:
    """Read what ``begin_data_set`` wrote.

    Raises:
        DatasetError: the file is missing, or is not such a file.
        ConfigError: what it says cannot be.
    """
    path = Path(path).expanduser()
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f'{path} cannot be read ({error}); `hand_perception data make-synthetic DIR '
            '--plan-only` writes one'
        ) from error
    names = [field.name for field in dataclasses.fields(DataSpec)]
    if not isinstance(content, dict) or set(content) != set(names):
        raise DatasetError(
            f'{path} does not say what a synthetic data set holds; expected {", ".join(names)}'
        )
    try:
        return DataSpec(**content)
    except (TypeError, ConfigError) as error:
        raise ConfigError(f'{path}: {error}') from error
