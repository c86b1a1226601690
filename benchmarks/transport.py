"""Raw 1080p images on one host: the shipped DDS profile against the defaults (number 8).

``python benchmarks/transport.py [--count N] [--json FILE]``. One process publishes at 30 Hz as
``video_source`` does, another subscribes best effort. All must arrive at a queue of 5. With a
queue of 1, as ``perception`` has it, an image is replaced when the receiving process is held up
for a whole period: that is wanted, and happens on a busy machine.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from common import environment
from ros_runs import run_together

_SIZES = ((640, 480), (1280, 720), (1920, 1080))
_CASES = (('default', 1), ('shipped', 1), ('shipped', 5))


def main() -> None:
    """Measure every size with and without the profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=150)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    rows = []
    for width, height in _SIZES:
        for profile, depth in _CASES:
            size = ['--width', str(width), '--height', str(height), '--count', str(options.count)]
            measured = run_together(
                {'receiver': ['--depth', str(depth)], 'camera': size},
                ends='camera', with_profile=profile == 'shipped',
            )  # fmt: skip
            latency = np.array(measured['receiver']['latency_s'] or [np.nan]) * 1e3
            rows.append({
                'size': f'{width}x{height}', 'profile': profile, 'depth': depth,
                'sent': measured['camera']['sent'], 'delivered': measured['receiver']['received'],
                'latency_p50_ms': float(np.percentile(latency, 50)),
                'latency_p99_ms': float(np.percentile(latency, 99)),
            })  # fmt: skip
    where = environment(qos='camera reliable keep last 5, receiver best effort')
    for key, value in where.items():
        print(f'{key}: {value}')
    print('\nsize       profile  queue  delivered  latency p50 ms  p99 ms')
    for row in rows:
        delivered = f'{row["delivered"]:4d}/{row["sent"]:<4d}'
        print(
            f'{row["size"]:10} {row["profile"]:8} {row["depth"]:5d}  {delivered} '
            f'{row["latency_p50_ms"]:14.1f} {row["latency_p99_ms"]:8.1f}'
        )
    passed = all(r['delivered'] == r['sent'] for r in rows if r['depth'] > 1)
    print('\nall images delivered with the shipped profile: ' + ('passed' if passed else 'FAILED'))
    if options.json:
        options.json.write_text(json.dumps({'environment': where, 'rows': rows}, indent=2))
    raise SystemExit(not passed)


if __name__ == '__main__':
    main()
