"""Settings of HTT's training; the defaults are those of the publication."""

from dataclasses import dataclass
from typing import ClassVar

from hand_perception.augmentation.settings import ClipAugmentation
from hand_perception.datasets.clips import HANDS, IMAGES, KINDS
from hand_perception.models.htt.constants import POSE_WINDOW, WINDOW
from hand_perception.settings_base import Settings, make_setting
from hand_perception.training.settings import OptimizerSettings
from hand_perception.training.training_file import Sections


@dataclass(frozen=True, kw_only=True)
class HttDataSettings(Settings):
    """Section ``data`` of HTT's training files."""

    kind: str = make_setting('h2o', 'Which data set.', choices=KINDS)
    root: str = make_setting('', 'Its folder.')
    train_split: str = make_setting('train', 'What is learned from.')
    validation_split: str = make_setting(
        '', 'What is looked at from time to time; empty: nothing, as officially.'
    )
    validation_clips: int = make_setting(
        0, 'Clips of it, evenly spread; 0 takes all.', minimum=0
    )  # fmt: skip
    images: str = make_setting('auto', 'Where images are read from.', choices=IMAGES)
    hands: str = make_setting(
        'flagged',
        'Hands of H2O: flagged are those annotated; all is every one, as officially.',
        choices=HANDS,
    )
    window: int = make_setting(WINDOW, 'Images of a clip.', minimum=1)
    pose_window: int = make_setting(POSE_WINDOW, 'Images of a pose window.', minimum=1)
    spacing: int = make_setting(
        2, 'Images of the recording from one of the clip to the next.', minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class HttModelSettings(Settings):
    """Section ``model`` of HTT's training files."""

    weights: str = make_setting(
        '', 'Checkpoint of HTT to go on from, official or ours; empty starts anew.'
    )
    backbone: str = make_setting(
        '',
        'ResNet-18 of ImageNet to start from, as torchvision publishes it '
        '(resnet18-5c106cde.pth), or weights of HTT (.safetensors) whose backbone is taken; '
        'empty: random numbers.',
    )
    width: int = make_setting(
        512, 'Numbers of a token and channels of the last stage; 8 divides it.', minimum=8
    )
    hidden: int = make_setting(2048, 'Inner width of the transformer blocks.', minimum=1)
    pose_layers: int = make_setting(2, 'Layers of the pose block.', minimum=1)
    action_layers: int = make_setting(2, 'Layers of the action block.', minimum=1)
    batch_norm: str = make_setting(
        'stored',
        'Statistics of batch normalisation: stored ones, as officially, or learned, which '
        'random weights need.',
        choices=('stored', 'learned'),
    )
    mean_pose: bool = make_setting(
        False, 'A network that starts anew says the mean pose of the training split at first.'
    )
    freeze: str = make_setting(
        'nothing', 'What is not trained.', choices=('nothing', 'backbone')
    )  # fmt: skip
    images_at_once: int = make_setting(
        0,
        'Images whose backbone is run backward at once; 0: all of a batch. Saves memory, takes '
        'one more forward pass.',
        minimum=0,
    )
    positions: str = make_setting(
        'sines',
        'How places in time are told: by sines, as officially; by a table that is learned; by '
        'what is learned of distances between images.',
        choices=('sines', 'learned', 'relative'),
    )
    pose_windows: str = make_setting(
        'tiled',
        'Pose windows lie side by side, as officially, or slide: each image has one of its own.',
        choices=('tiled', 'sliding'),
    )
    lookahead: int = make_setting(
        0, 'Sliding: images of a pose window that lie after its own.', minimum=0
    )
    smoothing: int = make_setting(
        0,
        'Images over which pose features are smoothed, across windows; 0: not, as officially.',
        minimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class HttLossSettings(Settings):
    """Section ``losses`` of HTT's training files: factors."""

    joints_2d: float = make_setting(1.0, 'Of pixels.', minimum=0.0)
    depth: float = make_setting(100.0, 'Of metres along the viewing axis.', minimum=0.0)
    joints_3d: float = make_setting(
        0.0, 'Of metres in space; officially that loss is only watched.', minimum=0.0
    )
    labels: float = make_setting(1.0, 'Of object and action.', minimum=0.0)
    places: float = make_setting(
        0.0,
        'Of where hands are, cell by cell of the last stage: helps a backbone that starts from '
        'random numbers; officially there is none.',
        minimum=0.0,
    )
    places_joints: float = make_setting(
        1.0, 'In places: of joints around the middle of their hand.', minimum=0.0
    )
    places_first: int = make_setting(
        0,
        'Batches in which nothing else is learned: heads that ask random features for joints '
        'learn not to listen to them.',
        minimum=0,
    )
    norm: str = make_setting('l1', 'How errors of joints count.', choices=('l1', 'l2'))


@dataclass(frozen=True, kw_only=True)
class HttSections(Sections):
    """All settings of a training of HTT."""

    network: ClassVar[str] = 'htt'

    data: HttDataSettings = HttDataSettings()
    model: HttModelSettings = HttModelSettings()
    augmentation: ClipAugmentation = ClipAugmentation()
    losses: HttLossSettings = HttLossSettings()
    optimizer: OptimizerSettings = OptimizerSettings(
        learning_rate=3e-5, schedule='step', decay_epochs=15.0, decay_factor=0.5
    )
