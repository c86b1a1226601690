"""The published size: its names and shapes, and one forward on the CPU within 8 GiB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.hamer_model import FULL, model_config
from hand_perception.models.hamer.config_file import parse_config
from hand_perception.models.hamer.sizes import read_sizes
from hand_perception.models.hamer.weight_files import (
    MANO_NAMES,
    PART_PREFIXES,
    HamerParts,
    published_name,
)

ROOT = Path(__file__).resolve().parents[2]

WRITE = """
import sys
from pathlib import Path
from benchmarks.hamer_model import FULL, write_random_release
write_random_release(Path(sys.argv[1]), FULL)
"""

RUN = """
import json, resource, sys
import torch
from hand_perception.models.hamer.network import HamerNetwork

def most_gib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

torch.set_num_threads(1)
before = most_gib()
network = HamerNetwork.load(sys.argv[1], device='cpu', precision='fp32')
loaded = most_gib()
output = network(torch.zeros(1, 3, 256, 256))
print(json.dumps({
    'load_gib': loaded - before, 'most_gib': most_gib(),
    'vertices': list(output.vertices.shape),
    'is_finite': bool(torch.isfinite(output.vertices).all()),
}))
"""


def official_tensors() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name, type and shape of every tensor of the official checkpoint, from a listing of it."""
    found = {}
    for line in (ROOT / 'test/data/hamer_full_state_dict.txt').read_text().splitlines():
        name, dtype, shape = line.split(maxsplit=2)
        found[name] = (dtype, tuple(int(n) for n in shape.strip('()').split(',') if n.strip()))
    return found


def test_names_and_shapes_are_those_of_the_official_checkpoint():
    official = official_tensors()
    assert len(official) == 563
    with torch.device('meta'):
        parts = HamerParts(FULL)
    ours = {published_name(n): tuple(t.shape) for n, t in parts.state_dict().items()}
    assert ours == {n: s for n, (_, s) in official.items() if n.startswith(PART_PREFIXES)}
    assert set(MANO_NAMES) <= set(official)


def test_sizes_are_read_from_the_shapes_of_the_official_checkpoint():
    config = parse_config(model_config(FULL), source='model_config.yaml')
    shapes = {name: shape for name, (_, shape) in official_tensors().items()}
    assert read_sizes(shapes, config, source='hamer.ckpt') == FULL


def test_heads_of_the_backbone_need_no_entry_in_the_configuration():
    values = model_config(FULL)
    del values['MODEL']['BACKBONE']['NUM_HEADS']  # as in the released file
    config = parse_config(values, source='model_config.yaml')
    shapes = {name: shape for name, (_, shape) in official_tensors().items()}
    assert read_sizes(shapes, config, source='hamer.ckpt').backbone.num_heads == 16


def test_backbone_and_head_have_the_published_number_of_parameters():
    with torch.device('meta'):
        parts = HamerParts(FULL)
    numbers = [sum(p.numel() for p in part.parameters()) for part in parts.children()]
    assert numbers == [630_912_000, 39_497_837]


@pytest.mark.slow
def test_published_size_loads_as_a_map_and_runs_within_8_gib(tmp_path):
    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, '-W', 'error', '-c', program, str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    checkpoint = tmp_path / '_DATA/hamer_ckpts/checkpoints/hamer.ckpt'
    try:
        run(WRITE)
        assert checkpoint.stat().st_size > 2.6e9
        found = json.loads(run(RUN))
    finally:
        checkpoint.unlink(missing_ok=True)  # pytest would keep it for three runs
    assert found['is_finite'] and found['vertices'] == [1, 778, 3]
    assert found['load_gib'] < 1.0  # a copy of the weights would take 2.5
    assert found['most_gib'] < 8.0
