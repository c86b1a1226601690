"""Commands of training and evaluation in small: whole chains within seconds on a CPU."""

from pathlib import Path

from hand_perception.cli.main import main

#: The training files that come with the package.
RECIPES = {'fpha': 'htt_fpha', 'h2o': 'htt_h2o', 'synthetic': 'htt_synthetic_cpu'}
#: Sizes of an HTT that is trained in no time; its clips are of 8 images, every second one.
HTT = (
    'data.window=8', 'data.pose_window=4', 'data.spacing=2',
    'model.width=64', 'model.hidden=64', 'model.batch_norm=learned', 'model.backbone=',
    'model.mean_pose=false', 'run.batch_size=1', 'run.steps=2', 'run.device=cpu',
    'run.workers=0', 'run.precision=32-true',
)  # fmt: skip
#: Sizes of such a HaMeR.
HAMER = (
    'model.width=64', 'model.depth=2', 'model.heads=4', 'model.mlp_hidden=64',
    'model.decoder_width=64', 'model.decoder_depth=1', 'model.decoder_heads=2',
    'model.decoder_mlp=64', 'model.hand_model=default', 'model.stem=', 'run.batch_size=4',
    'run.steps=2', 'run.device=cpu', 'run.workers=0', 'run.precision=32-true',
)  # fmt: skip
#: The splits that are looked at during training.
HELD_OUT = {'fpha': 'test', 'h2o': 'val', 'synthetic': 'val'}


def command(*words: object) -> int:
    """Run a command of ``hand_perception``; give its exit code."""
    return main([str(word) for word in words])


def make_synthetic(folder: Path) -> Path:
    """Render three people for 8 images each."""
    words = ('--subjects', 1, '--held-out', 1, '--recordings', 1, '--frames', 8)
    assert command('data', 'make-synthetic', folder, *words, '--processes', 1) == 0
    return folder


def train_htt(out: Path, kind: str, root: Path, *more: object) -> int:
    """Train HTT for two steps by the recipe of a data set, in small."""
    data = (f'data.root={root}', f'data.validation_split={HELD_OUT[kind]}',
            'data.validation_clips=2')  # fmt: skip
    return command(
        'train', 'htt', '--config', RECIPES[kind], '--out', out, *HTT, *data, *more
    )  # fmt: skip


def train_hamer(out: Path, data: str, *more: object) -> int:
    """Train HaMeR for two steps by the recipe for synthetic hands, in small."""
    return command('train', 'hamer', '--config', 'hamer_small_synthetic_cpu', '--out', out, *HAMER,
                   f'data.train={data}', 'data.validation=', *more)  # fmt: skip
