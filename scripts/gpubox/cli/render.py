"""Write a profile as a unit, or as one command line.

The command line of the server is the same in all three forms, argument for argument; an argument that a form can't
carry is refused by name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "write a profile as a Quadlet, a systemd unit or one podman command"
EXAMPLE = """
gpubox render demo --format command
gpubox render glm-5.2-1.630bpw --host glm-box
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("profile", metavar="PROFILE", help="a name or a file")
    parser.add_argument(
        "--host", metavar="BOX", help="a host of the inventory; by default a box with gpubox's defaults"
    )
    from gpubox.arguments import FORMS

    parser.add_argument("--format", choices=FORMS, default="quadlet", help="what to write")
    parser.add_argument("--start-at-boot", action="store_true", help="let the unit start with the box")
    parser.add_argument("--json", action="store_true", help="print argv, unit name and text as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the unit."""
    from gpubox.box import Box, load_box
    from gpubox.profile_deployment import deploy
    from gpubox.profile_files import load_profile
    from gpubox.profiles_folder import profiles_folder
    from gpubox.render import render, unit_filename

    loaded = load_profile(args.profile)
    box = load_box(args.host, profiles_folder().parent) if args.host else Box()
    deployment = deploy(loaded, box, start_at_boot=args.start_at_boot)
    text = render(deployment, args.format)
    if args.json:
        name = unit_filename(deployment, args.format)
        print(
            json.dumps(
                {"profile": loaded.name, "hash": loaded.hash, "file": name, "argv": deployment.argv, "text": text}
            )
        )
    else:
        print(text, end="")
    return 0
