"""What a box does with its profiles, each under the box's lock: switch, start with the box, take a new deployment."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpubox.errors import GpuboxError
from gpubox.switch_program import gpus, proof, units
from gpubox.switch_program.events import Events
from gpubox.switch_program.lock import holder, only_one
from gpubox.switch_program.profiles import choose, read_profiles
from gpubox.switch_program.questions import forget_questions
from gpubox.switch_program.state import FAILED, REFUSED, SWITCHED, StateFile, Switch, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.switch_program.paths import Paths
    from gpubox.switch_program.profiles import BoxProfile
    from gpubox.switch_program.transaction import Options

HEALTH_S = 3.0
EVENTS_KEPT = 8


def run(paths: Paths, switch: Switch, options: Options, asked: float = 0.0) -> bool:
    """Do a switch to its end; a switch that somebody was killed in comes first.

    Args:
        paths: of the box.
        switch: with id, target and who asked. One whose id is that of the interrupted switch is that switch.
        options: how.
        asked: when it began to ask what it needs to know of the box, as time.time().

    Returns:
        Whether the profile serves that was asked for.

    Raises:
        ShutDownError: the box is going down.
    """
    from gpubox.switch_program.transaction import Transaction  # noqa: PLC0415  # not for a status

    events = Events(paths.events(switch.id))
    try:
        with only_one(paths.lock, f"a switch to {switch.to} by {switch.by}"):
            _forget_old_events(paths)
            file = StateFile(paths.state)
            state, profiles = file.read(), read_profiles(paths.profiles)
            if state.switch and not _ended_before(state.switch, asked):
                forget_questions()  # of what it may have changed since
            if state.interrupted:
                tell = Events(paths.events(state.interrupted.id))
                Transaction(file, state, profiles, tell).recover(state.interrupted)
            if state.switch and state.switch.id == switch.id:
                return state.switch.outcome == SWITCHED
            profile = choose(profiles, switch.to)
            if switch.to in state.active and serves(profile):
                text = f"{switch.to} serves already, since {state.active[switch.to]}"
                events.end(SWITCHED, text, id=switch.id, active=sorted(state.active))
                return True
            return Transaction(file, state, profiles, events).run(switch, options).outcome == SWITCHED
    except GpuboxError as error:
        if not _begun(paths, switch):  # else whoever holds the lock now ends it, and tells so
            events.end(REFUSED, str(error))
        return False


def boot(paths: Paths) -> bool:
    """Start what is active; end a switch that was interrupted, or that left nothing serving.

    Returns:
        Whether something serves, or nothing should.

    Raises:
        GpuboxError: state or profiles can't be read.
        ShutDownError: the box is going down again.
    """
    from gpubox.switch_program.transaction import Transaction  # noqa: PLC0415  # not for a status

    file = StateFile(paths.state)
    with only_one(paths.lock, "the start of the box"):
        state, profiles = file.read(), read_profiles(paths.profiles)
        last = state.switch
        unended = last is not None and (not last.outcome or (last.outcome == FAILED and last.rollback))
        apart = {last.to, *last.stops} if last and unended and last.touched else set()
        for name in state.active:
            if name in profiles and name not in apart:
                units.start(profiles[name].unit)
        if last is None or not unended:
            return True
        ended = Transaction(file, state, profiles, Events(paths.events(last.id))).recover(last)
        return ended.outcome != FAILED


def declare(paths: Paths, names: Sequence[str]) -> dict[str, Any]:
    """Take a new deployment: make the profiles of a new box active; of a box that has some, drop those that it lost.

    Files of models that are no longer what last served are new on purpose from here on.

    Args:
        paths: of the box.
        names: the profiles that are active on a new box.

    Returns:
        `active`, the names, and `changed`.

    Raises:
        GpuboxError: a switch is under way, or the state can't be written.
    """
    file = StateFile(paths.state)
    with only_one(paths.lock, "a deployment of profiles"):
        state, profiles = file.read(), read_profiles(paths.profiles)
        active = {name: since for name, since in state.active.items() if name in profiles}
        active = active or {name: now() for name in names}
        sizes = {path: size for path, size in state.sizes.items() if _has_size(Path(path), size)}
        changed = (active, sizes) != (state.active, state.sizes)
        if changed:
            state.active, state.sizes = active, sizes
            file.write(state)
    return {"active": sorted(active), "changed": changed}


def status(paths: Paths) -> dict[str, Any]:
    """Return how the box is.

    Returns:
        `active`: names, each with the time since when; `serving`: whether each answers; `hashes`: of each when it was
        deployed; `drift`: what of each is no longer as it was deployed, in words; `switch`: the last one, or None; `busy`:
        who holds the lock; `gpus`: see `gpus.sensors`; `disk_free`: bytes, where the state is.

    Raises:
        GpuboxError: state or profiles can't be read.
    """
    from gpubox.switch_program.drift import drift  # noqa: PLC0415  # not for a switch

    state = StateFile(paths.state).read()
    profiles = read_profiles(paths.profiles)
    deployed = [profiles[name] for name in state.active if name in profiles]
    services = {one.name: units.show(one.unit) for one in deployed}
    serving = {name: name in services and _serves(profiles[name], services[name]) for name in state.active}
    return {
        "active": state.active,
        "serving": serving,
        "hashes": {one.name: one.hash for one in deployed},
        "drift": [words for one in deployed for words in drift(one, services[one.name], state.sizes)],
        "switch": asdict(state.switch) if state.switch else None,
        "busy": holder(paths.lock),
        "gpus": gpus.sensors(),
        "disk_free": _free(paths.lasting),
    }


def serves(profile: BoxProfile) -> bool:
    """Whether a profile runs and says that it is well. No completion is asked for: it may be busy with a long one."""
    return _serves(profile, units.show(profile.unit))


def _serves(profile: BoxProfile, state: units.UnitState) -> bool:
    return state.up and proof.healthy(profile, HEALTH_S)


def _free(folder: Path) -> int:
    """Return how much a disk has left for programs that are not root's, bytes."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _ended_before(switch: Switch, moment: float) -> bool:
    return bool(switch.ended) and datetime.fromisoformat(switch.ended).timestamp() < moment


def _begun(paths: Paths, switch: Switch) -> bool:
    """Whether a switch was begun before by a program that was killed."""
    with suppress(GpuboxError):
        last = StateFile(paths.state).read().switch
        return last is not None and last.id == switch.id
    return False


def _has_size(file: Path, size: int) -> bool:
    return file.exists() and file.stat().st_size == size


def _forget_old_events(paths: Paths) -> None:
    """Remove the events of switches that nobody can still be following; their names sort by time."""
    for old in sorted(paths.running.glob("*.jsonl"))[:-EVENTS_KEPT]:
        with suppress(OSError):
            old.unlink()
