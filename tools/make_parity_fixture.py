"""Make the reference results that the tests of the landmark back end compare with.

What the published networks give, run by LiteRT (ai-edge-litert has wheels for Python 3.12, 3.13):

    pip install ai-edge-litert numpy opencv-python-headless
    python -m tools.make_parity_fixture networks MODELS IMAGE [IMAGE ...]

MODELS is the mediapipe 0.10.21 wheel or a folder with the two .tflite files. Written are
uint8 network inputs around the hands of the images with the outputs for them.

What mediapipe itself, with its own code around the networks, says of the photos:

    pip install mediapipe==0.10.21
    python -m tools.make_parity_fixture mediapipe IMAGE [IMAGE ...]

Run it in the root of the repository; torch is needed for neither.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hand_perception.models.landmarks.crops import crop_region, letterbox, whole_window
from hand_perception.models.landmarks.layout import LANDMARK_INPUT_PX, PALM_INPUT_PX
from hand_perception.models.landmarks.palm import decode_palms, merge_palms, palm_regions
from hand_perception.optional import require
from tools.mediapipe_files import LANDMARK_MODEL, PALM_MODEL, read_source

DATA_DIR = Path(__file__).resolve().parent.parent / 'test' / 'data'
#: Palm inputs kept; their 2016 x 19 outputs are the larger part of the file.
NUM_PALM_INPUTS = 2
NUM_CROPS = 5


class LiteRtNetwork:
    """One published network, run by LiteRT on the CPU."""

    def __init__(self, content: bytes, order: tuple[int, ...]) -> None:
        """Take the .tflite file and the outputs to join, in the order of the torch module."""
        litert = require('ai_edge_litert.interpreter', purpose='the reference of the networks')
        self._interpreter = litert.Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]['index']
        details = self._interpreter.get_output_details()
        self._outputs = [details[i]['index'] for i in order]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Map an (S, S, 3) uint8 RGB image to the outputs joined along the last axis."""
        self._interpreter.set_tensor(self._input, image[None].astype(np.float32) / 255)
        self._interpreter.invoke()
        return np.concatenate([self._interpreter.get_tensor(i)[0] for i in self._outputs], -1)


def network_references(models: Path, images: list[Path]) -> dict[str, np.ndarray]:
    """Run both networks around the hands of the images."""
    palm = LiteRtNetwork(read_source(models, *PALM_MODEL), (0, 1))
    # landmarks, world landmarks, presence, handedness
    landmark = LiteRtNetwork(read_source(models, *LANDMARK_MODEL), (0, 3, 1, 2))
    palm_inputs, crops = [], []
    for path in images:
        image = read_image(path)
        square = np.empty((PALM_INPUT_PX, PALM_INPUT_PX, 3), np.uint8)
        box = letterbox(image, whole_window(image), square, is_rgb=False)
        palm_inputs.append(square)
        found = merge_palms(decode_palms(palm(square), box, threshold=0.5, is_tile=False))
        for region in palm_regions(found):
            crop = np.empty((LANDMARK_INPUT_PX, LANDMARK_INPUT_PX, 3), np.uint8)
            crop_region(image, region, crop, is_rgb=False)
            crops.append(crop)
    palm_inputs, crops = palm_inputs[-NUM_PALM_INPUTS:], crops[:NUM_CROPS]
    return {
        'palm_inputs': np.stack(palm_inputs),
        'palm_outputs': np.stack([palm(x) for x in palm_inputs]),
        'crops': np.stack(crops),
        'crop_outputs': np.stack([landmark(x) for x in crops]),
    }


def mediapipe_references(images: list[Path]) -> dict[str, np.ndarray]:
    """Ask mediapipe's own graph for the hands of the images."""
    mediapipe: Any = require('mediapipe', purpose='the reference of the whole back end')
    found: dict[str, np.ndarray] = {}
    with mediapipe.solutions.hands.Hands(static_image_mode=True, max_num_hands=2) as hands:
        for path in images:
            image = read_image(path)
            size = image.shape[1::-1]
            result = hands.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            points = [
                [(p.x, p.y) for p in hand.landmark] for hand in result.multi_hand_landmarks or ()
            ]
            worlds = [
                [(p.x, p.y, p.z) for p in hand.landmark]
                for hand in result.multi_hand_world_landmarks or ()
            ]
            # Whole numbers are pixel centres here, the corner of the image in mediapipe.
            found[f'{path.stem}_keypoints_2d'] = np.array(points) * size - 0.5
            found[f'{path.stem}_world_m'] = np.array(worlds)
    return found


def read_image(path: Path) -> np.ndarray:
    """Read a BGR image, or the first image of a video."""
    image = cv2.imread(str(path))
    if image is None:
        _, image = cv2.VideoCapture(str(path)).read()
    if image is None:
        sys.exit(f'error: {path} is neither an image nor a video')
    return image


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays beside the old file, then put them in its place."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix='.npz', delete=False) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # names are data
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
    print(f'{path}: {path.stat().st_size} bytes')
    for name, array in arrays.items():
        print(f'  {name} {array.shape} {array.dtype}')


def main() -> None:
    """Write one of the two reference files into test/data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', required=True)
    networks = commands.add_parser('networks', help='LiteRT outputs on stored inputs')
    networks.add_argument('models', type=Path)
    networks.add_argument('images', type=Path, nargs='+')
    whole = commands.add_parser('mediapipe', help='hands found by mediapipe')
    whole.add_argument('images', type=Path, nargs='+')
    arguments = parser.parse_args()
    if arguments.command == 'networks':
        arrays = network_references(arguments.models, arguments.images)
        save(DATA_DIR / 'landmarks_parity.npz', arrays)
    else:
        save(DATA_DIR / 'landmarks_mediapipe.npz', mediapipe_references(arguments.images))


if __name__ == '__main__':
    main()
