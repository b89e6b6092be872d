"""Say how clients reach what a box serves: base URL, model, tunnel, and settings to paste.

The box is asked what is active there; with --profile it is not asked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from gpubox.endpoint_settings import EndpointSettings

HELP = "say how clients reach what a box serves"
EXAMPLE = """
gpubox endpoint --host glm-box
gpubox endpoint --host glm-box --local-port 18000 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--host", metavar="BOX", required=True, help="a host of the inventory")
    parser.add_argument("--profile", metavar="PROFILE", help="take this one as active, without asking the box")
    parser.add_argument("--local-port", metavar="PORT", type=int, help="where the tunnel begins on this machine")
    parser.add_argument("--json", action="store_true", help="print the settings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the settings."""
    from dataclasses import asdict

    from gpubox.box import host_variables
    from gpubox.endpoint_settings import endpoint_settings
    from gpubox.errors import BoxError
    from gpubox.profile_files import load_profile
    from gpubox.profiles_folder import profiles_folder

    ((name, variables),) = host_variables([args.host], profiles_folder().parent).items()
    active = [args.profile]
    if not args.profile:
        from gpubox.box_facts import ask_status

        active = list(ask_status(name, variables)["active"])
    if not active:
        raise BoxError(name, "serves nothing", f"gpubox switch PROFILE --host {name}")
    found = [endpoint_settings(load_profile(profile), name, variables, args.local_port) for profile in active]
    if args.json:
        more = [{"curl": one.curl, "python": one.python, "zed": one.zed} for one in found]
        print(json.dumps([{**asdict(one), **extra} for one, extra in zip(found, more, strict=True)]))
    else:
        print("\n\n".join(map(_text, found)))
    return 0


def _text(one: EndpointSettings) -> str:
    lines = [f"{one.profile}: {one.base_url}, model {one.model}, {one.context} tokens"]
    lines += [f"\n# tunnel\n{one.tunnel}"] if one.tunnel else []
    lines += (
        [f"\n# the API key is the first line of {one.key_file} on the box\nexport API_KEY=…"] if one.key_file else []
    )
    zed = json.dumps(one.zed, indent=2)
    return "\n".join([*lines, f"\n# curl\n{one.curl}", f"\n# Python\n{one.python}", f"\n# Zed, settings.json\n{zed}"])
