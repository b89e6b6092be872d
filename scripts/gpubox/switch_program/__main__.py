"""The command line on a box: `switch.pyz VERB …`, as root. `gpubox switch` and playbooks/switch.yml call it."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.switch_program import memory, model_files, proof, units
from gpubox.switch_program.events import Events
from gpubox.switch_program.launch import asker, follow_switch, launch, new_identity
from gpubox.switch_program.lock import holder, only_one
from gpubox.switch_program.paths import Paths
from gpubox.switch_program.preflight import RefusedError, preflight
from gpubox.switch_program.profiles import choose, read_profiles
from gpubox.switch_program.state import FAILED, REFUSED, SWITCHED, StateFile, Switch, now
from gpubox.switch_program.transaction import WATCH_S, Options, ShutDownError, Transaction, conflicting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.switch_program.profiles import BoxProfile
    from gpubox.switch_program.state import State

HEALTH_S = 3.0
GOING_DOWN = 75  # as sysexits.h: try again


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status: 0 done, 1 not, 75 when the box is going down."""
    arguments = _parser().parse_args(argv)
    paths = Paths(arguments.lasting, arguments.running)
    try:
        status: int = arguments.verb(arguments, paths)
    except GpuboxError as error:
        print(json.dumps({"event": "end", "outcome": REFUSED, "text": str(error)}) if arguments.json else error)
        return 1
    except BrokenPipeError:  # whoever followed has gone; the switch goes on
        sys.stderr.close()
        return 0
    return status


def _switch(arguments: argparse.Namespace, paths: Paths) -> int:
    """Start a switch and tell how it goes; or tell that there is nothing to do."""
    profiles = read_profiles(paths.profiles)
    profile = choose(profiles, arguments.profile)
    state = StateFile(paths.state).read()
    busy = holder(paths.lock)
    if busy:
        raise GpuboxError("this box", f"{busy} is under way", "wait until it has ended, then ask again")
    if profile.name in state.active and not state.interrupted and _serves(profile):
        since = state.active[profile.name]
        return _told({"event": "end", "outcome": SWITCHED, "text": f"{profile.name} serves already, since {since}"})
    if arguments.dry_run:
        return _dry_run(profile, profiles, state, ignore_plan=arguments.ignore_plan)
    identity = arguments.id or new_identity()
    words = ["run", profile.name, f"--id={identity}", f"--by={arguments.by or asker()}", *_passed_on(arguments)]
    _told({"event": "begin", "id": identity})
    launch(identity, words, [one.unit for one in profiles.values()])
    return _follow_to_end(identity, paths)


def _serves(profile: BoxProfile) -> bool:
    return units.show(profile.unit).up and proof.healthy(profile, HEALTH_S)


def _dry_run(profile: BoxProfile, profiles: dict[str, BoxProfile], state: State, *, ignore_plan: bool) -> int:
    stops = conflicting(profile, profiles, state.active)
    try:
        ready = preflight(profile, stops, state.sizes, ignore_plan=ignore_plan)
    except RefusedError as error:
        return _told({"event": "end", "outcome": REFUSED, "text": str(error)})
    cold = memory.prewarm_fault(ready.size)
    steps = [
        f"read {memory.in_words(ready.size)} into memory" if not cold else f"no prewarm: {cold}",
        *(f"stop {one.unit}" for one in stops),
        *(f"wait until GPU {card.index} ({card.uuid}) is free" for card in ready.cards),
        f"start {profile.unit}, image {ready.image}",
        f"wait for a completion from {profile.url}, at most {profile.start_timeout_s} s",
        f"if that fails, start {', '.join(one.unit for one in stops) or 'nothing'} again",
    ]
    return _told({"event": "end", "outcome": "planned", "text": "\n".join(steps)})


def _run(arguments: argparse.Namespace, paths: Paths) -> int:
    """Do a switch; in the transient unit."""
    with suppress(OSError):
        for old in paths.running.glob("*.jsonl"):
            if old != paths.events(arguments.id):
                old.unlink()
    events = Events(paths.events(arguments.id))
    try:
        with only_one(paths.lock, f"a switch to {arguments.profile} by {arguments.by}"):
            file = StateFile(paths.state)
            state = file.read()
            profiles = read_profiles(paths.profiles)
            if state.interrupted:
                tell = Events(paths.events(state.interrupted.id))
                ended = Transaction(file, state, profiles, tell).recover(state.interrupted)
                if ended.id == arguments.id:
                    return 0
            elif state.switch and state.switch.id == arguments.id:
                return 0
            rate = arguments.prewarm_rate * 1e6
            options = Options(arguments.timeout, arguments.watch, arguments.prewarm, rate, arguments.ignore_plan)
            choose(profiles, arguments.profile)
            switch = Switch(arguments.id, arguments.profile, by=arguments.by, rollback=not arguments.no_rollback)
            return 0 if Transaction(file, state, profiles, events).run(switch, options).outcome == SWITCHED else 1
    except GpuboxError as error:
        events.end(REFUSED, str(error))
        return 1
    except ShutDownError:
        return GOING_DOWN


def _boot(_: argparse.Namespace, paths: Paths) -> int:
    """Start what is active; end a switch that the last power loss interrupted, or that left nothing serving."""
    file = StateFile(paths.state)
    with only_one(paths.lock, "the start of the box"):
        state, profiles = file.read(), read_profiles(paths.profiles)
        last = state.switch
        begun = [*last.stops, last.to] if last else []
        unended = last is not None and (not last.outcome or (last.outcome == FAILED and last.rollback))
        for name in state.active:
            if name in profiles and not (unended and name in begun):
                units.start(profiles[name].unit)
        if last is None or not unended:
            return 0
        events = Events(paths.events(last.id))
        try:
            ended = Transaction(file, state, profiles, events).recover(last)
        except ShutDownError:
            return GOING_DOWN
        if ended.outcome == REFUSED:  # nothing had been touched, so what is active was not started yet
            for name in state.active:
                if name in profiles and name in begun:
                    units.start(profiles[name].unit)
        return 0 if ended.outcome != FAILED else 1


def _declare(arguments: argparse.Namespace, paths: Paths) -> int:
    """Make the profiles of a new box active; leave those of a box that has some, less the ones that it lost.

    Files of models that are no longer what last served are new on purpose from here on.
    """
    file = StateFile(paths.state)
    with only_one(paths.lock, "a deployment of profiles"):
        state, profiles = file.read(), read_profiles(paths.profiles)
        kept = {name: since for name, since in state.active.items() if name in profiles}
        wanted = kept or {name: now() for name in arguments.names}
        sizes = {path: size for path, size in state.sizes.items() if _has_size(Path(path), size)}
        changed = (wanted, sizes) != (state.active, state.sizes)
        if changed:
            state.active, state.sizes = wanted, sizes
            file.write(state)
        print(json.dumps({"active": sorted(wanted), "changed": changed}))
    return 0


def _has_size(file: Path, size: int) -> bool:
    return file.exists() and file.stat().st_size == size


def _follow(arguments: argparse.Namespace, paths: Paths) -> int:
    return _follow_to_end(arguments.id, paths)


def _status(_: argparse.Namespace, paths: Paths) -> int:
    """Print what is active, whether it serves, and the last switch, as JSON."""
    state = StateFile(paths.state).read()
    profiles = read_profiles(paths.profiles)
    serving = {name: name in profiles and _serves(profiles[name]) for name in state.active}
    last = asdict(state.switch) if state.switch else None
    print(json.dumps({"active": state.active, "serving": serving, "switch": last, "busy": holder(paths.lock)}))
    return 0


def _prewarm(arguments: argparse.Namespace, paths: Paths) -> int:
    """Read a model into the page cache, and tell how it goes."""
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


def _follow_to_end(identity: str, paths: Paths) -> int:
    status = 1
    for event in follow_switch(paths, identity):
        status = _told(event)
    return status


def _told(event: dict[str, object]) -> int:
    """Print an event; return the exit status that an end stands for."""
    print(json.dumps(event), flush=True)
    return 0 if event.get("outcome", SWITCHED) in {SWITCHED, "planned", "prewarmed"} else 1


def _passed_on(arguments: argparse.Namespace) -> list[str]:
    words = [f"--watch={arguments.watch:g}", f"--prewarm={arguments.prewarm}"]
    words += [f"--prewarm-rate={arguments.prewarm_rate:g}"]
    words += [f"--timeout={arguments.timeout:g}"] if arguments.timeout is not None else []
    words += ["--ignore-plan"] if arguments.ignore_plan else []
    return words + (["--no-rollback"] if arguments.no_rollback else [])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="switch.pyz", description=__doc__)
    parser.add_argument("--lasting", type=Path, default=Paths.lasting, help="folder of the state")
    parser.add_argument("--running", type=Path, default=Paths.running, help="folder of the lock and the events")
    parser.set_defaults(json=True)
    verbs = parser.add_subparsers(required=True)
    for name, verb in (("switch", _switch), ("run", _run)):
        added = verbs.add_parser(name, help=verb.__doc__)
        added.set_defaults(verb=verb)
        added.add_argument("profile")
        added.add_argument("--by", default="", help="who asks")
        added.add_argument("--timeout", type=float, help="seconds for the load")
        added.add_argument("--watch", type=float, default=WATCH_S, help="seconds to watch the new profile")
        added.add_argument("--prewarm", choices=["auto", "yes", "no"], default="auto")
        added.add_argument("--prewarm-rate", type=float, default=1000.0, help="MB/s")
        added.add_argument("--no-rollback", action="store_true", help="leave nothing serving when it fails")
        added.add_argument("--ignore-plan", action="store_true", help="start it even where it should not fit")
        added.add_argument("--id", default="", help="a name for it, so that it can be followed")
        if verb is _switch:
            added.add_argument("--dry-run", action="store_true")
    followed = verbs.add_parser("follow", help="tell how a switch goes")
    followed.set_defaults(verb=_follow)
    followed.add_argument("id")
    declared = verbs.add_parser("declare", help=_declare.__doc__)
    declared.set_defaults(verb=_declare)
    declared.add_argument("names", nargs="*")
    warmed = verbs.add_parser("prewarm", help=_prewarm.__doc__)
    warmed.set_defaults(verb=_prewarm)
    warmed.add_argument("profile")
    warmed.add_argument("--rate", type=float, default=1000.0, help="MB/s")
    verbs.add_parser("boot", help=_boot.__doc__).set_defaults(verb=_boot)
    verbs.add_parser("status", help=_status.__doc__).set_defaults(verb=_status)
    return parser


if __name__ == "__main__":
    sys.exit(main())
