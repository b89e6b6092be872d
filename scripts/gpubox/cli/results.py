"""`gpubox results`: the history, or one run with its samples."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.record import Sample
    from gpubox.results.summary import Summary
    from gpubox.telemetry.readings import Reading

HELP = "list what was measured, or show one run with all its samples"
EXAMPLE = """gpubox results --profile glm-5.2-1.630bpw-mtp --limit 10
gpubox results latest"""

DB_HELP = "the results: a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE (default: $XDG_STATE_HOME/gpubox/results.db)"
EMPTY = "No results yet. Measure something first: gpubox bench PROFILE --host BOX"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, the beginning of one, latest or latest~1")
    parser.add_argument("--profile", help="only runs of this profile")
    parser.add_argument("--batch", help="only runs of this invocation of bench")
    parser.add_argument("--workload", help="only runs of this workload")
    parser.add_argument(
        "--status", choices=("running", "done", "interrupted", "failed"), help="only runs of this status"
    )
    parser.add_argument("--limit", type=_count, default=20, metavar="N", help="the newest N runs (default: 20; 0: all)")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """List the newest runs, newest last, or show one."""
    from gpubox.results.store import Store
    from gpubox.results.summary import document, summarise
    from gpubox.results.telemetry import readings_of

    with Store.open(args.db, read_only=True) as store:
        if args.run is not None:
            chosen = store.run(args.run)
            samples = store.samples(chosen.id)
            readings = readings_of(store, chosen.id)
            summary = summarise(chosen, samples)
            if args.json:
                whole = {"samples": [asdict(s) for s in samples], "telemetry": [one.as_dict() for one in readings]}
                print(json.dumps(document([summary]) | whole, indent=2))
            else:
                _show(summary, samples, readings)
            return 0
        filters = {"profile": args.profile, "batch": args.batch, "workload": args.workload, "status": args.status}
        runs = store.runs(**filters, limit=args.limit or None)
        measured = store.samples_of([run.id for run in runs])
        known = bool(runs) or bool(store.run_ids())
    summaries = [summarise(run, measured[run.id]) for run in reversed(runs)]
    if args.json:
        print(json.dumps(document(summaries), indent=2))
    elif summaries:
        print_summaries(summaries)
    else:
        print("No run is like that; see them all: gpubox results" if known else EMPTY)
    return 0


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def print_summaries(summaries: Sequence[Summary]) -> None:
    """Print a table, one run a line."""
    from gpubox.cli.tables import print_fields, print_table
    from gpubox.results.latest import subject
    from gpubox.results.metrics import PP, TG, TTFT
    from gpubox.results.wording import estimate, ratio

    rows = [
        (
            s.run.id,
            subject(s.run),
            s.run.workload.name,
            estimate(s.pp_tps, PP),
            estimate(s.tg_tps, TG),
            estimate(s.ttft_ms, TTFT),
            ratio(s.draft_acceptance),
            "; ".join(s.notes),
        )
        for s in summaries
    ]
    heads = ("RUN", "PROFILE", "WORKLOAD", PP.heading, TG.heading, TTFT.heading, "DRAFTS", "NOTES")
    notes = heads.index("NOTES")
    left_out = print_table(heads, rows, numbers=(3, 4, 5, 6), optional=(notes, 6, 5))
    if notes in left_out:
        print()
        print_fields({row[0]: row[notes] for row in rows if row[notes]})


def _show(summary: Summary, samples: Sequence[Sample], readings: Sequence[Reading]) -> None:
    from gpubox.cli.tables import print_fields, print_table
    from gpubox.results.described import lines_of
    from gpubox.results.energy import gpus_of_run
    from gpubox.results.metrics import PP, TG, TTFT
    from gpubox.results.wording import NOTHING, estimate, number, ratio
    from gpubox.telemetry.judgement import energy_of_tokens, in_words

    run = summary.run
    gpus = gpus_of_run(run)
    energy = energy_of_tokens(samples, readings, gpus)
    status = f"{run.status} ({run.reason})" if run.reason else run.status
    known = {
        "run": run.id,
        "batch": run.batch,
        "status": status,
        "started": run.started_at,
        "finished": run.finished_at,
        "profile": run.profile,
        "endpoint": run.endpoint,
        "workload": run.workload.name,
        "PP t/s": estimate(summary.pp_tps, PP),
        "TG t/s": estimate(summary.tg_tps, TG),
        "TTFT ms": estimate(summary.ttft_ms, TTFT),
        "draft acceptance": ratio(summary.draft_acceptance),
        "quality": summary.quality,
        "TG J/token": f"{energy.joules:.2f} at {energy.watts:.0f} W" if energy else "",
        "telemetry": "\n".join(in_words(readings, gpus)),
        "flags": "; ".join(summary.flags),
        "engine": "\n".join(lines_of(run.engine)),
        "model": "\n".join(lines_of(run.model)),
        "host": "\n".join(lines_of(run.host)),
        "argv": shlex.join(run.argv),
        "gpubox": run.tool_version,
    }
    print_fields({name: value for name, value in known.items() if value and value != NOTHING})
    print()
    rows = [
        (
            str(s.index),
            "warm-up" if s.kind == "warmup" else "measured",
            *(number(value, metric) for value, metric in ((s.pp_tps, PP), (s.tg_tps, TG), (s.ttft_ms, TTFT))),
            ratio(s.draft_acceptance),
            str(s.delivered_n),
            "; ".join([*(f"invalid: {fault}" for fault in s.faults), *s.flags]),
        )
        for s in samples
    ]
    heads = ("#", "KIND", PP.heading, TG.heading, TTFT.heading, "DRAFTS", "TOKENS", "NOTES")
    print_table(heads, rows, numbers=(0, 2, 3, 4, 5, 6))
