"""HTT on the segments of a data set: what is computed of each, to be kept part by part.

The published evaluation looks at clips of even and of odd images; each image is in one of them
once. What one image costs is its feature, which all ways of putting images together share, so the
engines of a stream are compared along the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hand_perception.datasets.clips import ImageSource
from hand_perception.datasets.segments import Split
from hand_perception.datasets.windows import (
    SPACING,
    check_lengths,
    clip_frames,
    evaluation_starts,
    spacing_at,
)
from hand_perception.datatypes import FloatArray, ImageArray
from hand_perception.errors import ConfigError
from hand_perception.evaluation.hand_pose import FPHA_POSE, H2O_POSE, PoseBenchmark, PoseEvaluator
from hand_perception.evaluation.htt_engines import LOOKAHEADS, EngineAnswers, run_engine
from hand_perception.evaluation.partial_results import Arrays
from hand_perception.models.htt.constants import POSE_WINDOW, WINDOW
from hand_perception.models.htt.lift import lift
from hand_perception.models.htt.module import run_clips
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.weight_files import VIDEO_HZ
from hand_perception.pipeline.temporal_state import TemporalSettings

#: Names of ways to put images together.
OFFLINE: Final = 'offline'
FINAL: Final = 'tiled_final'
PROVISIONAL: Final = 'tiled_provisional'


@dataclass(frozen=True, slots=True, kw_only=True)
class HttWindows:
    """How images are put together.

    Attributes:
        window: tokens of a clip.
        pose_window: tokens of a pose window.
        spacing: images per token: as many phases.
        lookahead: None: pose windows lie side by side, as published; else they slide, as some
            weights were trained.
        compared: lookaheads of the sliding engine beside it.
        with_engines: whether engines are run at all.
    """

    window: int = WINDOW
    pose_window: int = POSE_WINDOW
    spacing: int = SPACING
    lookahead: int | None = None
    compared: tuple[int, ...] = LOOKAHEADS
    with_engines: bool = True

    def __post_init__(self) -> None:
        """Refuse lengths that do not fit each other."""
        check_lengths(window=self.window, pose_window=self.pose_window, spacing=self.spacing)

    @property
    def lookaheads(self) -> tuple[int, ...]:
        """Of the sliding engines: those that the pose window has room for."""
        wanted = {*self.compared, *(() if self.lookahead is None else (self.lookahead,))}
        return tuple(sorted(ahead for ahead in wanted if ahead < self.pose_window))

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of all that is computed."""
        if not self.with_engines:
            return (OFFLINE,)
        return (OFFLINE, FINAL, PROVISIONAL, *map(sliding_name, self.lookaheads))


def sliding_name(lookahead: int) -> str:
    """Name the sliding engine of a lookahead."""
    return f'sliding_{lookahead}'


def benchmark_of(split: Split) -> PoseBenchmark:
    """Say how joints of a data set are scored; other data sets of two hands as H2O."""
    like = FPHA_POSE if len(split.is_right) == 1 else H2O_POSE
    sides = tuple('right' if is_right else 'left' for is_right in split.is_right)
    return replace(like, name=split.dataset, sides=sides)


def images_per_token(spacing: int, rate_hz: float) -> int:
    """Count images of recordings from one token to the next.

    Args:
        spacing: as files of weights tell it, in images of a video of ``VIDEO_HZ``.
        rate_hz: images a second of the recordings.
    """
    return spacing_at(spacing, from_hz=VIDEO_HZ, to_hz=rate_hz)


class HttEvaluation:
    """Reads and computes the segments of one split.

    Attributes:
        benchmark: how joints are scored.
        names: of the segments.
    """

    def __init__(self, split: Split, images: ImageSource, windows: HttWindows) -> None:
        """Take the split, its images, and how they are put together."""
        self.benchmark = benchmark_of(split)
        self.names = tuple(segment.name for segment in split.segments)
        self._split = split
        self._images = images
        self._windows = windows

    def check_network(self, *, num_joints: int, num_actions: int, num_objects: int) -> None:
        """Refuse weights of another data set.

        Raises:
            ConfigError: hands or classes differ.
        """
        labels = self._split.labels
        pairs = (
            ('joints', num_joints, self.benchmark.num_joints),
            ('actions', num_actions, len(labels.actions)),
            ('objects', num_objects, len(labels.objects)),
        )
        differing = [
            f'{found} {what} (the data: {wanted})'
            for what, found, wanted in pairs
            if found != wanted
        ]
        if differing:
            raise ConfigError(
                f'the weights do not fit {self._split.dataset}: they have {", ".join(differing)}; '
                'give weights that were trained on it'
            )

    def read(self, number: int) -> ImageArray:
        """Read all images of a segment: (F, 270, 480, 3) uint8 RGB.

        Raises:
            DatasetError: an image is missing or damaged; the message names it.
        """
        segment = self._split.segments[number]
        return np.stack(self._images.read(segment, list(range(segment.num_frames))))

    def compute(self, network: HttNetwork, number: int, images: ImageArray) -> Arrays:
        """Compute all that is told of a segment; F images, J joints, A actions, W clips.

        Returns:
            ``joints_3d`` (F, J, 3) metres, ``object`` (F,) class told, ``action_prob`` (W, A) of
            the published evaluation; with engines ``told_after`` (n,) class that the vote of
            all phases would tell after n tokens of each, ``told_after_one`` (n,) that of the
            first phase alone, and ``NAME/vote`` (phases, A); for every name of
            ``HttWindows.engines`` the distances of ``PoseEvaluator.arrays``.

        Raises:
            DatasetError: annotations are damaged, or the network's numbers are not finite.
        """
        segment = self._split.segments[number]
        truth = self._split.truth(segment)
        K = self._split.K.astype(np.float32)
        features = network.features(torch.from_numpy(images))
        joints, objects, action_prob = self._offline(network, features, K)
        arrays: dict[str, NDArray[Any]] = {
            'joints_3d': joints, 'object': objects.astype(np.int16), 'action_prob': action_prob,
        }  # fmt: skip
        poses = {OFFLINE: joints}
        if self._windows.with_engines:
            engine_poses, engine_arrays = self._engines(network, features, K)
            poses |= engine_poses
            arrays |= engine_arrays
        true_joints = truth.joints_3d.reshape(len(truth.joints_3d), -1, 3)
        for name, places in poses.items():
            evaluator = PoseEvaluator(self.benchmark)
            evaluator.add(places, true_joints, truth.hand_valid)
            arrays |= {f'{name}/{key}': value for key, value in evaluator.arrays().items()}
        return arrays

    def _offline(
        self, network: HttNetwork, features: Tensor, K: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Run the clips of the published evaluation: joints, objects, actions."""
        windows, count = self._windows, len(features)
        starts = evaluation_starts(count, window=windows.window, spacing=windows.spacing)
        clips = [
            clip_frames(int(start), count, window=windows.window, spacing=windows.spacing)
            for start in starts
        ]
        frames = np.concatenate([frames for frames, _ in clips])
        counts = np.concatenate([not_padding for _, not_padding in clips])
        with torch.inference_mode():
            output = run_clips(
                network, features[torch.from_numpy(frames).to(features.device)],
                torch.from_numpy(counts), window=windows.window,
                pose_window=windows.pose_window, lookahead=windows.lookahead,
            )  # fmt: skip
        # Each image is in one clip, once; padding repeats others.
        raw = _by_frame(output.hand_raw, frames, counts)
        objects = _by_frame(output.object_logits, frames, counts).argmax(-1)
        joints = lift(raw, np.repeat(K[None], count, axis=0))[2]
        return joints, objects, output.action_prob.cpu().numpy()

    def _engines(
        self, network: HttNetwork, features: Tensor, K: FloatArray
    ) -> tuple[dict[str, FloatArray], dict[str, NDArray[Any]]]:
        """Run every engine over every phase: poses by name, and arrays about actions."""
        windows = self._windows
        tiled = TemporalSettings(
            window=windows.window, pose_window=windows.pose_window, is_rolling=False
        )
        # What has more phases than images has nothing in some of them.
        phases = [features[phase :: windows.spacing] for phase in range(windows.spacing)]
        phases = [phase for phase in phases if len(phase)]
        answers = [run_engine(network, tiled, p, K, with_vote_so_far=True) for p in phases]
        poses = {
            FINAL: _interleaved([answer.final for answer in answers], len(features)),
            PROVISIONAL: _interleaved([answer.told for answer in answers], len(features)),
        }
        all_phases, one_phase = _told_after(answers)
        arrays: dict[str, NDArray[Any]] = {
            'told_after': all_phases,
            'told_after_one': one_phase,
            f'{FINAL}/vote': np.stack([answer.vote for answer in answers]),
        }
        for lookahead in windows.lookaheads:
            settings = replace(tiled, engine='sliding', lookahead=lookahead)
            answers = [run_engine(network, settings, phase, K) for phase in phases]
            name = sliding_name(lookahead)
            poses[name] = _interleaved([answer.told for answer in answers], len(features))
            arrays[f'{name}/vote'] = np.stack([answer.vote for answer in answers])
        return poses, arrays


def _by_frame(
    rows: Tensor, frames: NDArray[np.int64], counts: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Put rows of clips into the order of their images."""
    values = rows.cpu().numpy()
    placed = np.empty((int(counts.sum()), *values.shape[1:]), values.dtype)
    placed[frames[counts]] = values[counts]
    return placed


def _interleaved(phases: Sequence[FloatArray], count: int) -> FloatArray:
    """Put what was said in phases into the order of the images."""
    placed = np.empty((count, *phases[0].shape[1:]), phases[0].dtype)
    for number, phase in enumerate(phases):
        placed[number :: len(phases)] = phase
    return placed


def _told_after(
    answers: Sequence[EngineAnswers],
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Name the class after each token: by the vote of all phases, and by the first one alone."""
    votes = [answer.so_far for answer in answers if answer.so_far is not None]
    longest = max(len(vote) for vote in votes)
    # A phase that has ended stays with what it said.
    padded = [vote[np.minimum(np.arange(longest), len(vote) - 1)] for vote in votes]
    told = np.sum(padded, axis=0).argmax(-1), padded[0].argmax(-1)
    return told[0].astype(np.int16), told[1].astype(np.int16)
