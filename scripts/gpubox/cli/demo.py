"""The main job on this very machine: two profiles served by a real llama.cpp, measured, recorded, compared.

Needs no GPU, no root and no other host. The model is small and its weights are random: speeds are real for this
machine, texts mean nothing. Runs again add to the history.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

HELP = "serve, measure and compare two small profiles on this machine"
EXAMPLE = """
gpubox demo
gpubox demo --reps 3
"""

PROFILES = ("demo", "demo-small-batch")
N_PROMPT, N_GEN = 512, 48
BUDGET_S = 25.0  # a profile; keeps the demo under two minutes on two cores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from gpubox.cli.bench import positive
    from gpubox.cli.results import DB_HELP

    parser.add_argument("--reps", type=positive, default=10, metavar="N", help="most repetitions (10)")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)


def run(args: argparse.Namespace) -> int:
    """Serve, measure, compare; print the comparison and where the results are."""
    from gpubox.bench.local import bench_locally
    from gpubox.bench.session import new_id
    from gpubox.cli.bench import log_folder
    from gpubox.cli.compare import print_comparison
    from gpubox.cli.progress import Progress
    from gpubox.profile_files import load_profile
    from gpubox.record import Workload
    from gpubox.results.compare import compare
    from gpubox.results.selection import select
    from gpubox.results.store import Store
    from gpubox.tiny_model import make_tiny_model

    loaded = [load_profile(name) for name in PROFILES]
    workload = Workload(
        f"pp{N_PROMPT}+tg{N_GEN}",
        N_PROMPT,
        N_GEN,
        min_reps=min(5, args.reps),
        max_reps=args.reps,
        budget_s=BUDGET_S,
    )
    model = demo_model()
    progress = Progress()
    batch = new_id()
    with Store.open(args.db) as store:
        if not model.exists():
            progress.say(f"making a model: {model}")
            model.parent.mkdir(parents=True, exist_ok=True)
            make_tiny_model(model)
        try:
            for profile in loaded:
                bench_locally(
                    store,
                    profile,
                    [workload],
                    command=[sys.executable, "-m", "gpubox.llama_launcher"],
                    model=model,
                    logs=log_folder(),
                    batch=batch,
                    watcher=progress,
                )
        finally:
            progress.close()
        a, b = (select(store, f"{name}@{batch}") for name in PROFILES)
        samples = store.samples_of([run.id for run in (*a.every, *b.every)])
        count = len(store.run_ids())
        print(f"\nThe profiles differ in server.ubatch_size: A = {PROFILES[0]}, B = {PROFILES[1]}\n")
        print_comparison(compare(a, b, samples))
        print(f"Results: {store.place} ({count} runs so far)")
    database = f" --db {args.db}" if args.db else ""
    print(f"History: gpubox results{database}")
    return 0


def demo_model() -> Path:
    """Return where the demo's model is kept; deleting it is safe."""
    import os
    from pathlib import Path

    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "gpubox" / "models" / "gpubox-demo.gguf"
