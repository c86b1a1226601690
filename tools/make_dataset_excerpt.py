"""Make test/data/ego_loaders.npz: what the published loaders give on fake trees of FPHA and H2O.

    python -m tools.make_dataset_excerpt TREES REFERENCES

TREES holds fpha/ and h2o/ as the maker of the reference numbers writes them (drawn hands, nothing
recorded); REFERENCES holds fpha_loader_reference.npz and h2o_loader_reference.npz, the answers of
the published code for these trees. Kept are all windows and labels, and for a few sequences the
numbers in the annotation files beside the joints that came out.
"""

import argparse
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[1] / 'test' / 'data' / 'ego_loaders.npz'
SPLITS = {'fpha': ('train', 'test'), 'h2o': ('train', 'val', 'test')}
SKELETONS = {
    'fpha/train': 'Subject_1/open_juice_bottle/1', 'fpha/test': 'Subject_4/read_letter/1',
}  # fmt: skip
#: Split, recording and segment of H2O of which the hands are kept.
HANDS = {'h2o/val': ('subject3/o1/1', (34,)), 'h2o/test': ('subject4/h2/2', range(3, 20))}


def excerpt(trees: Path, references: Path) -> dict[str, np.ndarray]:
    """Gather what is kept."""
    kept: dict[str, np.ndarray] = {}
    for kind, splits in SPLITS.items():
        with np.load(references / f'{kind}_loader_reference.npz') as reference:
            kept[f'{kind}/lengths'] = np.array([reference['T'], reference['t']])
            for split in splits:
                name = f'{kind}/{split}'
                for windows in ('eval', 'train'):
                    for key in ('window_starts', 'window_frames', 'window_valid'):
                        kept[f'{name}/{windows}/{key}'] = reference[
                            f'{split}/{windows}/{key}'
                        ].astype(np.int16)
                for key in ('action', 'object'):
                    kept[f'{name}/{key}'] = reference[f'{split}/{key}'].astype(np.int8)
                images = list(reference[f'{split}/image_names'])
                kept[f'{name}/K'] = reference[f'{split}/camintr']
                kept.update(_hands(trees / kind, name, images, reference, split))
    return kept


def _hands(root, name, images, reference, split):
    if name in SKELETONS:
        sequence = SKELETONS[name]
        path = root / 'Hand_pose_annotation_v1' / sequence / 'skeleton.txt'
        rows = np.array([line.split() for line in path.read_text().splitlines()], np.float64)
        numbers = rows[:, 1:]
        first = images.index(f'{sequence}/color/color_0000.jpeg')
    elif name in HANDS:
        recording, frames = HANDS[name]
        folder = root / recording / 'cam4'
        texts = [(folder / 'hand_pose' / f'{frame:06d}.txt').read_text() for frame in frames]
        numbers = np.array([text.split() for text in texts], np.float64)
        first = images.index(f'{recording}/cam4/rgb480_270/{frames[0]:06d}.png')
    else:
        return {}
    place = slice(first, first + len(numbers))
    return {
        f'{name}/numbers': numbers.astype(np.float64),
        f'{name}/joints_3d': reference[f'{split}/joints3d'][place],
        f'{name}/joints_25d': reference[f'{split}/joints25d'][place],
    }


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('trees', type=Path)
    parser.add_argument('references', type=Path)
    options = parser.parse_args()
    np.savez_compressed(OUT, **excerpt(options.trees, options.references))
    print(f'wrote {OUT} ({OUT.stat().st_size} bytes)')


if __name__ == '__main__':
    main()
