"""The yardstick of the benchmarks is what it says, and the bound on operations holds."""

import hamer_files
import torch

from benchmarks.hamer_reference import ReferenceHamer
from benchmarks.op_count import count_stages, problems_of
from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.config_file import parse_config
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.sizes import read_sizes


def test_reference_path_of_the_benchmarks_gives_the_official_numbers(tmp_path):
    checkpoint = read_checkpoint(find_files(hamer_files.write_flat(tmp_path)))
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
    sizes = read_sizes(shapes, parse_config(checkpoint.config, source='config'), source='weights')
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    wanted = hamer_files.reference()
    crops = torch.from_numpy(wanted['crops_rgb']).permute(0, 3, 1, 2)
    found = ReferenceHamer(checkpoint.tensors, sizes)((crops - 255 * mean) / (255 * std))
    for name in ('vertices', 'keypoints', 'pred_cam', 'pred_keypoints_2d', 'betas'):
        torch.testing.assert_close(found[name], torch.from_numpy(wanted[name]), rtol=0, atol=5e-6)


def test_forward_dispatches_at_most_400_operations_and_the_reference_path_790():
    rows = count_stages(hands=2)
    totals = {name: sum(sum(s.values()) for s in stages) for name, stages in rows.items()}
    assert problems_of(totals) == []


def test_number_of_operations_does_not_depend_on_the_number_of_hands():
    one, four = (count_stages(hands) for hands in (1, 4))
    for name in ('ours fp32', 'ours bf16'):
        # One clone more where the hands are more than one.
        assert abs(sum(sum(s.values()) for s in one[name])
                   - sum(sum(s.values()) for s in four[name])) <= 2  # fmt: skip
