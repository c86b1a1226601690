"""Measure how fast synthetic data are written, and whether two processes do twice as much.

    python -m benchmarks.synthetic_data [--images 1024] [--rounds 2] [--size 480x270]
        [--processes 2] [--json FILE]

One process and several take turns at writing the same data set; files are compared. Starting
processes takes a few seconds, once in a run, however long it is: both the whole run and what
remains without the start are told. The goal is 1.7 with 2 processes on 2 cores. On a machine that
does other work, look at the last ratio: processor time tells what cores of their own would give.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import environment
from hand_perception.cli.data_make import read_size
from hand_perception.datasets.side_by_side import side_by_side
from hand_perception.synthetic.data_set import write_data_set
from hand_perception.synthetic.people import DataSpec

_FRAMES = 32


def write_s(spec: DataSpec, processes: int) -> tuple[float, float, dict[str, bytes]]:
    """Write a data set and return seconds, seconds of processors, and its files."""
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.perf_counter(), processor_s()
        for _ in write_data_set(spec, folder, num_processes=processes):
            pass
        passed, used = time.perf_counter() - start, processor_s() - before
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in Path(folder).rglob('*')
            if path.is_file()
        }
    return passed, used, files


def processor_s() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def start_s(processes: int) -> float:
    """Start processes that import what rendering needs and do nothing; return seconds."""
    start = time.perf_counter()
    list(side_by_side(_nothing, None, range(processes), processes))
    return time.perf_counter() - start


def _nothing(shared: None, job: int) -> None:
    import hand_perception.synthetic.data_set  # noqa: F401 - what a process has to import

    time.sleep(0.3)  # so that every process gets one


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=1024)
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--size', default='480x270')
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args(arguments)
    people = 4
    spec = DataSpec(
        subjects=people - 2, held_out=1, recordings=max(1, options.images // people // _FRAMES),
        frames=_FRAMES, **read_size(options.size),
    )  # fmt: skip
    images = len(spec.takes) * spec.frames
    counts = (1, options.processes)
    best = dict.fromkeys(counts, float('inf'))
    used = dict.fromkeys(counts, float('inf'))
    for _ in range(options.rounds):
        written = {}
        for count in counts:
            passed, processors, written[count] = write_s(spec, count)
            best[count] = min(best[count], passed)
            used[count] = min(used[count], processors)
        assert written[1] == written[options.processes], 'the files differ'
    start = min(start_s(options.processes) for _ in range(options.rounds))
    whole = best[1] / best[options.processes]
    without = best[1] / (best[options.processes] - start)
    by_processor = used[1] / (used[options.processes] / options.processes)
    where = environment(images=images, size=options.size)
    for key, value in where.items():
        print(f'{key}: {value}')
    for count in counts:
        print(
            f'{count} processes: {best[count]:6.1f} s, {images / best[count]:5.1f} images/s, '
            f'{1e3 * best[count] / images:5.1f} ms per image; processor time {used[count]:.1f} s'
        )
    print(f'start of {options.processes} processes: {start:.1f} s')
    print(
        f'ratio: {whole:.2f} of the whole run, {without:.2f} without the start, '
        f'{by_processor:.2f} by processor time'
    )
    print('the files of all runs are the same')
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        rows = {str(count): images / best[count] for count in counts}
        content = {
            'environment': where, 'images_per_s': rows, 'start_s': start, 'ratio': whole,
            'ratio_without_start': without, 'ratio_by_processor_time': by_processor,
        }  # fmt: skip
        options.json.write_text(json.dumps(content, indent=2))


if __name__ == '__main__':
    main()
