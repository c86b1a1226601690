"""Measure the default back end on the synthetic clip, stage by stage.

Run from the repository's root:
    python tools/measure_synthetic_clip.py
"""

import dataclasses

import cv2
import numpy as np

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import JOINT_NAMES, Frame, HandLandmarks, ImageArray
from hand_perception.evaluation.clip_errors import evaluate_clip, hand_size_px
from hand_perception.models.landmarks.backend import LandmarkBackend
from hand_perception.models.landmarks.regions import region_from_keypoints
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.synthetic.truth import CLIP_VIDEO, ClipTruth, HandTruth, load_clip_truth


def read_images() -> list[ImageArray]:
    """Decode the clip."""
    video = cv2.VideoCapture(str(CLIP_VIDEO))
    images = []
    while (read := video.read())[0]:
        images.append(read[1])
    video.release()
    return images


def measure_search(backend: LandmarkBackend, images: list[ImageArray], truth: ClipTruth) -> None:
    """Search every image on its own; say how many true hands are found."""
    found = []
    for image, hands in zip(images, truth.frames, strict=True):
        palms = backend.search(image, is_rgb=False, threshold=0.5, with_tiles=False)
        seen = backend.observe(image, [palm.region for palm in palms], is_rgb=False)
        found.append([as_truth(hand, hands[0]) for hand in seen if hand.presence > 0.5])
    errors = evaluate_clip(truth.frames, found)
    print(f'single images: {errors.recall:.1%} of hands found, {errors.num_false} false')


def as_truth(hand: HandLandmarks, any_hand: HandTruth) -> HandTruth:
    """Dress landmarks as a hand for the evaluation of 2D figures only."""
    return dataclasses.replace(
        any_hand, is_right=hand.right_score > 0.5, keypoints_2d=hand.keypoints_2d
    )


def measure_landmarks(
    backend: LandmarkBackend, images: list[ImageArray], truth: ClipTruth
) -> None:
    """Follow both hands by their landmarks from the true start; say how far the landmarks are."""
    regions = [region_from_keypoints(hand.keypoints_2d) for hand in truth.frames[0]]
    ratios, presences, sides = [], [], []
    for image, hands in zip(images, truth.frames, strict=True):
        seen = backend.observe(image, regions, is_rgb=False)
        regions = [region_from_keypoints(hand.keypoints_2d) for hand in seen]
        for hand, true in zip(seen, hands, strict=True):
            distance = np.linalg.norm(hand.keypoints_2d - true.keypoints_2d, axis=1)
            ratios.append(distance / hand_size_px(true.keypoints_2d))
            presences.append(hand.presence)
            sides.append((hand.right_score > 0.5) == true.is_right)
    per_hand = np.mean(ratios, axis=1)
    print(
        f'landmarks: 2D error {np.median(per_hand):.1%} of hand size (median, worst '
        f'{per_hand.max():.1%}), lowest presence {min(presences):.2f}, side right in '
        f'{np.mean(sides):.1%} of images'
    )
    for name, ratio in zip(JOINT_NAMES, np.median(ratios, axis=0), strict=True):
        print(f'  {name:12} {ratio:6.1%}')


def measure_pipeline(images: list[ImageArray], truth: ClipTruth) -> None:
    """Run the whole pipeline as a stream."""
    pipeline = HandPipeline.load(PipelineSettings(device='cpu'))
    stream, found = pipeline.new_stream(), []
    for number, image in enumerate(images):
        frame = Frame(
            image=image, is_rgb=False, stamp_ns=round(number * 1e9 / truth.rate_hz),
            frame_id='camera', camera=truth.camera,
        )  # fmt: skip
        found.append(pipeline.step(stream, frame).hands)
    print('pipeline:')
    for name, value in evaluate_clip(truth.frames, found).rows():
        print(f'  {name:36} {value}')


def main() -> None:
    """Measure search, landmarks, pipeline."""
    images, truth = read_images(), load_clip_truth()
    backend = LandmarkBackend.load(device='cpu', num_threads=1)
    measure_search(backend, images, truth)
    measure_landmarks(backend, images, truth)
    measure_pipeline(images, truth)


if __name__ == '__main__':
    main()
