"""Measure PP, TG, TTFT and draft acceptance through the HTTP endpoint, and record every sample.

Of profiles that are deployed on a box (--host): each is switched to, measured through an SSH tunnel and recorded, and
what served before serves again in the end; of a server that already runs (--endpoint); or of profiles that are served
on this machine by a llama-server of yours (--server). Repeats until the 95 % interval of PP and TG is within --target
of the mean, or --reps is reached. `gpubox bench bisect` finds the commit of the engine that made a profile slower.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from gpubox.bench.prompts import Route
    from gpubox.bench.session import Watcher
    from gpubox.record import Workload
    from gpubox.results.store import Store

HELP = "measure profiles deployed on a box, a running endpoint, or profiles served on this machine"
EXAMPLE = """
gpubox bench glm-5.2-1.630bpw glm-5.2-1.630bpw-mtp --host glm-box --interleave
gpubox bench 'glm-5.2-*' --host glm-box --workload write-up
gpubox bench --resume --host glm-box
gpubox bench --matrix ubatch.yml --host glm-box --write
gpubox bench --endpoint http://127.0.0.1:8000 --pp 2048 --tg 128
gpubox bench --endpoint http://127.0.0.1:8000 --workload drafting
gpubox bench fast.yml --server ./llama-server --model model.gguf --json
"""

DEFAULT_PP = 2048
DEFAULT_TG = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from gpubox.cli.results import DB_HELP

    parser.add_argument(
        "profiles",
        nargs="*",
        metavar="PROFILE",
        help="a name or a file, with --host or --server; with --host also a pattern such as 'glm-5.2-*'",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--host", metavar="BOX", help="a host of the inventory where each PROFILE is deployed")
    where.add_argument("--endpoint", metavar="URL", help="a llama.cpp-family server that already runs")
    where.add_argument("--server", metavar="COMMAND", help="a llama-server; serves each PROFILE on this machine")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--interleave", type=positive, nargs="?", const=2, metavar="N", help="measure all N times in turns (2): A B A B"
    )
    how.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="BATCH",
        help="measure what is missing of the last benchmark of the box",
    )
    how.add_argument("--restore", action="store_true", help="only let serve again what served before it")
    parser.add_argument(
        "--matrix", type=Path, metavar="FILE", help="with --host: the profiles that a matrix file derives from one"
    )
    parser.add_argument("--write", action="store_true", help="only write the matrix's profiles into the inventory")
    parser.add_argument("--model", type=Path, metavar="FILE", help="serve this GGUF instead of the profile's")
    parser.add_argument(
        "--workload", metavar="NAME", help="measure what a file of inventory/workloads/ lists, instead of --pp and --tg"
    )
    parser.add_argument("--pp", type=positive, metavar="N", help=f"prompt tokens ({DEFAULT_PP}, or half the context)")
    parser.add_argument("--tg", type=positive, metavar="N", help=f"tokens to generate ({DEFAULT_TG})")
    parser.add_argument("--reps", type=positive, metavar="N", help="most repetitions (15)")
    parser.add_argument("--target", type=percent, metavar="PCT", help="relative half-width to stop at, percent (1)")
    parser.add_argument(
        "--budget", type=float, metavar="S", help="begin no repetition after S seconds (from the third on)"
    )
    parser.add_argument("--seed", type=int, help="seed of the prompts (1)")
    parser.add_argument("--route", choices=["auto", "completion", "chat"], default="auto", help="which API to measure")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help="key for --endpoint, first line of a file")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="longest silence of the server (600)")
    parser.add_argument(
        "--share", type=Path, metavar="FILE", help="put the runs into a bundle too, as gpubox share does"
    )
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure, record and print."""
    from gpubox.bench.session import new_id
    from gpubox.cli.progress import Progress
    from gpubox.cli.results import print_summaries
    from gpubox.cli.share import share
    from gpubox.errors import GpuboxError
    from gpubox.results.store import Store
    from gpubox.results.summary import document, summarise

    if args.host:
        from gpubox.cli.bench_box import run_on_box

        return run_on_box(args)
    if args.interleave or args.resume is not None or args.restore or args.matrix or args.write:
        options = "--interleave, --resume, --restore, --matrix and --write"
        raise GpuboxError(options, "are for a box", "name it with --host BOX")
    if args.endpoint and args.profiles:
        raise GpuboxError("--endpoint", "measures what runs there, whatever its profile", "leave the profiles out")
    if args.server and not args.profiles:
        raise GpuboxError("--server", "needs a profile to serve", "name one or more profiles")
    if args.workload and (args.pp or args.tg):
        raise GpuboxError("--workload", "says itself how long prompts and answers are", "leave --pp and --tg out")
    progress = Progress(quiet=args.json)
    with Store.open(args.db) as store:
        try:
            if args.endpoint:
                ids = _endpoint(args, store, new_id(), progress)
            else:
                ids = _profiles(args, store, new_id(), progress)
        finally:
            progress.close()
        if args.share:
            share(store, ids, args.share)
        summaries = [summarise(store.run(run_id), store.samples(run_id)) for run_id in ids]
    if args.json:
        print(json.dumps(document(summaries), indent=2))
    else:
        print_summaries(summaries)
    return 0


def _endpoint(args: argparse.Namespace, store: Store, batch: str, watcher: Watcher) -> list[str]:
    from gpubox.bench.identity import identify
    from gpubox.bench.session import Subject, bench
    from gpubox.endpoint import Endpoint
    from gpubox.host_facts import host_facts

    with Endpoint(args.endpoint, api_key=_key(args.api_key_file), timeout_s=args.timeout) as endpoint:
        identity = identify(endpoint)
        watcher.say(f"{endpoint.url}: {identity.engine} serving {identity.model_name or 'a model'}")
        subject = Subject(host={"measured_from": host_facts()})
        return bench(
            store,
            endpoint,
            workloads_of(args, identity.n_ctx),
            subject,
            batch=batch,
            watcher=watcher,
            route=route_of(args),
            leave_out=bool(args.workload),
        )


def _profiles(args: argparse.Namespace, store: Store, batch: str, watcher: Watcher) -> list[str]:
    from gpubox.bench.local import bench_locally
    from gpubox.profile_files import load_profile

    loaded = [load_profile(name) for name in args.profiles]  # all documents before the first server
    ids: list[str] = []
    for one in loaded:
        ids += bench_locally(
            store,
            one,
            workloads_of(args, one.profile.server.ctx_size),
            command=shlex.split(args.server),
            model=args.model,
            logs=log_folder(),
            batch=batch,
            watcher=watcher,
            route=route_of(args),
            leave_out=bool(args.workload),
        )
    return ids


def log_folder() -> Path:
    """Return where the logs of servers that gpubox starts are kept."""
    import os

    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "gpubox" / "logs"


def workloads_of(args: argparse.Namespace, n_ctx: int | None) -> list[Workload]:
    """Return what to measure of a server whose context has `n_ctx` tokens, by the options."""
    from dataclasses import replace

    from gpubox.record import Workload
    from gpubox.workload_files import load_workloads, with_effort

    if args.workload:
        workloads = load_workloads(args.workload)
    else:
        n_prompt = args.pp or (min(DEFAULT_PP, max(1, n_ctx // 2)) if n_ctx else DEFAULT_PP)
        n_gen = args.tg or DEFAULT_TG
        workloads = [Workload(f"pp{n_prompt}+tg{n_gen}", n_prompt, n_gen)]
    if args.seed is not None:
        workloads = [replace(workload, seed=args.seed) for workload in workloads]
    return [
        with_effort(workload, max_reps=args.reps, target=args.target, budget_s=args.budget) for workload in workloads
    ]


def route_of(args: argparse.Namespace) -> Route | None:
    """Return the route of the requests by the options; None to choose it by the engine."""
    return None if args.route == "auto" else args.route


def _key(path: Path | None) -> str | None:
    from gpubox.api_key import read_api_key

    return read_api_key(path) if path else None


def positive(text: str) -> int:
    """Return a whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def percent(text: str) -> float:
    """Return a number above 0 up to 100, for argparse."""
    number = float(text)
    if not 0 < number <= 100:
        raise ValueError(text)
    return number
