"""What HTT remembers of a stream: some windows of features, and nothing that grows."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera
from hand_perception.errors import ConfigError
from hand_perception.models.htt.constants import POSE_WINDOW, WINDOW
from hand_perception.models.htt.preprocess import NetworkView


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalSettings:
    """How tokens are put together in windows; the defaults belong to the published weights.

    Attributes:
        engine: ``tiled``, ``sliding`` or ``two_phase``.
        lookahead: tokens that a pose of ``sliding`` waits for.
        window: tokens of an action window, a multiple of ``pose_window``.
        pose_window: tokens of a pose window.
        is_rolling: a full action window drops its oldest pose window; otherwise it is left and a
            new one is begun.
    """

    engine: str = 'tiled'
    lookahead: int = 0
    window: int = WINDOW
    pose_window: int = POSE_WINDOW
    is_rolling: bool = True

    @classmethod
    def of(cls, settings: PipelineSettings) -> 'TemporalSettings':
        """Take what concerns windows from all settings.

        Raises:
            ConfigError: they contradict each other.
        """
        return cls(
            engine=settings.htt_engine,
            lookahead=settings.htt_lookahead,
            window=settings.htt_window,
            pose_window=settings.htt_pose_window,
            is_rolling=settings.htt_endless == 'rolling',
        )

    def __post_init__(self) -> None:
        """Refuse windows that do not fit into each other."""
        if self.window < 1 or self.pose_window < 1 or self.window % self.pose_window:
            raise ConfigError(
                f'htt_window is {self.window} tokens, expected a multiple of htt_pose_window, '
                f'which is {self.pose_window}'
            )
        if not 0 <= self.lookahead < self.pose_window:
            raise ConfigError(
                f'htt_lookahead is {self.lookahead} tokens, expected fewer than htt_pose_window, '
                f'which is {self.pose_window}'
            )

    @property
    def num_phases(self) -> int:
        """How many windows are filled side by side."""
        return 2 if self.engine == 'two_phase' else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One image that HTT has looked at.

    Attributes:
        index: number of the token in its stream, from 0; resets do not start it anew.
        stamp_ns: of the image.
        camera: of the image.
        view: where the image lies in the image of the network.
        phase: 0, or 1 for the odd ones of two phases.
    """

    index: int
    stamp_ns: int
    camera: Camera
    view: NetworkView
    phase: int = 0


class TemporalState:
    """Memory of one engine for one stream; all arrays are made at the start.

    Attributes:
        features: (2 t, C) of the newest images; how they are used is the engine's affair.
        num_features: rows of ``features`` in use.
        action_inputs: (T + 1, C), oldest first; the last row is for a token that may be left out.
        stamps_ns: (T,) of the rows of ``action_inputs``.
        num_inputs: rows of ``action_inputs`` in use.
        tokens: the newest ones, at most t.
        num_taken: tokens since the beginning of the clip.
        num_untold: tokens since the action was last told.
        clip: number of the clip in the stream, from 0.
        before: (smoothing - 1, C) answers of the pose block to the newest tokens that are told for
            good, zeros before the clip; for weights that smooth.
        after: the same with the tokens that were looked at last.
    """

    def __init__(
        self, settings: TemporalSettings, *, width: int, device: torch.device, smoothing: int = 0
    ) -> None:
        """Make room for C = ``width`` numbers per token."""
        t, window = settings.pose_window, settings.window
        self.features: Tensor = torch.zeros(2 * t, width, device=device)
        self.action_inputs: Tensor = torch.zeros(window + 1, width, device=device)
        self.before: Tensor = torch.zeros(max(smoothing - 1, 0), width, device=device)
        self.after = self.before
        self.stamps_ns = np.zeros(window, np.int64)
        self.tokens: deque[Token] = deque(maxlen=t)
        self.num_features = self.num_inputs = self.num_taken = self.num_untold = 0
        self.clip = 0

    def start_clip(self) -> None:
        """Forget the clip; the next token is the first of another."""
        self.before = torch.zeros_like(self.before)
        self.tokens.clear()
        self.num_features = self.num_inputs = self.num_taken = self.num_untold = 0
        self.clip += 1

    def drop_oldest(self, count: int, *, num_more: int = 0) -> None:
        """Forget the oldest action inputs; the others move to their places.

        Args:
            count: how many are forgotten.
            num_more: rows behind those in use that move along.
        """
        kept, end = self.num_inputs - count, self.num_inputs + num_more
        # A copy in between: source and target overlap.
        self.action_inputs[: kept + num_more] = self.action_inputs[count:end].clone()
        self.stamps_ns[:kept] = self.stamps_ns[count : self.num_inputs].copy()
        self.num_inputs = kept

    def free_feature_row(self) -> int:
        """Give the row for the next feature; the older half goes where there is no room left."""
        size = len(self.features)
        if self.num_features == size:
            self.features[: size // 2] = self.features[size // 2 :]
            self.num_features = size // 2
        return self.num_features
