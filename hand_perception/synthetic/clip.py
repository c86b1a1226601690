"""Write a synthetic clip and its truth."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2

from hand_perception.errors import SourceError
from hand_perception.synthetic.scene import Scene, SceneSpec
from hand_perception.synthetic.truth import ClipTruth, HandTruth, save_clip_truth

#: What the clip that ships with the package shows: one run through the motion, which repeats.
CLIP_SPEC: Final = SceneSpec()
CLIP_RATE_HZ: Final = 30.0


def num_clip_frames(spec: SceneSpec, rate_hz: float) -> int:
    """Count the images until the motion repeats."""
    return round(spec.period_s * rate_hz)


def write_clip(
    spec: SceneSpec, video: Path, truth: Path, *, rate_hz: float = CLIP_RATE_HZ
) -> Iterator[int]:
    """Render a clip, image by image.

    Args:
        spec: the scene.
        video: file to write, .mp4 (MPEG-4 part 2, which every build of OpenCV writes and reads).
        truth: file to write, .json.
        rate_hz: images per second.

    Yields:
        The number of images written so far; the files are complete when it ends.

    Raises:
        SourceError: the video cannot be written.
    """
    scene, camera = Scene(spec), spec.camera
    writer = cv2.VideoWriter(
        str(video), cv2.VideoWriter.fourcc(*'mp4v'), rate_hz, (camera.width, camera.height)
    )
    if not writer.isOpened():
        raise SourceError(f'cannot write {video}: this OpenCV writes no MPEG-4 video there')
    frames: list[tuple[HandTruth, ...]] = []
    try:
        for number in range(num_clip_frames(spec, rate_hz)):
            picture = scene.render(number / rate_hz)
            writer.write(picture.image_bgr)
            frames.append(picture.hands)
            yield number + 1
    finally:
        writer.release()
    save_clip_truth(
        ClipTruth(seed=spec.seed, camera=camera, rate_hz=rate_hz, frames=tuple(frames)), truth
    )
