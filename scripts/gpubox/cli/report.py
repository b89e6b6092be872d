"""Write the results as Markdown for a post, or as one HTML page that works offline.

The page has the profiles with published values beside measured ones, speed against depth, MTP with its break-even, the
history of each profile, and where every number comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from gpubox.page.content import Content
    from gpubox.record import Run, Sample

HELP = "write the results as Markdown or as an HTML page: numbers with intervals, comparisons, provenance, flags"
EXAMPLE = """gpubox report --baseline glm-5.2-1.630bpw --output report.md
gpubox report --html report.html
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
    written = parser.add_mutually_exclusive_group()
    written.add_argument("--output", metavar="FILE", help="write there instead of standard output")
    written.add_argument("--html", metavar="FILE", help="write one self-contained HTML page there")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="write JSON instead of Markdown")


def run(args: argparse.Namespace) -> int:
    """Write the report.

    The collector of cycles rests meanwhile: a long history is a million objects without one, and looking for cycles
    among them takes as long as reading them.
    """
    import gc

    collecting = gc.isenabled()
    gc.disable()
    try:
        return _report(args)
    finally:
        if collecting:
            gc.enable()


def _report(args: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from gpubox.cli.output import writing_to
    from gpubox.errors import GpuboxError, UnknownRunError, nearest
    from gpubox.page.content import content
    from gpubox.results.energy import energies
    from gpubox.results.held import held_against
    from gpubox.results.latest import latest_done, subject
    from gpubox.results.report import against_baseline, report
    from gpubox.results.selection import select
    from gpubox.results.store import Store
    from gpubox.results.summary import document, summarise

    if args.html and args.json:
        raise GpuboxError("--html", "writes a page, not JSON", "leave --json out")
    whole: dict[str, list[Sample]] = {}
    with Store.open(args.db, read_only=True) as store:
        chosen = [run for name in args.runs for run in select(store, name).runs] if args.runs else store.runs()
        held = held_against(store, _newest_first(chosen))
        # A baseline of what is shown is shown.
        runs = _newest_first([*chosen, *(one.pair.a for one in held)])
        samples = store.samples_of([run.id for run in runs])
        latest = latest_done(runs)
        spent = energies(store, latest, samples)
        if args.html:
            whole = store.samples_of([run.id for run in latest], whole=True)
    subjects = {subject(run) for run in runs}
    if args.baseline is not None and args.baseline not in subjects:
        remedy = nearest(args.baseline, subjects) or "name one that the report holds"
        raise UnknownRunError(args.baseline, "the report holds no run of this baseline", remedy)
    if args.html:
        pairs = list(against_baseline(runs, samples | whole, args.baseline))
        page = _page(content(runs, samples, whole, pairs, held=held, energies=spent))
        with writing_to(args.html) as out:
            out.write(page)
        return 0
    with writing_to(args.output) as out:
        if args.json:
            pairs = list(against_baseline(runs, samples, args.baseline))
            results = document(summarise(run, samples[run.id]) for run in reversed(runs))
            beside = {
                "comparisons": [pair.as_dict() for pair in pairs],
                "baselines": [asdict(one.baseline) | one.pair.as_dict() for one in held],
                "energies": {run_id: asdict(energy) for run_id, energy in spent.items()},
            }
            out.write(json.dumps(results | beside, indent=2) + "\n")
        else:
            out.write(report(runs, samples, baseline=args.baseline, held=held, energies=spent))
    return 0


def _newest_first(runs: Iterable[Run]) -> list[Run]:
    """Return the runs, each once."""
    return sorted({run.id: run for run in runs}.values(), key=lambda run: run.id, reverse=True)


def _page(shown: Content) -> str:
    from datetime import UTC, datetime

    from gpubox.page.html import html

    return html(shown, written_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
