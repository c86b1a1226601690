"""Make the synthetic clip that ships with the package, or another one like it.

Run from the repository's root:
    python tools/make_synthetic_clip.py                      # the shipped clip, from its seed
    python tools/make_synthetic_clip.py --seed 3 --background wood --out my_clip
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.clip import CLIP_SPEC, num_clip_frames, write_clip
from hand_perception.synthetic.scripts import SCRIPTS
from hand_perception.synthetic.situations import SITUATIONS
from hand_perception.synthetic.skin import SKIN_TONES
from hand_perception.synthetic.truth import CLIP_VIDEO


def main() -> None:
    """Parse, render, say what was written."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--out', type=Path, default=CLIP_VIDEO.with_suffix(''),
                        help='files to write, without .mp4 and .json')  # fmt: skip
    parser.add_argument('--seed', type=int, default=CLIP_SPEC.seed)
    parser.add_argument('--script', choices=sorted(SCRIPTS), default=CLIP_SPEC.script)
    parser.add_argument('--situations', nargs='+', choices=list(SITUATIONS), default=[],
                        help='one after the other, instead of the script')  # fmt: skip
    parser.add_argument('--width', type=int, default=CLIP_SPEC.width)
    parser.add_argument('--height', type=int, default=CLIP_SPEC.height)
    parser.add_argument('--duration', type=float, help='seconds; the script at its natural pace')
    parser.add_argument('--rate', type=float, default=30.0, help='images per second')
    parser.add_argument('--background', choices=sorted(BACKGROUNDS), default='desk')
    parser.add_argument('--skin', choices=sorted(SKIN_TONES), default='medium')
    asked = parser.parse_args()
    natural = SCRIPTS[asked.script].duration_s
    spec = dataclasses.replace(
        CLIP_SPEC, seed=asked.seed, script=asked.script, width=asked.width, height=asked.height,
        duration_s=asked.duration or natural, situations=tuple(asked.situations),
        background=asked.background, skin_tone=asked.skin,
    )  # fmt: skip
    video, truth = asked.out.with_suffix('.mp4'), asked.out.with_suffix('.json')
    video.parent.mkdir(parents=True, exist_ok=True)
    total = num_clip_frames(spec, asked.rate)
    for done in write_clip(spec, video, truth, rate_hz=asked.rate):
        end = '\n' if done == total else '\r'
        print(f'{done}/{total} images', end=end, file=sys.stderr, flush=True)
    for path in (video, truth):
        print(f'{path}: {path.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main()
