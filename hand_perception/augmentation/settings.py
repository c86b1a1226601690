"""Settings of augmentation; the defaults are the published ones, 0 switches a kind off."""

from dataclasses import dataclass

from hand_perception.settings_base import Settings, make_setting


@dataclass(frozen=True, kw_only=True)
class ClipAugmentation(Settings):
    """What happens to the clips that HTT learns from."""

    shift: float = make_setting(
        0.1,
        'Largest shift of a clip along each axis, in widths of the image; 0 is off.',
        minimum=0.0,
        maximum=0.5,
    )
    scale: float = make_setting(
        0.0,
        'How much the part of the image that is seen becomes larger or smaller; 0 is off, as '
        'published.',
        minimum=0.0,
        maximum=0.9,
    )
    scale_rule: str = make_setting(
        'official',
        'How scales are drawn: sane takes any between 1 - scale and 1 + scale; official follows '
        'the published program, which clips scale times a normal number to that range, and so '
        'nearly always gives 1 - scale.',
        choices=('official', 'sane'),
    )
    blur: float = make_setting(
        0.5,
        'Largest radius of the blur of an image, pixels; drawn for every image; 0 is off.',
        minimum=0.0,
        maximum=10.0,
    )
    brightness: float = make_setting(
        0.5,
        'Brightness is multiplied by up to 1 - this and 1 + this; once for a clip; 0 is off.',
        minimum=0.0,
        maximum=1.0,
    )
    contrast: float = make_setting(
        0.5,
        'The same of contrast; 0 is off.',
        minimum=0.0,
        maximum=1.0,
    )
    saturation: float = make_setting(
        0.5,
        'The same of saturation; 0 is off.',
        minimum=0.0,
        maximum=1.0,
    )
    hue: float = make_setting(
        0.15,
        'Largest shift of the hue, in turns of the colour circle; once for a clip; 0 is off.',
        minimum=0.0,
        maximum=0.5,
    )


@dataclass(frozen=True, kw_only=True)
class CropAugmentation(Settings):
    """What happens to the crops that HaMeR learns from; left hands are mirrored in any case."""

    scale: float = make_setting(
        0.3,
        'The square becomes larger or smaller by up to this share; 0 is off.',
        minimum=0.0,
        maximum=0.9,
    )
    rotation_deg: float = make_setting(
        30.0,
        'Turns of the image are normal numbers times this, up to twice of it; 0 is off.',
        minimum=0.0,
        maximum=90.0,
    )
    rotation_share: float = make_setting(
        0.6,
        'Share of the crops that are turned.',
        minimum=0.0,
        maximum=1.0,
    )
    shift: float = make_setting(
        0.02,
        'Largest shift along each axis, in sides of the square; 0 is off.',
        minimum=0.0,
        maximum=0.5,
    )
    colour: float = make_setting(
        0.2,
        'Each colour channel is multiplied by 1 - this to 1 + this; 0 is off.',
        minimum=0.0,
        maximum=1.0,
    )


#: Nothing is changed: what validation uses.
NO_CLIP_AUGMENTATION = ClipAugmentation(
    shift=0.0, scale=0.0, blur=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0
)
NO_CROP_AUGMENTATION = CropAugmentation(
    scale=0.0, rotation_deg=0.0, rotation_share=0.0, shift=0.0, colour=0.0
)
