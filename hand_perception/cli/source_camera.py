"""The camera of a picture on the command line: told, known, or assumed."""

import argparse

from hand_perception.datatypes import Camera, ImageArray
from hand_perception.video import VideoSource


def source_camera(source: VideoSource, image: ImageArray, options: argparse.Namespace) -> Camera:
    """Give the camera of a picture by --focal-px, by its source, or by --focal-ratio."""
    height, width = image.shape[:2]
    if options.focal_px > 0:
        return Camera.centred(width, height, focal_px=options.focal_px)
    if source.camera is not None:
        return source.camera
    return Camera.assumed(width, height, focal_ratio=options.focal_ratio)
