"""`gpubox compare A B`: two runs, profiles or batches side by side."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpubox.results.compare import Comparison, Pair

HELP = "compare two runs, profiles or batches: metric by metric with a verdict, and which inputs differ"
EXAMPLE = """gpubox compare glm-5.2-1.630bpw glm-5.2-1.630bpw-mtp
gpubox compare latest~1 latest --fail-on-regression 3
gpubox compare glm-5.2-1.630bpw"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from gpubox.cli.results import DB_HELP

    names = (
        "a run (id, beginning of it, latest, latest~1), a profile (its latest finished runs), PROFILE@BATCH,"
        " PROFILE@baseline or a batch"
    )
    parser.add_argument("a", metavar="A", help=names)
    parser.add_argument(
        "b",
        metavar="B",
        nargs="?",
        help="the same, to be judged beside A; without it the profile A beside its baseline",
    )
    parser.add_argument(
        "--fail-on-regression",
        type=_percent,
        metavar="PCT",
        help="exit with 1 where PP, TG or TTFT of B is worse by more than PCT percent and the interval excludes zero",
    )
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Compare, print, and judge where that is asked for."""
    from gpubox.errors import UnknownRunError
    from gpubox.results.compare import compare
    from gpubox.results.selection import BASELINE, select
    from gpubox.results.store import Store

    with Store.open(args.db, read_only=True) as store:
        names = (args.a, args.b) if args.b else (f"{args.a}@{BASELINE}", args.a)
        a, b = (select(store, name) for name in names)
        samples = store.samples_of([run.id for run in (*a.every, *b.every)], whole=True)
    comparison = compare(a, b, samples)
    if not comparison.pairs:
        fault = f"no workload in common: A has {', '.join(comparison.only_a)}; B has {', '.join(comparison.only_b)}"
        raise UnknownRunError(" and ".join(names), fault, "measure both with the same workload")
    regressions = [] if args.fail_on_regression is None else comparison.regressions(args.fail_on_regression)
    if args.json:
        print(json.dumps(comparison.as_dict() | {"regressed": bool(regressions)}, indent=2))
    else:
        print_comparison(comparison)
        for pair, row in regressions:
            limit = f"the limit is {args.fail_on_regression:g} %"
            print(f"REGRESSION: {pair.a.workload.name} {row.metric.title}: {row.verdict}; {limit}")
    return 1 if regressions else 0


def _percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage of 0 or more")
    return number


def print_comparison(comparison: Comparison) -> None:
    """Print each pair of runs, metric by metric."""
    for pair in comparison.pairs:
        _print_pair(pair)
    for side, only in (("A", comparison.only_a), ("B", comparison.only_b)):
        if only:
            print(f"Only {side} has: {', '.join(only)}\n")


def _print_pair(pair: Pair) -> None:
    from gpubox.cli.tables import print_table
    from gpubox.results.latest import subject
    from gpubox.results.wording import compact, estimate

    print(f"{pair.a.workload.name}: {pair.how}")
    for side, run in (("A", pair.a), ("B", pair.b)):
        print(f"  {side}  {subject(run)}  {run.id}" + ("" if run.status == "done" else f"  ({run.status})"))
    print()
    rows = [(r.metric.heading, estimate(r.a, r.metric), estimate(r.b, r.metric), r.verdict) for r in pair.rows]
    print_table(("METRIC", "A", "B", "VERDICT"), rows, numbers=(1, 2))
    print()
    if pair.mtp:
        print(f"Verdict: {pair.mtp.sentence}.\n")
    if pair.answers:
        print(f"Answers: {pair.answers.sentence}.\n")
    if pair.quality:
        print(f"Quality: {pair.quality}.\n")
    if pair.inputs:
        inputs = [(item.path, compact(item.a), compact(item.b)) for item in pair.inputs]
        print_table(("INPUT THAT DIFFERS", "A", "B"), inputs)
    else:
        print("No recorded input differs.")
    print()
