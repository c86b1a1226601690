"""What the benchmarks share: interleaved timing, ratios of medians, one way to report.

Absolute times of a shared machine mean little; the ratio of two ways that take turns in one
process does. Ratios are above 1 where the candidate is faster than the baseline.
"""

import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
_BOOTSTRAP_ROUNDS = 2000


def time_interleaved(
    ways: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 50, seed: int = 0
) -> dict[str, Times]:
    """Call every way once per round, in a new random order each round.

    Returns:
        (rounds,) seconds of wall clock per name. A way that works on a device must wait for it.
    """
    for way in ways.values():
        for _ in range(warm_up):
            way()
    names = list(ways)
    times = {name: np.empty(rounds) for name in names}
    rng = np.random.default_rng(seed)
    for i in range(rounds):
        for k in rng.permutation(len(names)):
            start = time.perf_counter()
            ways[names[k]]()
            times[names[k]][i] = time.perf_counter() - start
    return times


def ratio_of_medians(
    baseline: Times, candidate: Times, *, seed: int = 0
) -> tuple[float, float, float]:
    """Return median(baseline) / median(candidate) and its 95 % bootstrap interval."""
    rng = np.random.default_rng(seed)

    def resampled(times: Times) -> Times:
        picks = rng.integers(0, len(times), (_BOOTSTRAP_ROUNDS, len(times)))
        return np.asarray(np.median(times[picks], axis=1))

    low, high = np.percentile(resampled(baseline) / resampled(candidate), [2.5, 97.5])
    return float(np.median(baseline) / np.median(candidate)), float(low), float(high)


def summarize(times: Times) -> dict[str, float]:
    """Return p50, p99, least (milliseconds) and the number of measurements."""
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return {
        'p50_ms': float(p50), 'p99_ms': float(p99), 'min_ms': float(times.min() * 1e3),
        'n': len(times),
    }  # fmt: skip


def environment(**more: object) -> dict[str, Any]:
    """Describe where and when this runs; ``more`` adds lines such as the device."""
    packages = ('numpy', 'torch', 'opencv-python-headless', 'opencv-python')
    return {
        'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'command': ' '.join(['python', os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        'python': platform.python_version(),
        **{name: found for name in packages if (found := _version(name))},
        'cpu': _cpu_name(),
        'cores': os.cpu_count(),
        'loadavg': [round(load, 2) for load in os.getloadavg()],
        **more,
    }


def report(
    results: Mapping[str, Mapping[str, Times]],
    *,
    baseline: str,
    where: Mapping[str, Any],
    json_path: Path | None = None,
) -> list[dict[str, Any]]:
    """Print a table with one row per case and way, and write it as JSON when asked.

    Args:
        results: case -> way -> times.
        baseline: the way that the others are compared with, in every case.
        where: of :func:`environment`.
        json_path: file to write.
    """
    rows: list[dict[str, Any]] = []
    for case, ways in results.items():
        for way, times in ways.items():
            ratio, low, high = ratio_of_medians(ways[baseline], times)
            rows.append(
                {'case': case, 'way': way, **summarize(times),
                 'ratio': ratio, 'ratio_low': low, 'ratio_high': high}
            )  # fmt: skip
    for key, value in where.items():
        print(f'{key}: {value}')
    width = max(len(row['case']) for row in rows)
    way_width = max(len(row['way']) for row in rows)
    print(f'\n{"case":{width}}  {"way":{way_width}}  p50 ms  p99 ms  min ms    n  '
          f'{baseline} / way [95 %]')  # fmt: skip
    for row in rows:
        print(
            f'{row["case"]:{width}}  {row["way"]:{way_width}}  {row["p50_ms"]:6.2f}  '
            f'{row["p99_ms"]:6.2f}  {row["min_ms"]:6.2f} {row["n"]:4d}  {row["ratio"]:.2f} '
            f'[{row["ratio_low"]:.2f}, {row["ratio_high"]:.2f}]'
        )
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps({'environment': dict(where), 'rows': rows}, indent=2))
    return rows


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()
