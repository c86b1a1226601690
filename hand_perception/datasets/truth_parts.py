"""Some images and some hands of a truth."""

import dataclasses
from typing import Any

from hand_perception.datasets.sample import HandTruth, ManoTruth

_ALL = slice(None)


def part_of(truth: HandTruth, *, images: slice = _ALL, hands: slice = _ALL) -> HandTruth:
    """Take some of T images and some of N hands; what is None stays None.

    Args:
        truth: of T images of N hands.
        images: which of the T images.
        hands: which of the N hands.
    """
    arrays: dict[str, Any] = {
        field.name: getattr(truth, field.name) for field in dataclasses.fields(truth)
    }
    mano = arrays.pop('mano')
    if mano is not None:
        mano = ManoTruth(
            **{
                field.name: getattr(mano, field.name)[images, hands]
                for field in dataclasses.fields(mano)
            }
        )
    parts: dict[str, Any] = {
        name: None if array is None else array[images, hands] for name, array in arrays.items()
    }
    return HandTruth(mano=mano, **parts)
