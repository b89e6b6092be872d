"""Name the runs that a profile is held against on its box, or list what is held against what.

`gpubox compare PROFILE` then compares its latest runs with them, `PROFILE@baseline` names them wherever a run is named, and a
benchmark says when the box's driver is another than theirs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "name the runs that a profile is held against on its box"
EXAMPLE = """gpubox baseline glm-5.2-1.630bpw
gpubox compare glm-5.2-1.630bpw --fail-on-regression 3
gpubox baseline"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from gpubox.cli.results import DB_HELP

    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="runs as in compare; a profile's latest ones; without it all are listed"
    )
    parser.add_argument("--clear", action="store_true", help="hold the profile NAME against nothing any more")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(args: argparse.Namespace) -> int:
    """Set, clear or list."""
    from dataclasses import asdict

    from gpubox.cli.tables import print_table
    from gpubox.errors import GpuboxError, UnknownRunError
    from gpubox.results.baselines import baselines_in_force, set_baseline, withdraw_baseline
    from gpubox.results.selection import select
    from gpubox.results.store import Store

    if args.clear and not args.name:
        raise GpuboxError("--clear", "needs to know whose", "name a profile")
    with Store.open(args.db, read_only=args.name is None) as store:
        if args.clear:
            found = baselines_in_force(store, args.name)
            if not found:
                raise UnknownRunError(args.name, "has no baseline", "list what there is: gpubox baseline")
            for one in found:
                withdraw_baseline(store, one)
        elif args.name:
            for profile_run in {run.profile: run for run in select(store, args.name).runs}.values():
                if profile_run.status != "done":
                    raise UnknownRunError(profile_run.id, f"is {profile_run.status}", "name finished runs")
                set_baseline(store, profile_run)
        listed = baselines_in_force(store)
    if args.json:
        print(json.dumps([asdict(one) for one in listed], indent=2))
    elif listed:
        print_table(
            ("PROFILE", "BOX", "BATCH", "SINCE"), [(one.profile, one.box, one.batch, one.set_at) for one in listed]
        )
    else:
        print("no profile is held against anything; name runs: gpubox baseline PROFILE")
    return 0
