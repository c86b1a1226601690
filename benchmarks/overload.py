"""Twice and four times more images than the node can process: its age must stay flat (number 11).

``python benchmarks/overload.py [--seconds S] [--json FILE]``. VGA images at 30 Hz; the networks
sleep 2 or 4 image periods. A queue would let the age grow by up to a second per second.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from common import environment
from ros_runs import run_together

_RATE_HZ = 30.0
#: Growth of the age that counts as none, milliseconds per second; a queue of images that nobody
#: can catch up with grows by 500 at twofold overload.
GATE_MS_PER_S = 5.0
_WARM_UP = 5


def main() -> None:
    """Measure age and drops at each overload."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=15.0)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    rows = []
    for factor in (2, 4):
        count = round(options.seconds * _RATE_HZ)
        measured = run_together(
            {
                'node': ['--sleep', str(factor / _RATE_HZ)],
                'sink': [],
                'camera': ['--width', '640', '--height', '480', '--count', str(count)],
            },
            ends='camera', with_profile=True,
        )  # fmt: skip
        age = np.array(measured['sink']['pose_age_s'][_WARM_UP:])
        seconds = np.arange(len(age)) * factor / _RATE_HZ
        node = measured['node']
        rows.append({
            'overload': factor, 'sent': measured['camera']['sent'],
            'processed': node['processed'], 'dropped': node['dropped'],
            'age_p50_ms': float(np.percentile(age, 50) * 1e3),
            'age_p99_ms': float(np.percentile(age, 99) * 1e3),
            'growth_ms_per_s': float(np.polyfit(seconds, age, 1)[0] * 1e3),
        })  # fmt: skip
    where = environment(image='640x480 bgr8, 30 Hz')
    for key, value in where.items():
        print(f'{key}: {value}')
    print('\noverload  sent  processed  dropped  age p50 ms  p99 ms  growth ms/s')
    for row in rows:
        print(
            f'{row["overload"]:7d}x {row["sent"]:5d} {row["processed"]:10d} {row["dropped"]:8d} '
            f'{row["age_p50_ms"]:11.1f} {row["age_p99_ms"]:7.1f} {row["growth_ms_per_s"]:12.2f}'
        )
    passed = all(
        abs(r['growth_ms_per_s']) <= GATE_MS_PER_S
        and r['processed'] + r['dropped'] > 0.95 * r['sent']
        for r in rows
    )
    print('\nage flat and drops counted: ' + ('passed' if passed else 'FAILED'))
    if options.json:
        options.json.write_text(json.dumps({'environment': where, 'rows': rows}, indent=2))
    raise SystemExit(not passed)


if __name__ == '__main__':
    main()
