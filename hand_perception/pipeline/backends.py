"""What reconstructs hands and what names their actions: chosen and loaded by the settings."""

from collections.abc import Sequence
from typing import Protocol

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, Frame, Hand, HandLandmarks
from hand_perception.errors import ConfigError
from hand_perception.models.hand_model import HandModel
from hand_perception.pipeline.recogniser import Recogniser
from hand_perception.pipeline.reconstruct import LandmarkReconstructor
from hand_perception.pipeline.shape import ShapeMemory
from hand_perception.pipeline.track import Track


class Reconstructor(Protocol):
    """A back end: tracked hands of an image to metric hands."""

    backend_name: str
    takes_boxes: bool  #: works from boxes alone, without landmarks
    model: HandModel

    @property
    def device_name(self) -> str:
        """Where the networks run, and how."""

    def __call__(
        self, frame: Frame, tracks: Sequence[Track], shapes: ShapeMemory
    ) -> tuple[Hand, ...]:
        """Reconstruct the tracked hands of one image, in their order; some may be left out."""

    def side_evidence(self, camera: Camera, hands: Sequence[HandLandmarks]) -> list[float]:
        """Give log odds for a right hand for each hand."""

    def with_settings(self, settings: PipelineSettings) -> 'Reconstructor':
        """Return a reconstructor with other live settings."""


def load_reconstructor(settings: PipelineSettings) -> Reconstructor:
    """Load the back end.

    Raises:
        ConfigError: the device is not there.
        WeightsError: a weight or hand model file is missing, corrupt or not safe to read.
        MissingPackageError: the hand model needs a package that is not installed.
    """
    if settings.backend == 'hamer':
        from hand_perception.pipeline.hamer_reconstruct import HamerReconstructor

        return HamerReconstructor.load(settings)
    return LandmarkReconstructor.load(
        hand_model=settings.hand_model,
        mano_dir=settings.mano_dir,
        hand_scale=settings.hand_scale,
        size_ratio=settings.hand_scale_stddev,
    )


def load_recogniser(settings: PipelineSettings) -> Recogniser | None:
    """Load what names the actions; None where nobody asked for it.

    Raises:
        ConfigError: the device is not there, the labels do not fit the network, or settings
            contradict each other.
        WeightsError: a weight file is missing, corrupt or not safe to read.
        MissingPackageError: a package that is needed to read the weights is not installed.
    """
    if settings.pose_source == 'htt' and settings.action_source != 'htt':
        raise ConfigError(
            'pose_source htt needs the HTT network: set action_source to htt and htt_checkpoint '
            'to your file, or pose_source to backend'
        )
    if settings.action_source == 'htt':
        from hand_perception.pipeline.htt_recogniser import HttRecogniser

        return HttRecogniser.load(settings)
    if settings.action_source == 'primitives':
        from hand_perception.pipeline.primitives import PrimitiveRecogniser

        return PrimitiveRecogniser.load(settings)
    return None
