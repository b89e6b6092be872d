"""Take in the runs that somebody shared, to compare them with one's own.

Their profiles are named LABEL/PROFILE from then on. Runs that are there already are left as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "take in runs that somebody shared with gpubox share"
EXAMPLE = """gpubox import mtp.zip --as kaz
gpubox compare glm-5.2-1.630bpw-mtp kaz/glm-5.2-1.630bpw-mtp"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from gpubox.cli.results import DB_HELP

    parser.add_argument("bundle", type=Path, metavar="FILE", help="the bundle")
    parser.add_argument("--as", dest="label", metavar="LABEL", help="whose runs they are (default: the file's name)")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)


def run(args: argparse.Namespace) -> int:
    """Read, keep, and say what is new."""
    from gpubox.bundle.archive import read_bundle
    from gpubox.results.store import Store

    label = args.label or args.bundle.stem
    measured = read_bundle(args.bundle, label)
    with Store.open(args.db) as store:
        new = store.add_all(measured).count(True)
        # By the names that they have here: who imported them before may have called them otherwise.
        kept = [store.run(run.id) for run, _ in measured]
    profiles = sorted({run.profile or run.endpoint for run in kept})
    print(f"{new} runs taken in, {len(measured) - new} were there already: {', '.join(profiles)}")
    return 0
