"""HTT as a recogniser of a stream: actions of the scene, and hands from its joints."""

import copy
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from hand_perception.actions import ActionEstimate, ActionResult, LabelMap, Ranking
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, FloatArray, Frame, Hand
from hand_perception.errors import ConfigError
from hand_perception.labels import label_map_for
from hand_perception.models.device import select_device
from hand_perception.models.hamer.precision import choose_precision
from hand_perception.models.hand_model import HandModel, load_hand_model
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.weight_files import check_windows, load_module
from hand_perception.pipeline.action_gate import ActionGate, Gated, GateLimits, ranking
from hand_perception.pipeline.htt_hands import HandSizes, HttHands
from hand_perception.pipeline.htt_stream import HttStep, HttStream, StreamNetwork
from hand_perception.pipeline.temporal_state import TemporalSettings

_logger = logging.getLogger(__name__)

#: How images were made smaller for the published weights.
KERNELS: Final = {'fpha': 'antialias', 'h2o': 'linear'}


class HttState:
    """All memory of HTT for one camera stream.

    Attributes:
        stream: tokens and windows.
        gate: what is told.
        sizes: of the tracked hands.
        seen: (stamp, hands of the detector) of the newest tokens.
        num_without_hand: tokens in a row in whose images the detector follows no hand.
        has_seen_hand: whether it ever did in this run of the stream.
    """

    def __init__(self, stream: HttStream, *, lookahead: int) -> None:
        """Start with no images."""
        self.stream = stream
        self.gate = ActionGate()
        self.sizes = HandSizes()
        self.seen: deque[tuple[int, tuple[Hand, ...]]] = deque(maxlen=lookahead + 1)
        self.num_without_hand = 0
        self.has_seen_hand = False

    def start_anew(self) -> None:
        """Forget the hands and what was told; the stream has done so itself."""
        self.gate.reset()
        self.seen.clear()
        self.num_without_hand = 0
        self.has_seen_hand = False

    def look_at(self, hands: Sequence[Hand]) -> None:
        """Note whether there are hands in the next token."""
        self.num_without_hand = 0 if hands else self.num_without_hand + 1
        self.has_seen_hand = self.has_seen_hand or bool(hands)


class HttRecogniser:
    """Tells actions by HTT; see Recogniser."""

    backend_name = 'htt'

    def __init__(
        self,
        network: StreamNetwork,
        *,
        label_map: LabelMap,
        kernel: str,
        hand_model: HandModel,
        device_name: str,
        settings: PipelineSettings,
    ) -> None:
        """Take a loaded network; :meth:`load` is the usual way.

        Args:
            network: loaded.
            label_map: as many names as the network has classes.
            kernel: how images are made smaller.
            hand_model: for meshes.
            device_name: where the network runs, and how.
            settings: all of them.

        Raises:
            ConfigError: windows of the settings contradict each other.
        """
        self.label_map = label_map
        self.device_name = device_name
        self.hand_model = hand_model
        self._network = network
        self._kernel = kernel
        self._hands = HttHands(hand_model)
        self._windows = TemporalSettings.of(settings)
        self._settings = settings
        # Work that is queued here does not wait for that of the hands, nor they for it.
        self._cuda_stream = (
            torch.cuda.Stream(network.device) if network.device.type == 'cuda' else None
        )

    @classmethod
    def load(cls, settings: PipelineSettings) -> 'HttRecogniser':
        """Load the user's checkpoint and run it once.

        Raises:
            ConfigError: no checkpoint is named, the device is not there, the labels do not fit
                the network, or settings contradict each other.
            WeightsError: the file is missing, corrupt, not safe to read, or of something else.
            MissingPackageError: our export without safetensors.
        """
        if not settings.htt_checkpoint:
            raise ConfigError(
                'action_source htt needs weights: set htt_checkpoint to your checkpoint_45.pth, '
                'or action_source to primitives'
            )
        windows = TemporalSettings.of(settings)
        device = select_device(settings.device)
        precision = choose_precision(settings.htt_precision, device)
        loaded = load_module(settings.htt_checkpoint, dataset=settings.htt_dataset)
        labels = label_map_for(
            loaded.sizes, loaded.dataset, settings.htt_labels, stored=loaded.labels
        )
        for sentence in check_windows(
            loaded,
            window=windows.window,
            pose_window=windows.pose_window,
            token_rate_hz=settings.token_rate_hz,
            engine=windows.engine,
            lookahead=windows.lookahead,
        ):
            _logger.warning('%s', sentence)
        torch.set_num_threads(settings.num_threads)
        recogniser = cls(
            HttNetwork.from_module(loaded.module, device=device, precision=precision),
            label_map=labels,
            kernel=KERNELS[loaded.dataset],
            hand_model=load_hand_model(settings.hand_model, mano_dir=settings.mano_dir),
            device_name=f'{device} {precision}',
            settings=settings,
        )
        recogniser.warm_up()
        return recogniser

    def warm_up(self) -> None:
        """Run everything once, so that the first image is not the slow one."""
        if self._cuda_stream is not None:
            # The weights were copied on another stream.
            torch.cuda.synchronize(self._network.device)
        camera = Camera.assumed(480, 270)
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        stream = self.new_stream()
        stream.step(Frame(image=image, is_rgb=True, stamp_ns=0, frame_id='', camera=camera))
        stream.finish()

    def new_state(self) -> HttState:
        """Make the memory for one camera stream."""
        return HttState(self.new_stream(), lookahead=self._windows.lookahead)

    def new_stream(self, *, tells_ended: bool = False) -> HttStream:
        """Begin a stream of what HTT says of images, ungated.

        Args:
            tells_ended: a stream that begins anew computes what the end of the clip before adds.
        """
        settings = self._settings
        return HttStream(
            self._network,
            self._windows,
            kernel=self._kernel,
            token_rate_hz=settings.token_rate_hz,
            token_gap_s=settings.token_gap_s,
            action_interval=settings.action_interval,
            tells_ended=tells_ended,
            cuda_stream=self._cuda_stream,
        )

    def with_settings(self, settings: PipelineSettings) -> 'HttRecogniser':
        """Return a recogniser with other live settings that shares the network."""
        other = copy.copy(self)
        other._settings = settings
        return other

    def step(self, state: HttState, frame: Frame, hands: Sequence[Hand]) -> ActionResult:
        """Look at the next image of a stream; see Recogniser."""
        state.stream.action_interval = self._settings.action_interval
        step = state.stream.step(frame)
        if step is None:
            return ActionResult()
        if step.reset_reason:
            state.start_anew()
        state.look_at(hands)
        start = time.perf_counter()
        hands_stamp_ns, made = self._make_hands(state, frame, step, hands)
        actions: tuple[ActionEstimate, ...] = ()
        if step.action_prob is not None or step.problem:
            actions = (self._estimate(state, frame, step),)
        return ActionResult(
            actions=actions,
            hands=made,
            hands_stamp_ns=hands_stamp_ns,
            reset_reason=step.reset_reason,
            stage_s=(*step.stage_s, ('htt_hands', time.perf_counter() - start)),
        )

    def _make_hands(
        self, state: HttState, frame: Frame, step: HttStep, hands: Sequence[Hand]
    ) -> tuple[int, tuple[Hand, ...]]:
        """Give the stamp of the newest image with joints, and its hands."""
        state.seen.append((frame.stamp_ns, tuple(hands)))
        if not step.tokens:
            return frame.stamp_ns, ()
        newest = step.tokens[-1]
        seen = next((found for stamp, found in state.seen if stamp == newest.stamp_ns), ())
        return newest.stamp_ns, self._hands(newest, seen, state.sizes)

    def _estimate(self, state: HttState, frame: Frame, step: HttStep) -> ActionEstimate:
        settings, labels = self._settings, self.label_map
        limits = GateLimits.of(settings, num_phases=self._windows.num_phases)
        # A window shorter than the least number of images is never longer than full.
        limits = replace(limits, min_tokens=min(limits.min_tokens, step.span.num_full))
        problem = step.problem or self._lack_of_hands(state)
        gated = state.gate.step(
            step.action_prob,
            stamp_ns=frame.stamp_ns,
            num_tokens=step.span.num_tokens,
            labels=labels.actions,
            limits=limits,
            problem=problem,
        )
        actions = objects = Ranking()
        if step.action_prob is not None:
            actions = ranking(step.action_prob, labels.actions, settings.action_top_k)
        if step.tokens:
            object_prob = step.tokens[-1].object_prob
            objects = ranking(object_prob, labels.objects, settings.action_top_k)
        object_label, object_score = self._told_object(gated, objects)
        return ActionEstimate(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            window_start_ns=step.span.start_ns if step.span.num_tokens else frame.stamp_ns,
            tokens_seen=step.span.num_tokens,
            tokens_full=step.span.num_full,
            is_final=step.span.is_final,
            is_right=None,
            label='' if gated.action is None else labels.actions[gated.action],
            score=_score(step.action_prob, gated.action),
            ranking=actions,
            object_label=object_label,
            object_score=object_score,
            object_ranking=objects,
            unknown_reason=gated.reason,
            onset_ns=gated.onset_ns,
            label_map=labels.name,
            backend=self.backend_name,
        )

    def _lack_of_hands(self, state: HttState) -> str:
        """Say that nobody is there who could do anything; empty when somebody is."""
        num_images = self._windows.pose_window * self._windows.num_phases
        if state.has_seen_hand and state.num_without_hand < num_images:
            return ''
        num_seen = min(state.num_without_hand, num_images)
        return f'no hand seen in the last {"image" if num_seen == 1 else f"{num_seen} images"}'

    def _told_object(self, gated: Gated, objects: Ranking) -> tuple[str, float]:
        """Name the object of a known action where it is likely enough itself."""
        is_told = gated.action is not None and objects.scores
        if not is_told or objects.scores[0] < self._settings.action_min_score:
            return '', 0.0
        return objects.labels[0], objects.scores[0]


def _score(action_prob: FloatArray | None, action: int | None) -> float:
    return 0.0 if action_prob is None or action is None else float(action_prob[action])
