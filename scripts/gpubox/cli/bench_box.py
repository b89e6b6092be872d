"""`gpubox bench --host BOX`: the part of `gpubox bench` that measures what is deployed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

    from gpubox.bench.plan import Plan
    from gpubox.cli.progress import Progress
    from gpubox.results.store import Store

# Benchmarks wait for nobody, so a profile is not watched long; its samples will tell.
SWITCH_OPTIONS = ("--watch=2",)


def run_on_box(args: argparse.Namespace) -> int:
    """Measure the profiles on the box, or go on, or put back; 1 where something could not be measured or put back."""
    from gpubox.bench.box import BoxBench, Host, restore
    from gpubox.box import box_of, host_variables
    from gpubox.cli.bench_choice import chosen_profiles, print_published
    from gpubox.cli.bench_matrix import fitting_profiles, print_next_steps
    from gpubox.cli.box_progress import BoxProgress
    from gpubox.cli.progress import Progress
    from gpubox.cli.results import print_summaries
    from gpubox.errors import GpuboxError
    from gpubox.profiles_folder import profiles_folder
    from gpubox.results.store import Store
    from gpubox.results.summary import document, summarise

    _check(args)
    hosts = host_variables([args.host], profiles_folder().parent)
    if len(hosts) > 1:
        raise GpuboxError(args.host, "is a group of several boxes", f"name one of {', '.join(hosts)}")
    ((box, variables),) = hosts.items()
    progress, switching = Progress(quiet=args.json), BoxProgress()

    def on_event(event: Mapping[str, Any]) -> None:
        if not args.json:
            progress.close()
            switching.event(box, event)

    if args.matrix:
        args.profiles = fitting_profiles(args.matrix, box_of(box, variables), progress, write=args.write)
        if args.write:
            print_next_steps(args.profiles, box)
            return 0
    args.profiles = chosen_profiles(args.profiles, box_of(box, variables), variables, progress)
    host = Host(box, variables, SWITCH_OPTIONS, on_event)
    with Store.open(args.db) as store:
        try:
            if args.restore:
                return _told(box, restore(host, progress))
            plan = _plan(args, store, box, progress)
            outcome = BoxBench(store, host, plan, progress, args.timeout).run()
        finally:
            progress.close()
            switching.close()
        runs = store.runs(batch=plan.batch, status="done")
        summaries = [summarise(run, store.samples(run.id)) for run in reversed(runs)]
    if args.json:
        print(json.dumps(document(summaries) | {"batch": plan.batch, "failed": outcome.failed}, indent=2))
    else:
        print_summaries(summaries)
        print_published(summaries)
    for name, why in outcome.failed.items():
        print(f"gpubox: {name}: could not be measured: {why.partition(chr(10))[0]}", file=sys.stderr)
    return max(_told(box, outcome.unrestored), 1 if outcome.failed else 0)


def _check(args: argparse.Namespace) -> None:
    """Refuse options that say different things."""
    from gpubox.errors import GpuboxError

    given = [name for name, value in (("profiles", args.profiles), ("--matrix", args.matrix)) if value]
    if args.resume is not None or args.restore:
        if given:
            raise GpuboxError("--resume, --restore", "know the profiles themselves", f"leave {given[0]} out")
    elif len(given) != 1:
        fault = "needs either profiles that are deployed there, or a --matrix of them"
        raise GpuboxError("--host", fault, "name one or more profiles" if not given else "leave one of the two out")
    if args.write and not args.matrix:
        raise GpuboxError("--write", "writes the profiles of a matrix", "name it with --matrix FILE")
    if args.workload and (args.pp or args.tg):
        raise GpuboxError("--workload", "says itself how long prompts and answers are", "leave --pp and --tg out")


def _told(box: str, unrestored: str) -> int:
    if unrestored:
        print(f"gpubox: {box}: what served before does not serve again: {unrestored}", file=sys.stderr)
    return 1 if unrestored else 0


def _plan(args: argparse.Namespace, store: Store, box: str, progress: Progress) -> Plan:
    from gpubox.bench.plan import make_plan
    from gpubox.bench.session import new_id
    from gpubox.cli.bench import route_of, workloads_of
    from gpubox.profile_files import load_profile
    from gpubox.results.batches import add_batch, batch_to_resume

    if args.resume is not None:
        plan = batch_to_resume(store, box, args.resume)
        progress.say(f"{box}: going on with batch {plan.batch}")
        return plan
    loaded = [(source, load_profile(source)) for source in args.profiles]
    asked = [(source, one, workloads_of(args, one.profile.server.ctx_size)) for source, one in loaded]
    plan, left_out = make_plan(new_id(), box, asked, rounds=args.interleave or 1, route=route_of(args))
    for text in left_out:
        progress.say(text)
    add_batch(store, plan)
    return plan
