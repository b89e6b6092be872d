"""The verbs of the program, with their options. Modules are imported where they are used."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from gpubox.errors import GpuboxError
from gpubox.switch_program.paths import Paths
from gpubox.switch_program.profiles import choose, read_profiles
from gpubox.switch_program.state import REFUSED, StateFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEMD_RUN_S = 30.0
WATCH_S = 10.0
RATE_MB = 1000.0
GOOD = {"switched", "planned", "prewarmed", "stopped"}


def obey(words: Sequence[str]) -> int:
    """Run one verb; returns the exit status: 0 done, 1 not, 75 when the box is going down."""
    arguments = _parser().parse_args(words)
    paths = Paths(arguments.lasting, arguments.running)
    try:
        status: int = arguments.verb(arguments, paths)
    except GpuboxError as error:
        return _told({"event": "end", "outcome": REFUSED, "text": str(error)})
    except BrokenPipeError:  # whoever followed has gone; the switch goes on
        sys.stderr.close()
        return 0
    return status


def _switch(arguments: argparse.Namespace, paths: Paths) -> int:
    """Start a switch and tell how it goes."""
    from gpubox.switch_program.launch import asker, launch_command, new_identity

    profiles = read_profiles(paths.profiles)
    choose(profiles, arguments.profile)
    if arguments.dry_run:
        from gpubox.switch_program.dry_run import dry_run

        return _told(dry_run(profiles, arguments.profile, StateFile(paths.state).read(), arguments.ignore_plan))
    identity = new_identity()
    words = [arguments.profile, f"--by={arguments.by or asker()}", *_passed_on(arguments)]
    _told({"event": "begin", "id": identity})
    said = subprocess.run(
        launch_command(identity, words, sys.argv[0]), capture_output=True, text=True, timeout=SYSTEMD_RUN_S, check=False
    )
    if said.returncode:
        raise GpuboxError("systemd-run", said.stderr.strip() or "failed", "is this root on a box with systemd?")
    return _follow_to_end(identity, paths)


def _boot(_: argparse.Namespace, paths: Paths) -> int:
    """Start what is active; end a switch that the last power loss interrupted, or that left nothing serving."""
    from gpubox.switch_program.box import boot
    from gpubox.switch_program.compiled import compile_modules
    from gpubox.switch_program.transaction import ShutDownError
    from gpubox.switch_program.unit import GOING_DOWN

    try:
        well = boot(paths)
    except ShutDownError:
        return GOING_DOWN
    compile_modules(Path(sys.argv[0]))  # the box may have another Python than before
    return 0 if well else 1


def _declare(arguments: argparse.Namespace, paths: Paths) -> int:
    """Make the profiles of a new box active; leave those of a box that has some, less the ones that it lost."""
    from gpubox.switch_program.box import declare
    from gpubox.switch_program.compiled import compile_modules

    done = declare(paths, arguments.names)
    compile_modules(Path(sys.argv[0]))  # no switch is under way, which may run from an older one's
    print(json.dumps(done))
    return 0


def _status(_: argparse.Namespace, paths: Paths) -> int:
    """Print what is active, whether it serves, and the last switch, as JSON."""
    from gpubox.switch_program.box import status

    print(json.dumps(status(paths)))
    return 0


def _prewarm(arguments: argparse.Namespace, paths: Paths) -> int:
    """Read a model into the page cache, and tell how it goes."""
    from gpubox.switch_program import memory, model_files

    profile = choose(read_profiles(paths.profiles), arguments.profile)
    files = model_files.all_parts(profile.models)
    size = sum(model_files.check(file, {}) for file in files)
    fault = memory.prewarm_fault(size)
    if fault:
        raise GpuboxError(profile.name, f"can't be prewarmed: {fault}", "free memory, or switch without")
    progress = memory.LoadProgress(size)

    def on_progress(done: int, _: int) -> None:
        progress.update(done, done / (arguments.rate * 1e6))
        _told({"event": "progress", "text": str(progress), "bytes": done, "of": size})

    taken = memory.prewarm(files, arguments.rate * 1e6, on_progress)
    text = f"{memory.in_words(size)} of {profile.name} read into memory in {taken:.1f} s"
    return _told({"event": "end", "outcome": "prewarmed", "text": text})


def _trial(_: argparse.Namespace, paths: Paths) -> int:
    """Let another image serve in a profile's place, as standard input says."""
    from threading import Lock

    from gpubox.switch_program.trial import obey

    lock, told = Lock(), [0]

    def tell(event: str, **more: object) -> None:
        with lock:
            told.append(_told({"event": event, **more}))

    obey(paths, tell)
    return max(told)


def _follow(arguments: argparse.Namespace, paths: Paths) -> int:
    """Tell how a switch goes that was started before."""
    return _follow_to_end(arguments.id, paths)


def _follow_to_end(identity: str, paths: Paths) -> int:
    from gpubox.switch_program.follow import follow_switch

    status = 1
    for event in follow_switch(paths, identity):
        status = _told(event)
    return status


def _told(event: dict[str, object]) -> int:
    """Print an event; return the exit status that an end stands for."""
    print(json.dumps(event), flush=True)
    return 0 if event.get("outcome", "switched") in GOOD else 1


def _passed_on(arguments: argparse.Namespace) -> list[str]:
    words = [f"--watch={arguments.watch:g}", f"--prewarm={arguments.prewarm}"]
    words += [f"--prewarm-rate={arguments.prewarm_rate:g}"]
    words += [f"--timeout={arguments.timeout:g}"] if arguments.timeout is not None else []
    words += ["--ignore-plan"] if arguments.ignore_plan else []
    return words + (["--no-rollback"] if arguments.no_rollback else [])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="switch.pyz", description="The switch of a box from one profile to another.")
    parser.add_argument("--lasting", type=Path, default=Paths.lasting, help="folder of the state")
    parser.add_argument("--running", type=Path, default=Paths.running, help="folder of the lock and the events")
    verbs = parser.add_subparsers(required=True)
    switched = verbs.add_parser("switch", help=_switch.__doc__)
    switched.set_defaults(verb=_switch)
    switched.add_argument("profile")
    switched.add_argument("--by", default="", help="who asks")
    switched.add_argument("--timeout", type=float, help="seconds for the load")
    switched.add_argument("--watch", type=float, default=WATCH_S, help="seconds to watch the new profile")
    switched.add_argument("--prewarm", choices=["auto", "yes", "no"], default="auto")
    switched.add_argument("--prewarm-rate", type=float, default=RATE_MB, help="MB/s")
    switched.add_argument("--no-rollback", action="store_true", help="leave nothing serving when it fails")
    switched.add_argument("--ignore-plan", action="store_true", help="start it even where it should not fit")
    switched.add_argument("--dry-run", action="store_true", help="check and print the plan; touch nothing")
    followed = verbs.add_parser("follow", help=_follow.__doc__)
    followed.set_defaults(verb=_follow)
    followed.add_argument("id")
    declared = verbs.add_parser("declare", help=_declare.__doc__)
    declared.set_defaults(verb=_declare)
    declared.add_argument("names", nargs="*")
    warmed = verbs.add_parser("prewarm", help=_prewarm.__doc__)
    warmed.set_defaults(verb=_prewarm)
    warmed.add_argument("profile")
    warmed.add_argument("--rate", type=float, default=RATE_MB, help="MB/s")
    verbs.add_parser("trial", help=_trial.__doc__).set_defaults(verb=_trial)
    verbs.add_parser("boot", help=_boot.__doc__).set_defaults(verb=_boot)
    verbs.add_parser("status", help=_status.__doc__).set_defaults(verb=_status)
    return parser
