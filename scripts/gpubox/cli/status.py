"""Show all boxes at a glance: what serves since when, GPUs, disk, the last switch, and what is not as declared.

Boxes are asked at the same time. The exit status is 1 where one does not answer, does not serve, or is not as declared.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gpubox.fleet import BoxStatus

HELP = "show what boxes serve, and whether it is as declared"
EXAMPLE = """
gpubox status
gpubox status glm-box --watch 5
gpubox status gpu_boxes --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("boxes", metavar="BOX", nargs="*", default=["all"], help="hosts or groups; by default all")
    parser.add_argument("--watch", metavar="SECONDS", type=float, help="show it again and again")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, a line each time")


def run(args: argparse.Namespace) -> int:
    """Print the status; 1 where a box is not well."""
    import time
    from dataclasses import asdict

    from gpubox.box import host_variables
    from gpubox.fleet import ask_fleet
    from gpubox.profiles_folder import profiles_folder

    hosts = host_variables(args.boxes or ["all"], profiles_folder().parent)
    while True:
        found = list(ask_fleet(hosts))
        if args.json:
            print(json.dumps([{**asdict(one), "well": one.well} for one in found]), flush=True)
        else:
            _show(found)
        if args.watch is None:
            return 0 if all(one.well for one in found) else 1
        time.sleep(args.watch)


def _show(found: Sequence[BoxStatus]) -> None:
    from gpubox.cli.tables import print_table

    heads = ["BOX", "SERVES", "SINCE", "GPU MiB", "GPU W", "GPU °C", "DISK", "LAST SWITCH"]
    print_table(heads, [_row(one) for one in found], optional=[4, 5, 6])
    for one in found:
        for words in one.drift:
            print(f"{one.box}: {words}")


def _row(one: BoxStatus) -> list[str]:
    from gpubox.fleet import ago

    if one.fault:
        return [one.box, one.fault, *["-"] * 6]
    status = one.status
    serves = [name if status["serving"][name] else f"{name} DOES NOT ANSWER" for name in status["active"]]
    gpus = status["gpus"]
    last = status["switch"]
    switch = (
        f"{last['outcome'] or 'under way'}: {last['to']}, {ago(last['ended'] or last['began'])} ago" if last else "-"
    )
    return [
        one.box,
        ", ".join(serves) or "nothing",
        ", ".join(map(ago, status["active"].values())) or "-",
        ", ".join(f"{gpu['used_mib']}/{gpu['total_mib']}" for gpu in gpus) or "-",
        _each(gpus, "power_w"),
        _each(gpus, "temperature_c"),
        f"{status['disk_free'] / 1e9:.0f} GB free",
        switch,
    ]


def _each(gpus: Sequence[dict[str, Any]], name: str) -> str:
    return ", ".join("-" if gpu[name] is None else f"{gpu[name]:.0f}" for gpu in gpus) or "-"
