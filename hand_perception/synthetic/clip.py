"""Write a synthetic clip and its truth."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2

from hand_perception.errors import SourceError
from hand_perception.synthetic.scene import Scene, SceneImage, SceneSpec
from hand_perception.synthetic.truth import ClipTruth, HandTruth, save_clip_truth

#: What the clip that ships with the package shows: one run through the motion, which repeats.
CLIP_SPEC: Final = SceneSpec()
CLIP_RATE_HZ: Final = 30.0


def num_clip_frames(spec: SceneSpec, rate_hz: float) -> int:
    """Count the images until the motion repeats."""
    return round(spec.period_s * rate_hz)


def write_clip(
    spec: SceneSpec,
    video: Path,
    truth: Path,
    *,
    rate_hz: float = CLIP_RATE_HZ,
    num_processes: int = 1,
) -> Iterator[int]:
    """Render a clip, image by image.

    Args:
        spec: the scene.
        video: file to write, .mp4 (MPEG-4 part 2, which every build of OpenCV writes and reads).
        truth: file to write, .json.
        rate_hz: images per second.
        num_processes: that render; more than 1 are started anew, which takes a few seconds.

    Yields:
        The number of images written so far; the files are complete when it ends.

    Raises:
        SourceError: the video cannot be written.
    """
    camera = spec.camera
    writer = cv2.VideoWriter(
        str(video), cv2.VideoWriter.fourcc(*'mp4v'), rate_hz, (camera.width, camera.height)
    )
    if not writer.isOpened():
        raise SourceError(f'cannot write {video}: this OpenCV writes no MPEG-4 video there')
    frames: list[tuple[HandTruth, ...]] = []
    try:
        times_s = [number / rate_hz for number in range(num_clip_frames(spec, rate_hz))]
        for picture in _pictures(spec, times_s, num_processes):
            writer.write(picture.image_bgr)
            frames.append(picture.hands)
            yield len(frames)
    finally:
        writer.release()
    save_clip_truth(
        ClipTruth(seed=spec.seed, camera=camera, rate_hz=rate_hz, frames=tuple(frames)), truth
    )


def _pictures(spec: SceneSpec, times_s: list[float], num_processes: int) -> Iterator[SceneImage]:
    """Render in order, with several processes where that is asked for."""
    if num_processes == 1:
        scene = Scene(spec)
        yield from (scene.render(time_s) for time_s in times_s)
        return
    context = multiprocessing.get_context('spawn')  # threads of OpenCV do not survive a fork
    with ProcessPoolExecutor(
        num_processes, mp_context=context, initializer=_start_process, initargs=(spec,)
    ) as pool:
        try:
            yield from pool.map(_render, times_s, chunksize=4)
        finally:
            pool.shutdown(cancel_futures=True)


#: The scene of a rendering process; nothing else runs in one.
_scenes: list[Scene] = []


def _start_process(spec: SceneSpec) -> None:
    cv2.setNumThreads(1)
    _scenes.append(Scene(spec))


def _render(time_s: float) -> SceneImage:
    return _scenes[0].render(time_s)
