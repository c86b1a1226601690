"""``hand_perception data make-...``: data sets of our own, and other forms of published ones."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hand_perception.cli.problems import count
from hand_perception.datasets import clips, hands, shard_hands
from hand_perception.datasets.image_lmdb import lmdb_folder
from hand_perception.datasets.make_lmdb import write_lmdb
from hand_perception.datasets.make_shards import Frames, Images, ShardOptions, write_shards
from hand_perception.datasets.segments import Split
from hand_perception.datasets.synthetic_files import TABLE
from hand_perception.errors import ConfigError
from hand_perception.synthetic.data_set import write_data_set
from hand_perception.synthetic.people import SCRIPT_CHOICES, DataSpec
from hand_perception.synthetic.spec_file import begin_data_set


def add_actions(actions: Any) -> None:
    """Add the actions of ``hand_perception data`` that make something."""
    _add_synthetic(actions)
    _add_lmdb(actions)
    _add_shards(actions)


def _add_synthetic(actions: Any) -> None:
    usual = DataSpec()
    action = actions.add_parser(
        'make-synthetic', help='render people with exact truth; goes on where it stopped'
    )
    action.add_argument('folder', metavar='DIR', help='folder to write')
    for name, text in (
        ('subjects', 'people to train on'),
        ('held-out', 'people to validate on, and as many others to test on'),
        ('recordings', 'recordings of each person'),
        ('frames', 'images of a recording'),
        ('seed', 'of everything that is random'),
        ('quality', 'of the JPEG files, 1 to 100'),
        (
            'supersampling',
            'samples per pixel and axis; 2 looks better, takes 2.5 times as long',
        ),
    ):
        value = getattr(usual, name.replace('-', '_'))
        action.add_argument(
            f'--{name}', type=int, default=value, metavar='N', help=f'{text} ({value})'
        )
    action.add_argument(
        '--rate', type=float, default=usual.rate_hz, metavar='HZ',
        help='images per second (30); a few make more different hands of as many images',
    )  # fmt: skip
    action.add_argument(
        '--size', default=f'{usual.width}x{usual.height}', metavar='WxH',
        help='of the images, pixels (480x270, what HTT takes)',
    )  # fmt: skip
    action.add_argument(
        '--script', choices=SCRIPT_CHOICES, default=usual.script,
        help='what hands do: acts (one action in each recording), primitives, desk (acts)',
    )  # fmt: skip
    action.add_argument(
        '--variety', type=float, default=usual.variety, metavar='SHARE',
        help='how far places and turns of hands stray, 0 to 1 (1)',
    )  # fmt: skip
    action.add_argument(
        '--hand-sizes', type=float, default=usual.hand_sizes, metavar='SHARE',
        help='how far sizes of hands stray from the mean, 0 to 0.3 (0.12, as those of adults)',
    )  # fmt: skip
    action.add_argument(
        '--plan-only', action='store_true',
        help='write only spec.json, from which a training renders what it needs',
    )  # fmt: skip
    _add_processes(action)
    action.set_defaults(run=run_synthetic)


def _add_processes(action: Any) -> None:
    action.add_argument(
        '--processes', type=int, default=os.cpu_count() or 1, metavar='N',
        help='that work side by side (one for each core)',
    )  # fmt: skip


def _add_lmdb(actions: Any) -> None:
    action = actions.add_parser(
        'make-lmdb', help='pack the images of clips into lmdb_imgs/SPLIT of their folder'
    )
    action.add_argument('kind', choices=clips.KINDS, metavar='KIND', help=', '.join(clips.KINDS))
    action.add_argument('folder', metavar='DIR', help='folder of the data set')
    action.add_argument('split', metavar='SPLIT', help='train, val or test')
    action.add_argument(
        '--images', choices=('auto', 'files', 'originals'), default='auto',
        help='what to pack: small image files, originals made smaller, or what is there (auto)',
    )  # fmt: skip
    action.set_defaults(run=run_lmdb)


def _add_shards(actions: Any) -> None:
    usual = ShardOptions()
    kinds = tuple(dict.fromkeys((*clips.KINDS, *hands.KINDS)))
    action = actions.add_parser(
        'make-shards', help='pack any data set into tar files of single images with their hands'
    )
    action.add_argument('kind', choices=kinds, metavar='KIND', help=', '.join(kinds))
    action.add_argument('folder', metavar='DIR', help='its folder; the npz file for hamer_eval')
    action.add_argument('split', metavar='SPLIT', help='train, val or test')
    action.add_argument('out', metavar='OUT', help='shards go to OUT/SPLIT')
    action.add_argument(
        '--per-shard', type=int, default=usual.per_shard, metavar='N',
        help=f'images of each shard ({usual.per_shard})',
    )  # fmt: skip
    action.add_argument(
        '--quality', type=int, default=usual.quality, metavar='N',
        help=f'of the JPEG files, 1 to 100 ({usual.quality})',
    )  # fmt: skip
    action.add_argument('--png', action='store_true', help='write PNG: larger, nothing is lost')
    action.add_argument('--version', default='', metavar='NAME', help='of single hands: see docs')
    action.add_argument('--mano-dir', default='', metavar='DIR', help='freihand: MANO_RIGHT.pkl')
    action.add_argument('--images', default='', metavar='DIR', help='hamer_eval: its images')
    _add_processes(action)
    action.set_defaults(run=run_shards)


def run_lmdb(options: argparse.Namespace) -> int:
    """Write an LMDB folder with a bar."""
    if options.split not in clips.SPLITS[options.kind]:
        raise ConfigError(_no_split(options, clips.SPLITS[options.kind]))
    split = clips.open_split(options.kind, options.folder, options.split)
    images = clips.open_images(split, _image_files(split, options.images))
    total = sum(segment.num_frames for segment in split.segments)
    with tqdm(total=total, unit='image', disable=None) as bar:
        for done in write_lmdb(split, images):
            bar.update(done)
    print(
        f'{lmdb_folder(split)}: {count(total, "image")} of {count(len(split.segments), "segment")}'
    )
    return 0


def _image_files(split: Split, images: str) -> str:
    """Take small files where they are there, else originals; never an LMDB folder."""
    if images != 'auto':
        return images
    small = split.image_path(split.segments[0], 0, is_original=False)
    return 'files' if small.parent.is_dir() else 'originals'


def run_shards(options: argparse.Namespace) -> int:
    """Write shards with a bar."""
    splits = {**hands.SPLITS, **clips.SPLITS}[options.kind]
    if options.split not in splits:
        raise ConfigError(_no_split(options, splits))
    images: Images
    if options.kind in clips.KINDS:
        split = clips.open_split(options.kind, options.folder, options.split)
        images = Frames(split, clips.open_images(split))
    else:
        images = hands.open_hands(
            options.kind, options.folder, options.split, version=options.version,
            mano_dir=options.mano_dir, images=options.images,
        )  # fmt: skip
    how = ShardOptions(
        per_shard=options.per_shard, quality=options.quality, lossless=options.png
    )  # fmt: skip
    out = Path(options.out).expanduser() / options.split
    made_of = ''
    if options.kind == shard_hands.NAME:
        made_of = shard_hands.source_of(options.folder, options.split)
    source = ' '.join(filter(None, (options.kind, options.split, options.version, made_of)))
    number = 0
    with tqdm(total=len(images), unit='image', disable=None) as bar:
        for done in write_shards(
            images, out, source=source, options=how, num_processes=options.processes
        ):
            number += 1
            bar.update(done)
    print(f'{out}: {count(len(images), "image")} in {count(number, "shard")}')
    return 0


def _no_split(options: argparse.Namespace, splits: Sequence[str]) -> str:
    return f'{options.kind} has the splits {", ".join(splits)}, got {options.split}'


def run_synthetic(options: argparse.Namespace) -> int:
    """Write the data set with a bar; say what it holds."""
    spec = DataSpec(
        seed=options.seed, subjects=options.subjects, held_out=options.held_out,
        recordings=options.recordings, frames=options.frames, rate_hz=options.rate,
        script=options.script, variety=options.variety,
        hand_sizes=options.hand_sizes, supersampling=options.supersampling,
        quality=options.quality, **read_size(options.size),
    )  # fmt: skip
    if options.plan_only:
        path = begin_data_set(spec, Path(options.folder).expanduser())
        print(f'{path}: name it in the place of the folder to train without a disk')
        return 0
    takes = spec.takes
    with tqdm(total=len(takes) * spec.frames, unit='image', disable=None) as bar:
        for _ in write_data_set(spec, options.folder, num_processes=options.processes):
            bar.update(spec.frames)
    print(
        f'{options.folder}: {count(len(takes), "recording")}, '
        f'{count(len(takes) * spec.frames, "image")}; '
        f'{spec.subjects} people to train on, {spec.held_out} to validate on, {spec.held_out} to '
        f'test on; {TABLE} lists them'
    )
    return 0


def read_size(text: str) -> dict[str, int]:
    """Read ``480x270``."""
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f'--size must be like 480x270, got {text!r}')
    return {'width': int(width), 'height': int(height)}
