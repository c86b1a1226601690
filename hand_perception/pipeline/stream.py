"""One camera stream, image by image: the whole flow on one screen."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, Frame, FrameResult, Region
from hand_perception.models.landmarks.backend import LandmarkBackend
from hand_perception.pipeline.detect import Observations, observe_hands
from hand_perception.pipeline.reconstruct import LandmarkReconstructor
from hand_perception.pipeline.track import Track, continue_track, give_sides, start_track

_LONG_AGO_NS = -(10**18)


@dataclass(slots=True)
class StreamState:
    """All memory of one camera stream; bounded by the number of hands.

    ``next_track_id`` outlives a reset: a track id is never given twice while the process runs.
    """

    tracks: tuple[Track, ...] = ()
    next_track_id: int = 1
    last_stamp_ns: int | None = None
    last_search_ns: int = _LONG_AGO_NS
    last_tiles_ns: int = _LONG_AGO_NS

    def reset(self) -> None:
        """Forget everything but the track ids already given."""
        fresh = StreamState(next_track_id=self.next_track_id)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))


@dataclass(slots=True)
class _Stopwatch:
    """Seconds per stage of one step."""

    stages: list[tuple[str, float]] = field(default_factory=list)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages.append((stage, now - self.last))
        self.last = now


class HandPipeline:
    """Images in, metric hands out. Stateless after load but for the live settings."""

    backend_name = 'landmarks'

    def __init__(
        self,
        settings: PipelineSettings,
        backend: LandmarkBackend,
        reconstructor: LandmarkReconstructor,
    ) -> None:
        """Join loaded parts; :meth:`load` makes them from settings."""
        self.settings = settings
        self._backend = backend
        self._reconstructor = reconstructor

    @classmethod
    def load(cls, settings: PipelineSettings) -> 'HandPipeline':
        """Load the networks and the hand model, and run them once.

        Raises:
            ConfigError: the device is not there.
            WeightsError: a weight or hand model file is missing, corrupt or not safe to read.
            MissingPackageError: the hand model needs a package that is not installed.
        """
        reconstructor = LandmarkReconstructor.load(
            hand_model=settings.hand_model,
            mano_dir=settings.mano_dir,
            hand_scale=settings.hand_scale,
        )
        backend = LandmarkBackend.load(device=settings.device, num_threads=settings.num_threads)
        pipeline = cls(settings, backend, reconstructor)
        pipeline._warm_up()
        return pipeline

    @property
    def faces_right(self) -> NDArray[np.uint32]:
        """(F, 3) triangles of a right hand's mesh; a left hand's are these with [:, ::-1]."""
        return self._reconstructor.model.faces

    @property
    def num_vertices(self) -> int:
        """Vertices of a hand's mesh."""
        return self._reconstructor.model.num_vertices

    @property
    def hand_model_name(self) -> str:
        """``default`` or ``mano``."""
        return self._reconstructor.model.name

    @property
    def device_name(self) -> str:
        """Where the networks run."""
        return str(self._backend.device)

    def new_stream(self, *, next_track_id: int = 1) -> StreamState:
        """Make the memory for one camera; ids of its tracks start at ``next_track_id``."""
        return StreamState(next_track_id=next_track_id)

    def replace_settings(self, settings: PipelineSettings) -> None:
        """Take over live settings between two images."""
        self._reconstructor = self._reconstructor.with_hand_scale(settings.hand_scale)
        self.settings = settings

    def step(self, state: StreamState, frame: Frame) -> FrameResult:
        """Find, follow and reconstruct the hands of the next image of a stream.

        Args:
            state: memory of the stream; changed.
            frame: an image with a stamp later than the last one's. A stamp that goes back, or
                a gap longer than ``stream_gap_s``, starts a new run.
        """
        watch = _Stopwatch()
        reset_reason = self._start_frame(state, frame)
        observations = observe_hands(
            self._backend,
            frame,
            state.tracks,
            self.settings,
            since_search_s=(frame.stamp_ns - state.last_search_ns) * 1e-9,
            since_tiles_s=(frame.stamp_ns - state.last_tiles_ns) * 1e-9,
        )
        watch.lap('detect')
        state.tracks = self._update_tracks(state, frame, observations)
        watch.lap('track')
        hands = self._reconstructor(frame, state.tracks)
        watch.lap('reconstruct')
        return FrameResult(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            hands=hands,
            reset_reason=reset_reason,
            num_detections=int(observations.searched) + int(observations.searched_tiles),
            stage_s=tuple(watch.stages),
        )

    def _start_frame(self, state: StreamState, frame: Frame) -> str:
        """Reset the stream where time jumped; return why."""
        reason = ''
        if state.last_stamp_ns is not None:
            seconds = (frame.stamp_ns - state.last_stamp_ns) * 1e-9
            if seconds < 0:
                reason = f'stamps went back by {-seconds:.3f} s'
            elif seconds > self.settings.stream_gap_s:
                reason = f'no image for {seconds:.3f} s'
        if reason:
            state.reset()
        state.last_stamp_ns = frame.stamp_ns
        return reason

    def _update_tracks(
        self, state: StreamState, frame: Frame, observations: Observations
    ) -> tuple[Track, ...]:
        if observations.searched:
            state.last_search_ns = frame.stamp_ns
        if observations.searched_tiles:
            state.last_tiles_ns = frame.stamp_ns
        unsure = [hand for track, hand in observations.followed if not track.is_side_sure]
        unsure += observations.found
        evidence = self._reconstructor.side_evidence(frame.camera, unsure)
        odds = {id(hand): value for hand, value in zip(unsure, evidence, strict=True)}
        tracks = [
            continue_track(track, hand, frame.stamp_ns, side_evidence=odds.get(id(hand), 0.0))
            for track, hand in observations.followed
        ]
        for hand in observations.found:
            tracks.append(
                start_track(
                    state.next_track_id, hand, frame.stamp_ns, side_evidence=odds[id(hand)]
                )
            )
            state.next_track_id += 1
        return tuple(give_sides(tracks, one_hand_per_side=self.settings.one_hand_per_side))

    def _warm_up(self) -> None:
        """Run every network once, so that the first image is not the slow one."""
        camera = Camera.assumed(320, 240)
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        frame = Frame(image=image, is_rgb=True, stamp_ns=0, frame_id='', camera=camera)
        self.step(self.new_stream(), frame)
        region = Region(center_px=(160.0, 120.0), size_px=200.0, angle_rad=0.0)
        for count in range(1, self.settings.max_hands + 1):
            self._backend.observe(image, [region] * count, is_rgb=True)
