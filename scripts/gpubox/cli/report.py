"""`gpubox report`: the results as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "write the results as Markdown: runs with intervals, comparisons to a baseline, provenance, flags"
EXAMPLE = """gpubox report --baseline glm-5.2-1.630bpw --output report.md
gpubox report glm-5.2-1.630bpw glm-5.2-1.630bpw-mtp"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from gpubox.cli.results import DB_HELP

    parser.add_argument(
        "runs", nargs="*", metavar="NAME", help="runs, profiles or batches as in compare (default: all runs)"
    )
    parser.add_argument(
        "--baseline", metavar="PROFILE", help="compare to this profile (default: the one measured first)"
    )
    parser.add_argument("--output", metavar="FILE", help="write there instead of standard output")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="write JSON instead of Markdown")


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    import json

    from gpubox.cli.output import writing_to
    from gpubox.cli.results import EMPTY
    from gpubox.errors import UnknownRunError, nearest
    from gpubox.results.report import against_baseline, report, subject
    from gpubox.results.selection import select
    from gpubox.results.store import Store
    from gpubox.results.summary import document, summarise

    with Store.open(args.db, read_only=True) as store:
        chosen = [run for name in args.runs for run in select(store, name).runs] if args.runs else store.runs()
        runs = sorted({run.id: run for run in chosen}.values(), key=lambda run: run.id, reverse=True)
        samples = store.samples_of([run.id for run in runs])
    subjects = {subject(run) for run in runs}
    if args.baseline is not None and args.baseline not in subjects:
        remedy = nearest(args.baseline, subjects) or "name one that the report holds"
        raise UnknownRunError(args.baseline, "the report holds no run of this baseline", remedy)
    if not runs and not args.json:
        print(EMPTY)
        return 0
    with writing_to(args.output) as out:
        if args.json:
            pairs = [pair.as_dict() for pair in against_baseline(runs, samples, args.baseline)]
            results = document(summarise(run, samples[run.id]) for run in reversed(runs))
            out.write(json.dumps(results | {"comparisons": pairs}, indent=2) + "\n")
        else:
            out.write(report(runs, samples, baseline=args.baseline))
    return 0
