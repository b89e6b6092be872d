"""Put runs into one file that somebody else's gpubox imports and compares with its own.

The file holds the records with all samples, the profiles, the flag catalogue of the engine and the end of the servers' logs.
Names of hosts and users, addresses, keys and serial numbers of GPUs are replaced before anything is written; look into
the zip archive before you send it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gpubox.results.store import Store

HELP = "write runs, profiles, catalogue and logs, redacted, into one file for somebody else"
EXAMPLE = """gpubox share glm-5.2-1.630bpw glm-5.2-1.630bpw-mtp --output mtp.zip
gpubox import mtp.zip"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from gpubox.cli.results import DB_HELP

    parser.add_argument("runs", nargs="+", metavar="NAME", help="runs, profiles or batches as in compare")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="the bundle, a zip archive")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)


def run(args: argparse.Namespace) -> int:
    """Write the bundle."""
    from gpubox.results.selection import select
    from gpubox.results.store import Store

    with Store.open(args.db, read_only=True) as store:
        ids = sorted({run.id for name in args.runs for run in select(store, name).runs})
        share(store, ids, args.output)
    return 0


def share(store: Store, run_ids: Sequence[str], file: Path) -> None:
    """Write the bundle of some runs, and say so."""
    import sys

    from gpubox.bundle.archive import write_bundle
    from gpubox.cli.bench import log_folder

    runs = [store.run(run_id) for run_id in run_ids]
    samples = store.samples_of(run_ids, whole=True)
    logs = {run.profile: log_folder() / f"{run.profile}.log" for run in runs if run.profile}
    write_bundle(file, [(run, samples[run.id]) for run in runs], logs)
    print(f"{file}: {len(runs)} runs; look into it before you send it", file=sys.stderr)
