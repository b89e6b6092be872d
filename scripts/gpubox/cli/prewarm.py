"""Read a profile's model into a box's memory while another one serves, so that a switch to it loads from there.

It is refused where the memory can't hold the model beside what is in use, and stops when this command does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "read a model into a box's memory ahead of a switch"
EXAMPLE = """
gpubox prewarm glm-5.2-1.630bpw-mtp --host glm-box
gpubox prewarm glm-5.2-1.630bpw-mtp --host glm-box --rate 500
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("profile", metavar="PROFILE", help="a profile that is deployed there")
    parser.add_argument("--host", metavar="BOX", required=True, help="a host of the inventory")
    parser.add_argument("--rate", metavar="MB/S", type=float, default=1000, help="what it may take of the disk")


def run(args: argparse.Namespace) -> int:
    """Read the model; 1 where it can't be."""
    import sys

    from gpubox.box import host_variables
    from gpubox.box_connection import BoxConnection
    from gpubox.box_switch import ask_prewarm
    from gpubox.cli.box_progress import BoxProgress
    from gpubox.profiles_folder import profiles_folder

    ((name, variables),) = host_variables([args.host], profiles_folder().parent).items()
    progress = BoxProgress()
    try:
        with BoxConnection(name, variables) as connection:
            end = ask_prewarm(connection, args.profile, args.rate, lambda event: progress.event(name, event))
    finally:
        progress.close()
    print(
        f"{name}: {end.text}" if end.good else f"gpubox: {name}: {end.text}",
        file=sys.stdout if end.good else sys.stderr,
    )
    return 0 if end.good else 1
