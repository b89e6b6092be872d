"""Answer one question from what was measured, with the evidence.

`mtp`: does multi-token prediction pay? A and B are the same model measured without and with it, in either order. TG of
both, the drafts that were accepted, what a round costs beside one token, and the acceptance from which it would pay.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gpubox.results.mtp import MtpVerdict

HELP = "say whether MTP helps on this box, by how much, and why"
EXAMPLE = """gpubox verdict mtp glm-5.2-1.630bpw glm-5.2-1.630bpw-mtp
gpubox verdict mtp latest~1 latest --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from gpubox.cli.results import DB_HELP

    parser.add_argument("question", choices=("mtp",), help="what is asked")
    parser.add_argument("a", metavar="A", help="a run, profile or batch as in compare")
    parser.add_argument("b", metavar="B", help="the same, with MTP where A is without, or the other way round")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Judge, and print."""
    from gpubox.errors import UnknownRunError
    from gpubox.results.compare import compare
    from gpubox.results.selection import select
    from gpubox.results.store import Store

    with Store.open(args.db, read_only=True) as store:
        a, b = select(store, args.a), select(store, args.b)
        samples = store.samples_of([run.id for run in (*a.every, *b.every)], whole=True)
    comparison = compare(a, b, samples)
    verdicts = [pair.mtp for pair in comparison.pairs if pair.mtp]
    if not verdicts:
        fault = "have no workload in common that exactly one of them drafts in"
        remedy = "measure one profile with speculative and one without, with the same workloads"
        raise UnknownRunError(f"{args.a} and {args.b}", fault, remedy)
    if args.json:
        print(json.dumps({"mtp": [verdict.as_dict() for verdict in verdicts]}, indent=2))
    else:
        _print(verdicts)
    return 0


def _print(verdicts: Sequence[MtpVerdict]) -> None:
    from gpubox.cli.tables import print_table
    from gpubox.results.mtp_positions import in_words
    from gpubox.results.mtp_table import HEADS, row_of

    heads = [head.upper().replace(" MS", " ms").replace("T/S", "t/s") for head in HEADS]
    print_table(heads, [row_of(verdict) for verdict in verdicts], numbers=range(1, len(HEADS)))
    print()
    for verdict in verdicts:
        print(f"{verdict.workload}: {verdict.sentence}")
        if verdict.reached:
            print(f"{verdict.workload}: accepted were {in_words(verdict.reached)}")
