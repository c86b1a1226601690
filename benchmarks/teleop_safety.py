"""Count what teleoperation did in simulated minutes of faults: safety as numbers.

``python benchmarks/teleop_safety.py --minutes 10``: every set-up of the clutch, two kinds of
stopping, and one run without faults. What must not happen is counted by a judge that knows the
truth and shares no code with the rules; the run fails when it saw anything.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from common import environment

from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.simulated.judge import SafetyCounts
from hand_perception.teleop.simulated.run import SafetyRun
from hand_perception.teleop.states import State

#: Name -> settings, and whether there are faults.
_SET_UPS = {
    'service': (TeleopSettings(sides='both'), True),
    'held button': (TeleopSettings(sides='both', clutch='button', dead_man='button'), True),
    'button': (TeleopSettings(sides='both', clutch='button'), True),
    'pinch': (TeleopSettings(clutch='pinch'), True),
    'no faults': (TeleopSettings(sides='both'), False),
}
#: Title -> how to count it, in two blocks: what happened, and what must be 0.
_HAPPENED = {
    'simulated s': lambda c: round(c.seconds),
    'commands': lambda c: c.commands,
    'engaged': lambda c: c.engagements,
    'released': lambda c: c.releases,
    'lost': lambda c: c.losses,
    'held, then disengaged': lambda c: c.held_then_disengaged,
    'faults played': lambda c: c.faults.total(),
}
_FORBIDDEN = {
    'commands while untracked': lambda c: (
        c.commands_while_unsafe['untracked'] + c.commands_while_unsafe['no hand']
    ),
    'commands while stale': lambda c: c.commands_while_unsafe['stale'],
    'commands by a wrong hand (side swaps, outliers)': lambda c: c.commands_while_unsafe[
        'wrong hand'
    ],
    'commands by one of two publishers': lambda c: c.commands_while_unsafe['second publisher'],
    'commands while not engaged': lambda c: sum(
        n for name, n in c.commands_while_unsafe.items() if name.startswith('while ')
    ),
    'steps above the speed limits': lambda c: (
        c.arm_violations['jump'] + c.arm_violations['turn jump']
    ),
    'steps above the acceleration limits': lambda c: (
        c.arm_violations['kick'] + c.arm_violations['turn kick']
    ),
    'targets outside the box': lambda c: c.arm_violations['outside'],
    'other complaints of the arm': lambda c: sum(
        c.arm_violations[name] for name in ('stale', 'future', 'malformed', 'twist')
    ),
    'engagements that nobody asked for': lambda c: c.not_deliberate,
    'losses that were overlooked': lambda c: c.losses_overlooked,
    'losses that did not hold, then disengage': lambda c: c.bad_holds,
    'releases that ended moving': lambda c: c.moving_at_release,
}


def main() -> int:
    """Run all set-ups and print their counts; 1 when anything happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=10.0, help='simulated, per set-up')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path, help='file for the counts')
    options = parser.parse_args()
    results: dict[str, SafetyCounts] = {}
    took_s = {}
    for name, (settings, with_faults) in _SET_UPS.items():
        start = time.perf_counter()
        run = SafetyRun(settings, seed=options.seed, with_faults=with_faults)
        results[name] = run.run(60 * options.minutes)
        took_s[name] = time.perf_counter() - start
        holding = sum(state.state is State.HOLDING for state in run.teleop.states)
        # Losses of the last moment still hold.
        unended = results[name].losses - results[name].held_then_disengaged - holding
        results[name].bad_holds = max(results[name].bad_holds, unended)
    for key, value in environment().items():
        print(f'{key}: {value}')
    _print_block('what happened', _HAPPENED, results)
    _print_block('what must not happen', _FORBIDDEN, results)
    print('\nwhy hands were lost, all set-ups together')
    reasons: Counter[str] = Counter()
    for counts in results.values():
        reasons.update(counts.loss_reasons)
    for name, number in reasons.most_common():
        print(f'{number:6d}  {name}')
    print('\nwall clock: ' + ', '.join(f'{name} {s:.1f} s' for name, s in took_s.items()))
    if options.json is not None:
        options.json.write_text(
            json.dumps({name: asdict(counts) for name, counts in results.items()}, indent=2)
        )
    return int(any(counts.num_violations for counts in results.values()))


def _print_block(
    title: str,
    rows: Mapping[str, Callable[[SafetyCounts], int]],
    results: Mapping[str, SafetyCounts],
) -> None:
    width = max(map(len, rows))
    print(f'\n{title:{width}}' + ''.join(f'{name:>13}' for name in results))
    for row, count in rows.items():
        print(f'{row:{width}}' + ''.join(f'{count(c):13d}' for c in results.values()))


if __name__ == '__main__':
    sys.exit(main())
