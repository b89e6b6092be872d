"""Let another profile serve on a box: it serves in the end, proven by a completion, or the old one serves again.

The box does it by itself: a lost connection, Ctrl-C or a closed laptop change nothing, and a box that loses power ends the
switch when it is back. What served beside the profile on other GPUs and ports goes on. Several boxes are switched one
after the other, or --batch at a time; after a failure the rest are left untouched, unless --keep-going says otherwise. The
exit status is 1 where one does not serve the profile in the end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from gpubox.box_switch import End

HELP = "let another profile serve on a box, or the old one again"
EXAMPLE = """
gpubox switch glm-5.2-1.630bpw-mtp --host glm-box
gpubox switch glm-5.2-1.630bpw-mtp --host glm-box --dry-run
gpubox switch demo --host gpu_boxes --batch 2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("profile", metavar="PROFILE", help="a profile that is deployed there")
    parser.add_argument(
        "--host", metavar="BOX[,BOX…]", required=True, help="hosts or groups of the inventory, in this order"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything and print the plan; touch nothing")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="for the load; by default the profile's own")
    parser.add_argument("--watch", metavar="SECONDS", type=float, default=10, help="to watch it before it counts")
    parser.add_argument("--no-rollback", action="store_true", help="leave nothing serving when it fails")
    parser.add_argument("--ignore-plan", action="store_true", help="start it even where the planner says it can't fit")
    warm = parser.add_mutually_exclusive_group()
    warm.add_argument("--prewarm", action="store_const", const="yes", dest="prewarm", default="auto",
                      help="read the model into memory first; by default where memory is free for it")  # fmt: skip
    warm.add_argument("--no-prewarm", action="store_const", const="no", dest="prewarm", help="don't")
    parser.add_argument("--rate", metavar="MB/S", type=float, default=1000, help="what prewarming may take of the disk")
    parser.add_argument("--batch", metavar="N", type=int, default=1, help="boxes at a time")
    parser.add_argument("--keep-going", action="store_true", help="switch the other boxes even if one fails")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")


def run(args: argparse.Namespace) -> int:
    """Switch the boxes; 1 where one does not serve what was asked for."""
    from gpubox.box import host_variables
    from gpubox.cli.box_progress import BoxProgress
    from gpubox.profiles_folder import profiles_folder

    hosts = host_variables([name for name in args.host.split(",") if name], profiles_folder().parent)
    progress = BoxProgress(several=len(hosts) > 1)
    ends: list[End] = []
    waiting = list(hosts)
    batch: list[str] = []
    try:
        while waiting and (args.keep_going or all(end.good for end in ends)):
            batch, waiting = waiting[: max(args.batch, 1)], waiting[max(args.batch, 1) :]
            ends += _switch_batch({name: hosts[name] for name in batch}, args, progress)
    except KeyboardInterrupt:
        progress.say(f"the switch goes on on {', '.join(batch)}; `gpubox switch` again tells when it has ended")
        if waiting:
            progress.say(f"untouched: {', '.join(waiting)}")
        raise
    finally:
        progress.close()
    return _report(ends, waiting, args)


def _switch_batch(
    hosts: Mapping[str, Mapping[str, Any]],
    args: argparse.Namespace,
    progress: Any,  # noqa: ANN401  # imported lazily
) -> list[End]:
    from threading import Thread

    words = [f"--prewarm={args.prewarm}", f"--prewarm-rate={args.rate:g}", f"--watch={args.watch:g}"]
    words += [f"--timeout={args.timeout:g}"] if args.timeout is not None else []
    words += ["--dry-run"] if args.dry_run else []
    words += ["--no-rollback"] if args.no_rollback else []
    words += ["--ignore-plan"] if args.ignore_plan else []

    def one(name: str) -> End:
        return _switch_one(name, hosts[name], args.profile, words, lambda event: progress.event(name, event))

    if len(hosts) == 1:
        return [one(name) for name in hosts]
    # Daemons, unlike a pool's threads: Ctrl-C does not wait for boxes.
    ends: dict[str, End] = {}
    threads = [Thread(target=lambda name=name: ends.update({name: one(name)}), daemon=True) for name in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ends[name] for name in hosts]


def _switch_one(
    name: str,
    variables: Mapping[str, Any],
    profile: str,
    words: Sequence[str],
    on_event: Callable[[dict[str, Any]], None],
) -> End:
    """Switch one box; whatever goes wrong is that box's end alone."""
    import time
    import traceback

    from gpubox.box_connection import BoxConnection
    from gpubox.box_switch import End, ask_switch
    from gpubox.errors import BoxError

    begun = time.monotonic()
    try:
        with BoxConnection(name, variables) as connection:
            return ask_switch(connection, profile, words, on_event)
    except BoxError as error:
        return End(name, "unreachable", str(error).removeprefix(f"{name}: "), time.monotonic() - begun)
    except Exception as error:  # noqa: BLE001  # the other boxes' ends have to be told
        traceback.print_exc()
        fault = f"gpubox failed on it: {type(error).__name__}: {error}; see gpubox status {name}"
        return End(name, "unknown", fault, time.monotonic() - begun)


def _report(ends: list[End], untouched: list[str], args: argparse.Namespace) -> int:
    import sys
    from dataclasses import asdict

    from gpubox.cli import BUG, EXIT_BUG

    several = len(ends) + len(untouched) > 1
    if args.json:
        print(json.dumps({"profile": args.profile, "boxes": [asdict(end) for end in ends], "untouched": untouched}))
    elif several:
        _show_table(ends, untouched)
    for end in ends:
        if args.json:
            continue
        if not end.good:
            print(f"gpubox: {end.box}: {end.text}", file=sys.stderr)
        elif end.outcome == "planned":
            print(f"\n{end.box}:\n{end.text}" if several else end.text)
        elif not several:
            print(f"{end.box}: {end.text} ({end.seconds:.1f} s)")
    if any(end.outcome == "unknown" for end in ends):
        print(BUG, file=sys.stderr)
        return EXIT_BUG
    return 0 if all(end.good for end in ends) and not untouched else 1


def _show_table(ends: Sequence[End], untouched: Sequence[str]) -> None:
    """Print what became of each box, and what serves there as far as it said so."""
    from gpubox.cli.tables import print_table

    rows = []
    for end in ends:
        serves = "-" if end.active is None else ", ".join(end.active) or "NOTHING"
        words = "" if end.outcome in {"switched", "planned"} else end.text.partition("\n")[0]
        rows.append((end.box, end.outcome, serves, f"{end.seconds:.1f}", words))
    rows += [(name, "untouched", "-", "-", "") for name in untouched]
    print_table(["BOX", "OUTCOME", "SERVES", "SECONDS", ""], rows, numbers=[3])
