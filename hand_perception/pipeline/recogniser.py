"""What names actions in a stream: one protocol for the primitives and for HTT.

A recogniser remembers nothing; what it needs of the past lies in a state that the stream owns.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from hand_perception.actions import ActionResult, LabelMap
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Frame, Hand
from hand_perception.models.hand_model import HandModel


class Recogniser(Protocol):
    """Images and their tracked hands to actions. Stateless after load.

    Each recogniser has its own kind of state, which nobody else looks into: ``new_state`` makes
    one per camera stream, ``step`` changes it. It is bounded, however long the stream.
    """

    @property
    def backend_name(self) -> str:
        """``primitives`` or ``htt``."""

    @property
    def label_map(self) -> LabelMap:
        """Names of all actions and objects that it may tell."""

    @property
    def device_name(self) -> str:
        """Where it runs, and how."""

    @property
    def hand_model(self) -> HandModel | None:
        """Of the hands that it reconstructs; None where it reconstructs none."""

    def new_state(self) -> Any:
        """Make the memory for one camera stream."""

    def with_settings(self, settings: PipelineSettings) -> 'Recogniser':
        """Return a recogniser with other live settings; it goes on with the states of this one."""

    def step(self, state: Any, frame: Frame, hands: Sequence[Hand]) -> ActionResult:
        """Look at the next image of a stream.

        Args:
            state: of :meth:`new_state`; changed.
            frame: the image. Stamps that go back, or a gap, start the recogniser anew, and the
                result says why.
            hands: tracked hands of the same image, from whichever back end reconstructs hands.

        Returns:
            Nothing (no actions, hands None) for an image that is not looked at.
        """
