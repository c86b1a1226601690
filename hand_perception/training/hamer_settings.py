"""Settings of HaMeR's training: which network, which data, which losses."""

from dataclasses import dataclass
from typing import ClassVar

from hand_perception.augmentation.settings import CropAugmentation
from hand_perception.errors import ConfigError
from hand_perception.models.hamer.stem import NUM_STEPS
from hand_perception.settings_base import Settings, make_setting
from hand_perception.training.hamer_losses import HamerLossWeights
from hand_perception.training.settings import OptimizerSettings, RunSettings
from hand_perception.training.training_file import Sections


@dataclass(frozen=True, kw_only=True)
class HamerModelSettings(Settings):
    """Section ``model``: where weights come from, or how large a new network is."""

    weights: str = make_setting(
        '',
        'Go on from these weights: hamer.ckpt, an export, or their folder. All sizes are theirs '
        'then; empty for a new network.',
    )
    hand_model: str = make_setting(
        'mano',
        'The hand that a new network poses: MANO, or the one that ships with this package, which '
        'fits synthetic data.',
        choices=('mano', 'default'),
    )
    mano_dir: str = make_setting('', 'Folder of MANO_RIGHT.pkl.')
    mean_params: str = make_setting(
        '',
        'mano_mean_params.npz for a new network; empty takes the mean of the real poses.',
    )
    backbone_weights: str = make_setting(
        '', "ViTPose's backbone for a new network, as HaMeR's training starts from."
    )
    width: int = make_setting(1280, 'Width of the backbone.', minimum=1)
    depth: int = make_setting(32, 'Blocks of the backbone.', minimum=1)
    heads: int = make_setting(16, 'Attention heads of the backbone.', minimum=1)
    mlp_hidden: int = make_setting(5120, 'Width within its MLPs.', minimum=1)
    stem: str = make_setting(
        '',
        'Channels of four convolutions in the place of patches, such as "16 32 64 128"; or the '
        'name of a network of timm, such as "timm:resnet18"; empty for patches, as published.',
    )
    timm_pretrained: bool = make_setting(
        False, 'A network of timm starts with the weights that timm fetches.'
    )
    stochastic_depth: float = make_setting(
        0.55, 'Share of the samples that the last block is left out for.', minimum=0.0, maximum=0.9
    )
    decoder_width: int = make_setting(1024, 'Width of the decoder.', minimum=1)
    decoder_depth: int = make_setting(6, 'Layers of the decoder.', minimum=1)
    decoder_heads: int = make_setting(8, 'Attention heads of the decoder.', minimum=1)
    decoder_head_width: int = make_setting(64, 'Width of each of them.', minimum=1)
    decoder_mlp: int = make_setting(1024, 'Width within its MLPs.', minimum=1)
    start_scale: float = make_setting(
        0.9,
        'Scale of the crop camera that a new network starts from, without mean_params. A hand of '
        '20 cm that fills half of the crop has 5.',
        minimum=0.01,
    )

    @property
    def stem_widths(self) -> tuple[int, ...]:
        """Channels of the convolutions; empty for patches and for timm.

        Raises:
            ConfigError: they are not four multiples of 8.
        """
        if not self.stem or self.timm_name:
            return ()
        try:
            widths = tuple(int(word) for word in self.stem.replace(',', ' ').split())
        except ValueError as error:
            raise ConfigError(self._stem_words()) from error
        if len(widths) != NUM_STEPS or any(width < 8 or width % 8 for width in widths):
            raise ConfigError(self._stem_words())
        return widths

    @property
    def timm_name(self) -> str:
        """Name of the network of timm; empty for none."""
        return self.stem.removeprefix('timm:') if self.stem.startswith('timm:') else ''

    def _stem_words(self) -> str:
        return (
            f'model.stem must be {NUM_STEPS} multiples of 8, such as "16 32 64 128", or '
            f'"timm:NAME", got {self.stem!r}'
        )


@dataclass(frozen=True, kw_only=True)
class HamerDataSettings(Settings):
    """Section ``data``: what is learned from and measured on."""

    train: str = make_setting(
        '',
        'Training data as KIND:FOLDER, several with weights: '
        '"freihand:/data/FreiHAND=0.25, ho3d:/data/HO3D_v3=0.05".',
    )
    train_split: str = make_setting('train', 'Split of all of them.')
    epoch_length: int = make_setting(
        0, 'Samples of an epoch of several data sets; 0: as many as they have.', minimum=0
    )
    validation: str = make_setting('', 'Held-out data as KIND:FOLDER; empty for none.')
    validation_split: str = make_setting('val', 'Split of them.')
    validation_hands: int = make_setting(
        512, 'Hands of them that are looked at, evenly from the first to the last.', minimum=1
    )
    real_poses: str = make_setting(
        '',
        'Poses of real hands for the discriminator, as KIND:FOLDER or the official npz file; '
        'empty takes those of the first of the training data.',
    )
    max_real_poses: int = make_setting(
        20000, 'Hands of a data set whose poses are taken, evenly from first to last.', minimum=1
    )
    betas_prior: bool = make_setting(
        True, 'Hands of unknown shape are asked for the mean shape, as published.'
    )


@dataclass(frozen=True, kw_only=True)
class HamerLossSettings(Settings):
    """Section ``losses``: factors of the sums; the defaults are the published ones."""

    keypoints_2d: float = make_setting(0.01, 'Joints in the crop.', minimum=0.0)
    keypoints_3d: float = make_setting(0.05, 'Joints relative to the wrist.', minimum=0.0)
    global_orient: float = make_setting(0.001, 'Orientation of the hand.', minimum=0.0)
    hand_pose: float = make_setting(0.001, 'Rotations of the joints.', minimum=0.0)
    betas: float = make_setting(0.0005, 'Shape.', minimum=0.0)
    adversarial: float = make_setting(
        0.0005, 'What the discriminator says; 0 leaves it away.', minimum=0.0
    )

    @property
    def weights(self) -> HamerLossWeights:
        """The same for ``hamer_losses``."""
        return HamerLossWeights(
            keypoints_2d=self.keypoints_2d, keypoints_3d=self.keypoints_3d,
            global_orient=self.global_orient, hand_pose=self.hand_pose, betas=self.betas,
            adversarial=self.adversarial,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class HamerSections(Sections):
    """All settings of a run; what a file leaves out is as published, where it was published."""

    network: ClassVar[str] = 'hamer'

    run: RunSettings = RunSettings(batch_size=8, steps=1_000_000, precision='16-mixed')
    optimizer: OptimizerSettings = OptimizerSettings(
        kind='adamw', learning_rate=1e-5, weight_decay=1e-4
    )
    model: HamerModelSettings = HamerModelSettings()
    data: HamerDataSettings = HamerDataSettings()
    augmentation: CropAugmentation = CropAugmentation()
    losses: HamerLossSettings = HamerLossSettings()
