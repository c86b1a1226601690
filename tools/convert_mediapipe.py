"""Convert MediaPipe's hand networks from its wheel into the .npz files of the landmark back end.

    pip install tflite
    pip download --no-deps mediapipe==0.10.21
    python -m tools.convert_mediapipe mediapipe-0.10.21-*.whl

Run it in the root of the repository. The wheel (or a folder with the two .tflite files) is only
read: nothing of it is imported or run. Both files are checked against their sha256 first. All
weights are stored as float16 in the originals, so nothing is lost.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hand_perception.errors import WeightsError
from hand_perception.models.landmarks.networks import HandLandmarkNetwork, PalmDetector
from hand_perception.models.landmarks.weight_files import WEIGHTS_DIR
from hand_perception.optional import require
from tools.mediapipe_files import LANDMARK_MODEL, PALM_MODEL, read_source

HalfArray = NDArray[np.float16]

#: Class of the network, path inside the wheel, sha256.
SOURCES: tuple[tuple[type[nn.Module], str, str], ...] = (
    (PalmDetector, *PALM_MODEL),
    (HandLandmarkNetwork, *LANDMARK_MODEL),
)


def weighted_operators(content: bytes) -> Iterator[tuple[str, list[HalfArray]]]:
    """Yield kind and constants of the operators with weights, in the order in which they run."""
    tflite = require('tflite', purpose='the conversion of MediaPipe networks')
    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    constants: dict[int, HalfArray] = {}
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        buffer = model.Buffers(tensor.Buffer())
        if buffer.DataLength() and tensor.Type() == tflite.TensorType.FLOAT16:
            values = np.frombuffer(buffer.DataAsNumpy().tobytes(), np.float16)
            constants[i] = values.reshape(tensor.ShapeAsNumpy())
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = [int(n) for n in operator.InputsAsNumpy()]
        if kind == 'DEQUANTIZE':  # float16 to float32; the constant keeps its float16 values
            if inputs[0] in constants:
                constants[int(operator.OutputsAsNumpy()[0])] = constants[inputs[0]]
        elif kind in ('CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'PRELU'):
            yield kind, [constants[n] for n in inputs[1:]]


def torch_layout(kind: str, constants: list[HalfArray]) -> dict[str, HalfArray]:
    """Name the constants of one operator as torch does and bring them into torch's axes."""
    weight = constants[0]
    if kind == 'CONV_2D':
        weight = weight.transpose(0, 3, 1, 2)  # out, height, width, in
    elif kind == 'DEPTHWISE_CONV_2D':
        weight = weight.transpose(3, 0, 1, 2)  # 1, height, width, channels
    elif kind == 'PRELU':
        return {'weight': weight.reshape(-1)}
    return {'weight': weight, 'bias': constants[1]}


def _kind_of(layer: nn.Module) -> str | None:
    if isinstance(layer, nn.Conv2d):
        return 'CONV_2D' if layer.groups == 1 else 'DEPTHWISE_CONV_2D'
    return {nn.Linear: 'FULLY_CONNECTED', nn.PReLU: 'PRELU'}.get(type(layer))


def convert(network: nn.Module, content: bytes) -> dict[str, HalfArray]:
    """Pair the layers of a network with the operators of the graph, both in running order.

    Raises:
        WeightsError: the graph is not the one the network was written after.
    """
    layers = [(name, m, kind) for name, m in network.named_modules() if (kind := _kind_of(m))]
    operators = list(weighted_operators(content))
    if len(layers) != len(operators):
        raise WeightsError(f'{len(operators)} operators for {len(layers)} layers')
    arrays: dict[str, HalfArray] = {}
    for (name, layer, expected), (kind, constants) in zip(layers, operators, strict=True):
        if kind != expected:
            raise WeightsError(f'{name} is a {expected}, the graph has a {kind}')
        wanted = dict(layer.named_parameters())
        for key, values in torch_layout(kind, constants).items():
            if key not in wanted:
                if values.any():
                    raise WeightsError(f'{name} has no {key}, the graph has one that is not zero')
                continue
            if values.shape != wanted[key].shape:
                raise WeightsError(
                    f'{name}.{key} is {tuple(wanted[key].shape)}, the graph has {values.shape}'
                )
            arrays[f'{name}.{key}'] = np.ascontiguousarray(values)
    return arrays


def main() -> None:
    """Convert both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='mediapipe wheel or folder of .tflite files')
    parser.add_argument('--out', type=Path, default=WEIGHTS_DIR, help='folder of the .npz files')
    arguments = parser.parse_args()
    for network_class, name, sha256 in SOURCES:
        arrays = convert(network_class(), read_source(arguments.source, name, sha256))
        path = arguments.out / f'{Path(name).stem}.npz'
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # names are data, not arguments
        count = sum(a.size for a in arrays.values())
        print(f'{path}: {len(arrays)} arrays, {count} weights, {path.stat().st_size} bytes')


if __name__ == '__main__':
    try:
        main()
    except WeightsError as error:
        sys.exit(f'error: {error}')
