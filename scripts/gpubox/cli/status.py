"""Show all boxes at a glance: what serves since when, GPUs, disk, the last switch, and what is not as declared.

Boxes are asked at the same time. The exit status is 1 where one does not answer, does not serve, or is not as declared.
What goes wrong with one box costs the others nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import NoReturn

    from gpubox.fleet import BoxStatus

HELP = "show what boxes serve, and whether it is as declared"
HEADS = ("BOX", "SERVES", "SINCE", "GPU MiB", "GPU W", "GPU °C", "DRIVER", "DISK", "LAST SWITCH")
OPTIONAL = (4, 5, 7, 6)  # columns that a narrow terminal does without
EXAMPLE = """
gpubox status
gpubox status glm-box --watch 5
gpubox status gpu_boxes --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("boxes", metavar="BOX", nargs="*", default=["all"], help="hosts or groups; by default all")
    parser.add_argument(
        "--watch", metavar="SECONDS", type=float, help="show it again and again, on a terminal in place"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON, a line each time")


def run(args: argparse.Namespace) -> int:
    """Print the status; 1 where a box is not well."""
    from gpubox.box import host_variables
    from gpubox.profiles_folder import profiles_folder

    hosts = host_variables(args.boxes or ["all"], profiles_folder().parent)
    if args.watch is not None:
        _watch(hosts, args.watch, as_json=args.json)
    found = _ask(hosts, quiet=args.json)
    _print(found, as_json=args.json)
    return tell_bugs(found) or (0 if all(one.well for one in found) else 1)


def tell_bugs(found: Sequence[BoxStatus], told: Collection[str] = ()) -> int:
    """Print the tracebacks of what is our own fault, after all boxes have been shown; return 3 where there is one.

    Args:
        found: the boxes.
        told: tracebacks that are not printed again.
    """
    import sys

    from gpubox.cli import BUG, EXIT_BUG

    traces = {one.trace for one in found if one.trace}
    if traces.difference(told):
        print("".join(sorted(traces.difference(told))) + BUG, file=sys.stderr)
    return EXIT_BUG if traces else 0


def _watch(hosts: Mapping[str, Mapping[str, Any]], seconds: float, *, as_json: bool) -> NoReturn:
    """Show the boxes again and again: in place on a terminal, where each row changes as its box answers."""
    import time
    from contextlib import nullcontext

    from gpubox.cli.tables import growing_table
    from gpubox.fleet import ask_fleet

    answers: dict[str, BoxStatus] = {}
    told: set[str] = set()
    with nullcontext() if as_json else growing_table(HEADS, optional=OPTIONAL, stays=True) as show:
        while True:
            for one in ask_fleet(hosts):
                answers[one.box] = one
                if show:
                    known = [answers[name] for name in hosts if name in answers]
                    show(_rows(hosts, answers), [*_drifts(known), f"{time.strftime('%H:%M:%S')}, each {seconds:g} s"])
            found = [answers[name] for name in hosts]
            if not show:
                _print(found, as_json=as_json)
            tell_bugs(found, told)
            told |= {one.trace for one in found}
            time.sleep(seconds)


def _ask(hosts: Mapping[str, Mapping[str, Any]], *, quiet: bool) -> list[BoxStatus]:
    """Return the status of the boxes in their order; on a terminal each is shown as it answers."""
    from contextlib import nullcontext

    from gpubox.cli.tables import growing_table
    from gpubox.fleet import ask_fleet

    answers: dict[str, BoxStatus] = {}
    with nullcontext() if quiet else growing_table(HEADS, optional=OPTIONAL) as show:
        for one in ask_fleet(hosts):
            answers[one.box] = one
            if show:
                show(_rows(hosts, answers), [])
    return [answers[name] for name in hosts]


def _print(found: Sequence[BoxStatus], *, as_json: bool) -> None:
    import sys
    from dataclasses import asdict

    from gpubox.cli.tables import print_table

    if as_json:
        print(json.dumps([{**asdict(one), "well": one.well} for one in found]))
    else:
        print_table(HEADS, [_row(one) for one in found], optional=OPTIONAL)
        print(*_drifts(found), sep="\n", end="\n" if any(one.drift for one in found) else "")
    sys.stdout.flush()


def _drifts(found: Sequence[BoxStatus]) -> list[str]:
    return [f"{one.box}: {words}" for one in found for words in one.drift]


def _rows(hosts: Iterable[str], answers: Mapping[str, BoxStatus]) -> list[list[str]]:
    return [_row(answers[name]) if name in answers else [name, "asking", *["-"] * 7] for name in hosts]


def _row(one: BoxStatus) -> list[str]:
    from gpubox.fleet import ago

    if one.fault:
        return [one.box, one.fault, *["-"] * 7]
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
        ", ".join(sorted({gpu["driver"] for gpu in gpus if gpu.get("driver")})) or "-",
        f"{status['disk_free'] / 1e9:.0f} GB free",
        switch,
    ]


def _each(gpus: Sequence[dict[str, Any]], name: str) -> str:
    return ", ".join("-" if gpu[name] is None else f"{gpu[name]:.0f}" for gpu in gpus) or "-"
