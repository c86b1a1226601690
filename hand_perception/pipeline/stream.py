"""One camera stream, image by image: the whole flow on one screen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hand_perception.actions import ActionResult, LabelMap
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, Frame, FrameResult, Hand, Region
from hand_perception.models.hand_model import HandModel
from hand_perception.models.landmarks.backend import LandmarkBackend
from hand_perception.pipeline.backends import (
    Reconstructor,
    load_recogniser,
    load_reconstructor,
)
from hand_perception.pipeline.calibrate import HandMeasurement, scale_of_palm
from hand_perception.pipeline.detect import Observations, observe_hands
from hand_perception.pipeline.follow import follow_boxes, follow_hands
from hand_perception.pipeline.jumps import gate_hands, gate_recognised
from hand_perception.pipeline.outliers import OutlierGate, finite_hands
from hand_perception.pipeline.predict_ahead import look_ahead
from hand_perception.pipeline.recogniser import Recogniser
from hand_perception.pipeline.smooth import HandSmoother
from hand_perception.pipeline.stream_state import Stopwatch, StreamState
from hand_perception.pipeline.track import move_ahead, take_keypoints

#: HaMeR's hands below this confidence are looked at by the landmark network in the next image.
_DOUBT = 0.3


class HandPipeline:
    """Images in, metric hands out. Stateless after load but for the live settings."""

    def __init__(
        self,
        settings: PipelineSettings,
        backend: LandmarkBackend,
        reconstructor: Reconstructor,
        recogniser: Recogniser | None = None,
    ) -> None:
        """Join loaded parts; :meth:`load` makes them from settings."""
        self.settings = settings
        self._backend = backend
        self._reconstructor = reconstructor
        self._recogniser = recogniser
        self._gate = OutlierGate()
        self._smoother = HandSmoother(reconstructor.model, settings)

    @classmethod
    def load(cls, settings: PipelineSettings) -> 'HandPipeline':
        """Load the networks and the hand model, and run them once.

        Raises:
            ConfigError: the device is not there, or settings contradict each other.
            WeightsError: a weight or hand model file is missing, corrupt or not safe to read.
            MissingPackageError: the hand model needs a package that is not installed.
        """
        reconstructor = load_reconstructor(settings)
        recogniser = load_recogniser(settings)
        backend = LandmarkBackend.load(device=settings.device, num_threads=settings.num_threads)
        pipeline = cls(settings, backend, reconstructor, recogniser)
        pipeline._warm_up()
        return pipeline

    @property
    def backend_name(self) -> str:
        """``landmarks`` or ``hamer``."""
        return self._reconstructor.backend_name

    @property
    def faces_right(self) -> NDArray[np.uint32]:
        """(F, 3) triangles of a right hand's mesh; a left hand's are these with [:, ::-1]."""
        return self._hand_model.faces

    @property
    def num_vertices(self) -> int:
        """Vertices of a hand's mesh."""
        return self._hand_model.num_vertices

    @property
    def hand_model_name(self) -> str:
        """``default`` or ``mano``."""
        return self._hand_model.name

    @property
    def _hand_model(self) -> HandModel:
        """Of the hands that :meth:`step` gives."""
        own = self.recogniser_hand_model
        if own is not None and self.settings.pose_source == 'htt':
            return own
        return self._reconstructor.model

    @property
    def recogniser_hand_model(self) -> HandModel | None:
        """Of the hands that :meth:`recognise` gives; None where it gives none."""
        return None if self._recogniser is None else self._recogniser.hand_model

    @property
    def recogniser_name(self) -> str:
        """``primitives``, ``htt`` or ``none``."""
        return 'none' if self._recogniser is None else self._recogniser.backend_name

    @property
    def recogniser_device(self) -> str:
        """Where the recogniser of actions runs; empty without one."""
        return '' if self._recogniser is None else self._recogniser.device_name

    @property
    def label_map(self) -> LabelMap | None:
        """Names of the actions and objects that are told; None without a recogniser."""
        return None if self._recogniser is None else self._recogniser.label_map

    @property
    def device_name(self) -> str:
        """Where the networks run."""
        if self._reconstructor.takes_boxes:
            return f'{self._reconstructor.device_name}, boxes on {self._backend.device}'
        return str(self._backend.device)

    def measure_hand(self, is_right: bool | None) -> HandMeasurement:
        """Begin to measure how large a hand is: the right (True), the left, or the one seen."""
        return HandMeasurement(self._reconstructor.model, is_right=is_right)

    def scale_of_palm(self, width_m: float) -> float:
        """Give the hand_scale of a hand whose palm is so wide across the knuckles, metres."""
        return scale_of_palm(self._reconstructor.model, width_m)

    def new_stream(self, *, next_track_id: int = 1) -> StreamState:
        """Make the memory for one camera; ids of its tracks start at ``next_track_id``."""
        return StreamState(next_track_id=next_track_id)

    def replace_settings(self, settings: PipelineSettings) -> None:
        """Take over live settings between two images."""
        self._reconstructor = self._reconstructor.with_settings(settings)
        self._smoother = self._smoother.with_settings(settings)
        if self._recogniser is not None:
            self._recogniser = self._recogniser.with_settings(settings)
        self.settings = settings

    def step(self, state: StreamState, frame: Frame) -> FrameResult:
        """Find, follow and reconstruct the hands of the next image of a stream.

        Args:
            state: memory of the stream; changed.
            frame: an image with a stamp later than the last one's. A stamp that goes back, a
                gap longer than ``stream_gap_s`` or another ``hand_scale`` starts a new run.

        Raises:
            ConfigError: the image has boxes and the back end cannot work with them.
        """
        watch = Stopwatch()
        reset_reason = self._start_frame(state, frame)
        num_searches = 0
        if frame.boxes is not None:
            state.tracks = follow_boxes(state, frame, self._reconstructor)
        elif self._may_move_ahead(state, frame):
            state.tracks = tuple(move_ahead(track, frame.stamp_ns) for track in state.tracks)
        else:
            observations = self._look(state, frame)
            num_searches = int(observations.searched) + int(observations.searched_tiles)
            watch.lap('detect')
            state.tracks = follow_hands(
                state, frame, observations, self._reconstructor, self.settings
            )
        watch.lap('track')
        seen = [track for track in state.tracks if not track.is_hidden]
        hands = finite_hands(self._reconstructor(frame, seen, state.shapes))
        if self._reconstructor.takes_boxes:
            self._follow_reconstruction(state, frame, hands)
        watch.lap('reconstruct')
        raw_hands = gate_hands(self._gate, state, frame, hands, self.settings)
        hands = self._smooth(state, frame, raw_hands)
        watch.lap('smooth')
        result = FrameResult(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            hands=hands,
            raw_hands=raw_hands,
            reset_reason=reset_reason,
            num_detections=num_searches,
            stage_s=tuple(watch.stages),
        )
        state.told = None
        if self.settings.pose_source == 'htt':
            said = self._recognise(state, frame, raw_hands)
            told = gate_recognised(self._gate, state, frame, said, self.settings)
            state.told = told
            stamp_ns = told.hands_stamp_ns
            result = replace(
                result,
                stamp_ns=frame.stamp_ns if stamp_ns is None else stamp_ns,
                hands=told.hands or (),
                raw_hands=None,
                is_between_tokens=told.hands is None,
            )
        return result

    def recognise(self, state: StreamState, frame: Frame, result: FrameResult) -> ActionResult:
        """Tell what the hands do; called after :meth:`step`, when its hands are on their way.

        Args:
            state: memory of the stream; changed.
            frame: the image that :meth:`step` was given.
            result: what it returned.
        """
        if state.told is not None:
            return state.told
        # Smoothing would only make what hands do be seen later.
        hands = result.hands if result.raw_hands is None else result.raw_hands
        return self._recognise(state, frame, hands)

    def look_ahead(
        self, state: StreamState, result: FrameResult, stamp_ns: int
    ) -> tuple[int, tuple[Hand, ...]]:
        """Move the hands of the last image on to a later time.

        Args:
            state: memory of the stream, after :meth:`step`.
            result: what that returned.
            stamp_ns: the later time.

        Returns:
            The time that was reached, at most ``predict_horizon_s`` after the image, and the
            hands then, marked as predicted. No hands where nobody knows how they move.
        """
        if state.camera is None or self.settings.pose_source == 'htt':
            return stamp_ns, ()
        return look_ahead(
            self._reconstructor.model, state.motion, state.camera, result.hands, stamp_ns,
            image_ns=result.stamp_ns, longest_s=self.settings.predict_horizon_s,
        )  # fmt: skip

    def _recognise(self, state: StreamState, frame: Frame, hands: Sequence[Hand]) -> ActionResult:
        if self._recogniser is None:
            return ActionResult()
        if state.recognised is None:
            state.recognised = self._recogniser.new_state()
        memory, state.recognised = state.recognised, None  # an error leaves nothing half done
        said = self._recogniser.step(memory, frame, hands)
        state.recognised = memory
        return said if said.hands is None else replace(said, hands=finite_hands(said.hands))

    def _start_frame(self, state: StreamState, frame: Frame) -> str:
        """Reset the stream where time jumped; return why."""
        reason = ''
        if state.last_stamp_ns is not None:
            seconds = (frame.stamp_ns - state.last_stamp_ns) * 1e-9
            if seconds < 0:
                reason = f'stamps went back by {-seconds:.3f} s'
            elif seconds > self.settings.stream_gap_s:
                reason = f'no image for {seconds:.3f} s'
        hand_scale = self.settings.hand_scale
        if state.hand_scale not in (None, hand_scale):
            # All hands are elsewhere at once: who drives an arm by them has to begin anew.
            reason = reason or f'hand_scale is {hand_scale:g} now'
        if reason:
            state.reset()
        state.last_stamp_ns, state.hand_scale = frame.stamp_ns, hand_scale
        return reason

    def _look(self, state: StreamState, frame: Frame) -> Observations:
        """Run the landmark network on the followed hands and, when due, search."""
        state.last_look_ns = frame.stamp_ns
        return observe_hands(
            self._backend,
            frame,
            state.tracks,
            self.settings,
            since_search_s=(frame.stamp_ns - state.last_search_ns) * 1e-9,
            since_tiles_s=(frame.stamp_ns - state.last_tiles_ns) * 1e-9,
        )

    def _may_move_ahead(self, state: StreamState, frame: Frame) -> bool:
        """Whether all hands are followed well enough by HaMeR's own keypoints in this image."""
        if not self._reconstructor.takes_boxes or state.is_doubtful:
            return False
        since_look_s = (frame.stamp_ns - state.last_look_ns) * 1e-9
        since_search_s = (frame.stamp_ns - state.last_search_ns) * 1e-9
        is_complete = len(state.tracks) == self.settings.max_hands
        return (
            bool(state.tracks)
            and since_look_s < self.settings.landmark_interval_s
            and (is_complete or since_search_s < self.settings.search_interval_s)
        )

    def _follow_reconstruction(
        self, state: StreamState, frame: Frame, hands: Sequence[Hand]
    ) -> None:
        """Let tracks be where HaMeR saw their hands, unless landmarks are looked at anyway."""
        by_track = {hand.track_id: hand for hand in hands}
        state.is_doubtful = len(hands) < len(state.tracks) or any(  # a hidden hand is doubtful
            hand.confidence < _DOUBT for hand in hands
        )
        if frame.boxes is not None or self.settings.landmark_interval_s > 0:
            state.tracks = tuple(
                take_keypoints(track, by_track[track.track_id], frame.stamp_ns)
                if track.track_id in by_track
                else track
                for track in state.tracks
            )

    def _smooth(
        self, state: StreamState, frame: Frame, hands: tuple[Hand, ...]
    ) -> tuple[Hand, ...]:
        state.camera = frame.camera
        settings = self.settings
        is_wanted = settings.smoothing != 'none' or settings.predict_horizon_s > 0
        if not is_wanted or settings.official_camera:  # which is compared number by number
            return hands
        return self._smoother.step(state.motion, frame.camera, hands, frame.stamp_ns)

    def _warm_up(self) -> None:
        """Run every network once, so that the first image is not the slow one."""
        camera = Camera.assumed(320, 240)
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        frame = Frame(image=image, is_rgb=True, stamp_ns=0, frame_id='', camera=camera)
        self.step(self.new_stream(), frame)
        region = Region(center_px=(160.0, 120.0), size_px=200.0, angle_rad=0.0)
        for count in range(1, self.settings.max_hands + 1):
            self._backend.observe(image, [region] * count, is_rgb=True)
