"""``hand_perception evaluate``: the figures of the benchmarks, beside the published ones."""

from typing import Any, Final

from hand_perception.cli import evaluate_hamer, evaluate_htt

NETWORKS: Final = (evaluate_htt, evaluate_hamer)


def add_parser(commands: Any) -> None:
    """Add the subcommand with its networks."""
    parser = commands.add_parser(
        'evaluate', help='measure HTT or HaMeR on a data set, beside the published numbers'
    )
    networks = parser.add_subparsers(dest='network', required=True, metavar='NETWORK')
    for module in NETWORKS:
        module.add_parser(networks)
