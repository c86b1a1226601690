"""The part of HaMeR's model_config.yaml that inference needs, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from hand_perception.errors import WeightsError

IMAGE_SIZE_PX: Final = 256
#: Names a network of timm in the backbone; the published configuration does not have it.
TIMM_KEY: Final = 'MODEL.BACKBONE.TIMM'
_MAX_BYTES: Final = 1 << 20  # the published file has 2 kB
_HINT: Final = 'use the model_config.yaml that came with the checkpoint'


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerConfig:
    """What inference needs to know beside the weights.

    Attributes:
        source: the file's name, for messages.
        image_mean: of R, G, B in 0..1.
        image_std: of R, G, B in 0..1.
        focal_length: of the crop camera, pixels of the 256 square.
        mean_params: MANO.MEAN_PARAMS, path of the mean parameters relative to the data folder.
        backbone_timm: name of the network of timm that stands in the place of patches; empty, as
            published, for none.
        backbone_width: as the fields below None where the file leaves it to the weights.
    """

    source: str
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    focal_length: float
    mean_params: str
    backbone_width: int | None
    backbone_depth: int | None
    backbone_heads: int | None
    decoder_width: int | None
    decoder_depth: int | None
    decoder_heads: int
    decoder_head_width: int
    decoder_mlp: int | None
    decoder_context: int | None
    backbone_timm: str = ''


def read_config_file(path: Path) -> dict[str, Any]:
    """Read the file as plain values.

    Raises:
        WeightsError: it is missing, damaged, or not a mapping.
    """
    try:
        with path.open('rb') as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise WeightsError(f'{path} has more than {_MAX_BYTES >> 20} MB; {_HINT}')
        values = yaml.safe_load(content)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise WeightsError(f'{path} cannot be read ({error}); {_HINT}') from error
    if not isinstance(values, dict):
        raise WeightsError(f'{path} holds no settings; {_HINT}')
    return values


def parse_config(values: Mapping[str, Any], *, source: str) -> HamerConfig:
    """Pick what inference needs and refuse what this code does not do.

    Args:
        values: the content of model_config.yaml.
        source: the file's name, for messages.

    Raises:
        WeightsError: the values are of another model or of the wrong type.
    """
    view = _View(values, source)
    view.demand('MODEL.BACKBONE.TYPE', 'vit')
    view.demand('MODEL.MANO_HEAD.TYPE', 'transformer_decoder')
    view.demand('MODEL.IMAGE_SIZE', IMAGE_SIZE_PX)
    decoder = 'MODEL.MANO_HEAD.TRANSFORMER_DECODER'
    # Options of the official code that the release does not use, and that change the maths.
    view.demand(f'{decoder}.norm', 'layer')
    view.demand('MODEL.MANO_HEAD.JOINT_REP', '6d', is_optional=True)
    view.demand('MODEL.MANO_HEAD.TRANSFORMER_INPUT', 'zero', is_optional=True)
    view.demand('MODEL.MANO_HEAD.IEF_ITERS', 1, is_optional=True)
    return HamerConfig(
        source=source,
        image_mean=view.triple('MODEL.IMAGE_MEAN'),
        image_std=view.triple('MODEL.IMAGE_STD', above_zero=True),
        focal_length=view.number('EXTRA.FOCAL_LENGTH'),
        mean_params=str(view.get('MANO.MEAN_PARAMS', 'data/mano_mean_params.npz')),
        backbone_width=view.count('MODEL.BACKBONE.EMBED_DIM', None),
        backbone_depth=view.count('MODEL.BACKBONE.DEPTH', None),
        backbone_heads=view.count('MODEL.BACKBONE.NUM_HEADS', None),
        decoder_width=view.count(f'{decoder}.dim', None),
        decoder_depth=view.count(f'{decoder}.depth', None),
        decoder_heads=view.count(f'{decoder}.heads', None) or 8,
        decoder_head_width=view.count(f'{decoder}.dim_head', None) or 64,
        decoder_mlp=view.count(f'{decoder}.mlp_dim', None),
        decoder_context=view.count(f'{decoder}.context_dim', None),
        backbone_timm=view.word(TIMM_KEY),
    )


class _View:
    """Looks values up by dotted path and complains with file and path."""

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        self._values = values
        self._source = source

    def get(self, path: str, default: Any) -> Any:
        value: Any = self._values
        for part in path.split('.'):
            if not isinstance(value, Mapping) or part not in value:
                return default
            value = value[part]
        return value

    def demand(self, path: str, wanted: object, *, is_optional: bool = False) -> None:
        found = self.get(path, wanted if is_optional else None)
        if found != wanted:
            raise WeightsError(
                f'{self._source} is not of a HaMeR that this package runs: {path} must be '
                f'{wanted!r}, got {found!r}; {_HINT}'
            )

    def count(self, path: str, default: int | None) -> int | None:
        value = self.get(path, default)
        if value is not None and (type(value) is not int or not 1 <= value <= 1 << 16):
            self._refuse(path, 'a whole number from 1', value)
        return value

    def number(self, path: str) -> float:
        value = self.get(path, None)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            self._refuse(path, 'a number above 0', value)
        return float(value)

    def word(self, path: str) -> str:
        value = self.get(path, '')
        if not isinstance(value, str):
            self._refuse(path, 'a name', value)
        return str(value)

    def triple(self, path: str, *, above_zero: bool = False) -> tuple[float, float, float]:
        value = self.get(path, None)
        is_right = isinstance(value, list) and len(value) == 3
        if not is_right or not all(
            type(v) in (int, float) and -10 < v < 10 and (v > 0 or not above_zero) for v in value
        ):
            self._refuse(path, 'three numbers for R, G, B', value)
        return float(value[0]), float(value[1]), float(value[2])

    def _refuse(self, path: str, wanted: str, found: object) -> None:
        raise WeightsError(f'{self._source}: {path} must be {wanted}, got {found!r}; {_HINT}')
