"""`gpubox export`: results for other programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.store import Store

HELP = "write results as JSON lines (lossless), CSV, llama-bench's JSON or SQL, sweep-bench's lines, Prometheus text"
EXAMPLE = """gpubox export > results.jsonl
gpubox export glm-5.2-1.630bpw-mtp --format llama-bench --output mtp.json"""

RUNS_AT_ONCE = 200
FORMAT_NAMES = ("jsonl", "csv", "llama-bench", "llama-bench-sql", "sweep-bench", "prometheus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from gpubox.cli.results import DB_HELP

    parser.add_argument(
        "runs", nargs="*", metavar="NAME", help="runs, profiles or batches as in compare (default: all runs)"
    )
    parser.add_argument("--format", choices=FORMAT_NAMES, default="jsonl", help="default: jsonl")
    parser.add_argument("--output", metavar="FILE", help="write there instead of standard output")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)


def run(args: argparse.Namespace) -> int:
    """Write the runs, oldest first."""
    from gpubox.cli.output import writing_to
    from gpubox.results.export import FORMATS
    from gpubox.results.selection import select
    from gpubox.results.store import Store

    with Store.open(args.db, read_only=True) as store:
        chosen = [run for name in args.runs for run in select(store, name).runs] if args.runs else store.runs()
        runs = sorted({run.id: run for run in chosen}.values(), key=lambda run: run.id)
        with writing_to(args.output) as out:
            out.writelines(FORMATS[args.format](_measured(store, runs)))
    if args.output:
        print(f"{args.output}: {len(runs)} runs", file=sys.stderr)
    return 0


def _measured(store: Store, runs: Sequence[Run]) -> Iterator[tuple[Run, list[Sample]]]:
    # Arrivals are most of the data; a part at a time keeps the memory small whatever the history.
    for start in range(0, len(runs), RUNS_AT_ONCE):
        some = runs[start : start + RUNS_AT_ONCE]
        samples = store.samples_of([run.id for run in some], whole=True)
        for each in some:
            yield each, samples[each.id]
