"""The command ``hand_perception``: parse, call one function, turn refusals into one line."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from hand_perception.cli import data, demo, doctor, evaluate, predict, train, weights
from hand_perception.errors import HandPerceptionError


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog='hand_perception', description='Metric 3D hands from egocentric images.'
    )
    parser.add_argument('-v', '--verbose', action='store_true', help='tell details on stderr')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for module in (predict, doctor, weights, data, train, evaluate, demo):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        0 done, 1 the subcommand found a problem, 2 the input or a setting was refused.
    """
    options = make_parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format='%(levelname)s %(name)s: %(message)s',
    )
    try:
        return int(options.run(options))
    except HandPerceptionError as error:
        print(f'hand_perception {options.command}: {error}', file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever reads the output has seen enough, as `head` does; nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
