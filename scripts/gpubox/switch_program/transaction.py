"""One switch, as a transaction: the new profile serves in the end, or the old one serves again.

    preflight ─▶ prewarm ─▶ stop ─▶ free ─▶ load ─▶ watch ─▶ switched
        │           │         │       │       │       │
        └─ refused ─┘         └───────┴─ roll back ───┘─▶ rolled back, or failed where the old one does not serve either

Every step is written down before it begins. Whatever ends the program, the next one to hold the lock (started by
systemd after a kill, by the boot after a loss of power) finds the switch unended and ends it: with the new profile where
it had answered and goes on to, else with the old one; and with the new one after all where the old one is broken.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path
from threading import Event, get_native_id
from typing import TYPE_CHECKING

# Those that are wanted later are imported here: a deployment may put another version in their place during a switch.
import gpubox.readiness
import gpubox.switch_program.failure  # noqa: F401
from gpubox.errors import GpuboxError
from gpubox.switch_program import gpus, memory, model_files, proof, units
from gpubox.switch_program.gpu_use import require_gpus
from gpubox.switch_program.preflight import Ready, preflight
from gpubox.switch_program.state import FAILED, REFUSED, ROLL_BACK, ROLLED_BACK, SWITCHED, State, StateFile, Switch, now
from gpubox.switch_program.together import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.switch_program.events import Events
    from gpubox.switch_program.memory import LoadProgress
    from gpubox.switch_program.profiles import BoxProfile

STOP_GRACE_S = 30.0  # beyond a profile's own limit; systemd kills before
FREE_S = 120.0
LOW = 19  # niceness of what must not slow Podman down


@dataclass(frozen=True)
class Options:
    """How a switch is done.

    Attributes:
        timeout_s: for the new profile's load; None takes the profile's own.
        watch_s: how long the new profile is watched before the old one is given up.
        prewarm: read the model into the page cache first: `yes`, `no`, or `auto` where the memory allows.
        prewarm_rate: bytes per second.
        ignore_plan: start it even where the planner says that it does not fit.
    """

    timeout_s: float | None = None
    watch_s: float = 10.0
    prewarm: str = "auto"
    prewarm_rate: float = 1e9
    ignore_plan: bool = False


class ShutDownError(Exception):
    """The box is going down; the boot ends the switch."""


class Transaction:
    """A switch under way. The caller holds the lock.

    Args:
        file: of the state.
        state: as read from it.
        profiles: of this box, by name.
        events: told of every step.
    """

    def __init__(self, file: StateFile, state: State, profiles: Mapping[str, BoxProfile], events: Events) -> None:
        self._file = file
        self._state = state
        self._profiles = profiles
        self._events = events

    def run(self, switch: Switch, options: Options) -> Switch:
        """Do a switch; its outcome and reason stand in the state's `switch` in the end.

        Args:
            switch: with id, target and who asked.
            options: how.

        Raises:
            GpuboxError: the state can't be written; nothing was touched.
            ShutDownError: the box is going down.
        """
        profile = self._profiles[switch.to]
        stops = conflicting(profile, self._profiles, self._state.active)
        switch.stops, switch.began, switch.watch_s = [one.name for one in stops], now(), options.watch_s
        self._state.switch = switch
        self._step(switch, "preflight", _plan(switch))
        try:
            ready = preflight(profile, stops, self._state.sizes, ignore_plan=options.ignore_plan)
            self._prewarm(switch, ready, options)
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing was touched, and that has to be told
            return self._end(switch, REFUSED, _words(error))
        switch.cards = [list(astuple(card)) for card in ready.cards]
        try:
            self._go(switch, ready, options)
        except Exception as error:
            if units.shutting_down():
                raise ShutDownError from error
            switch.to_failed = True
            # What had started gives its memory back as late as the old one did; where that never came, waiting again is no use.
            return self.roll_back(switch, _words(error), waits=switch.step in {"load", "watch"})
        unhashed = {path: size for path, size in ready.sizes.items() if not model_files.hashed(Path(path))}
        self._state.sizes.update(unhashed)
        return self._commit(switch, "")

    def recover(self, switch: Switch) -> Switch:
        """End a switch that was interrupted, or one that failed before the box was started again.

        Raises:
            ShutDownError: the box is going down.
        """
        how = f"it was interrupted in the step {switch.step}"
        if not switch.touched:
            return self._end(switch, REFUSED, f"{how}; nothing had been touched")
        if switch.proven and not switch.outcome:
            self._events.step("watch", f"{how}, when {switch.to} had already answered")
            fault = self._new_serves(switch)
            if not fault:
                return self._commit(switch, how)
            switch.to_failed = True
            return self.roll_back(switch, f"{how}, and {fault}")
        return self.roll_back(switch, switch.reason or how)

    def roll_back(self, switch: Switch, reason: str, *, waits: bool = True) -> Switch:
        """Stop the new profile and let the old ones serve again; the new one, if they don't and it had no fair try.

        Args:
            switch: that failed.
            reason: why.
            waits: whether the old ones wait for the GPUs' memory; after a while they try without.

        Raises:
            ShutDownError: the box is going down.
        """
        switch.reason = reason
        self._step(switch, ROLL_BACK, reason, must=False)
        fault = self._old_serve(switch, waits=waits)
        if not fault:
            return self._end(switch, ROLLED_BACK, reason + "".join(map(_on_cpu, self._known(switch.stops))))
        if switch.rollback and not switch.to_failed:
            self._step(switch, "load", f"{fault}; {switch.to} itself has not failed, so it is tried", must=False)
            said = self._new_serves(switch)
            if not said:
                return self._commit(switch, f"{reason}\n{fault}")
            switch.to_failed = True
            reason = f"{reason}\n{said}"
            with suppress(GpuboxError):
                self._stop(self._known([switch.to]))
        return self._end(switch, FAILED, f"{reason}\n{fault}")

    def _old_serve(self, switch: Switch, *, waits: bool) -> str:
        """Let what was stopped serve again; return why it does not, or an empty string."""
        try:
            self._stop(self._known([switch.to]))
            if not switch.rollback:
                return "nothing serves in its place, as was asked for"
            if waits and not any(units.show(one.unit).up for one in self._known(switch.stops)):
                self._await_memory(switch)
            if not switch.stops:
                return "nothing had served before"
            for name in switch.stops:
                self._serve(self._profiles[name])
                self._state.active.setdefault(name, now())
        except Exception as error:
            if units.shutting_down():
                raise ShutDownError from error
            with suppress(GpuboxError):
                self._stop(self._known(switch.stops))
            return f"and the old profile does not serve again either: {_words(error)}"
        return ""

    def _new_serves(self, switch: Switch) -> str:
        """Let the new profile serve and watch it; return why it does not, or an empty string."""
        try:
            profile = self._profiles[switch.to]
            self._serve(profile)
            if not switch.proven:
                self._step(switch, "watch", f"{switch.to} has answered a completion", must=False)
            require_gpus(profile, _cards(switch))
            proof.watch(profile, switch.watch_s)
        except Exception as error:
            if units.shutting_down():
                raise ShutDownError from error
            return _words(error)
        return ""

    def _await_memory(self, switch: Switch) -> None:
        cards = _cards(switch)
        if cards:
            with suppress(GpuboxError):
                gpus.wait_until_free(cards, FREE_S, lambda said: self._events.step(ROLL_BACK, f"waiting: {said}"))

    def _commit(self, switch: Switch, reason: str) -> Switch:
        self._state.active = {name: since for name, since in self._state.active.items() if name not in switch.stops}
        self._state.active[switch.to] = now()
        return self._end(switch, SWITCHED, reason)

    def _known(self, names: Sequence[str]) -> list[BoxProfile]:
        return [self._profiles[name] for name in names if name in self._profiles]

    def _go(self, switch: Switch, ready: Ready, options: Options) -> None:
        """Do what touches services, up to the last look at the new one."""
        profile = self._profiles[switch.to]
        self._step(switch, "stop", ", ".join(switch.stops) or "nothing has to stop")
        if not self._stop_for(switch, profile, ready):
            self._step(switch, "free", _memory_of(ready))
            if ready.cards:
                gpus.wait_until_free(ready.cards, FREE_S, lambda said: self._events.step("free", f"waiting: {said}"))
            self._step(switch, "load", f"{profile.name}, image {ready.image}")
            units.start_next(profile.unit)
        taken = self._wait_until_served(profile, options.timeout_s, ready.size)
        watched = f"; watched for {options.watch_s:g} s" if options.watch_s else ""
        self._step(switch, "watch", f"{profile.name} has answered a completion after {taken:.1f} s{watched}")
        require_gpus(profile, ready.cards)
        proof.watch(profile, options.watch_s)

    def _stop_for(self, switch: Switch, profile: BoxProfile, ready: Ready) -> bool:
        """Stop what makes place for a profile; return whether it starts already.

        It does where the memory of its GPUs is free while Podman still takes the old containers away: the units have
        an order, whichever, so systemd starts it when they have stopped.
        """
        stops = self._known(switch.stops)
        if ready.up:
            self._stop([*stops, profile])
            units.forget_failures(profile.unit)
            return False
        stopped = Event()
        # Of one that holds nothing yet, as in its load, the memory is not free before its service has stopped.
        all_hold = bool(ready.cards) and {one.unit for one in ready.holders} == {one.name for one in stops}

        def meanwhile() -> bool:
            os.setpriority(os.PRIO_PROCESS, get_native_id(), LOW)  # also of what it starts
            free = all_hold and gpus.free_after(ready.cards, ready.holders, stopped.is_set)
            units.forget_failures(profile.unit)
            if free:
                self._step(switch, "free", _memory_of(ready))
                self._step(switch, "load", f"{profile.name}, image {ready.image}")
                units.start_next(profile.unit)
            import_module("http.client")  # which takes long, and is wanted next
            return free

        asked = Asked(meanwhile)
        try:
            self._stop(stops)
        finally:
            stopped.set()
            asked.wait()
        return bool(asked.answer())

    def _serve(self, profile: BoxProfile) -> None:
        """Start a profile, which changes nothing where it runs, and wait until it serves."""
        units.start(profile.unit)
        size = sum(file.stat().st_size for file in model_files.all_parts(profile.models) if file.exists())
        self._wait_until_served(profile, None, size)

    def _wait_until_served(self, profile: BoxProfile, timeout_s: float | None, size: int) -> float:
        """Wait until a profile serves that was started; return the seconds."""

        def on_progress(progress: LoadProgress) -> None:
            self._events.progress(f"{profile.name}: {progress}", progress.done, progress.size)

        return proof.wait_until_served(profile, size, timeout_s or profile.load_limit_s(size), on_progress)

    def _stop(self, profiles: Sequence[BoxProfile]) -> None:
        if profiles:
            limit_s = max(one.stop_timeout_s for one in profiles) + STOP_GRACE_S
            units.stop([one.unit for one in profiles], limit_s)

    def _prewarm(self, switch: Switch, ready: Ready, options: Options) -> None:
        if options.prewarm == "no":
            return
        fault = memory.prewarm_fault(ready.size)
        if fault and options.prewarm == "yes":
            raise GpuboxError(switch.to, f"can't be prewarmed: {fault}", "switch with --no-prewarm")
        if fault:
            return
        self._step(switch, "prewarm", "the model is read into memory while the old profile still serves")
        files = model_files.all_parts(self._profiles[switch.to].models)
        progress = memory.LoadProgress(ready.size)
        begun = time.monotonic()

        def on_progress(done: int, _: int) -> None:
            progress.update(done, time.monotonic() - begun)
            self._events.progress(f"{switch.to}: {progress}", progress.done, progress.size)

        memory.prewarm(files, options.prewarm_rate, on_progress)

    def _step(self, switch: Switch, step: str, text: str, *, must: bool = True) -> None:
        switch.step = step
        switch.outcome = switch.ended = ""
        switch.steps.append([step, now()])
        self._write(must=must)
        self._events.step(step, text)

    def _write(self, *, must: bool) -> None:
        """Write the state; a way back must not end because it can't be written down: the next boot would find it unended."""
        try:
            self._file.write(self._state)
        except GpuboxError as error:
            if must:
                raise
            self._events.step("state", str(error))

    def _end(self, switch: Switch, outcome: str, reason: str) -> Switch:
        switch.outcome, switch.reason, switch.ended = outcome, reason, now()
        if outcome == FAILED:
            gone = {switch.to, *switch.stops}
            self._state.active = {name: since for name, since in self._state.active.items() if name not in gone}
        self._write(must=False)
        self._events.end(outcome, switch.summary, id=switch.id, active=sorted(self._state.active))
        return switch


def conflicting(profile: BoxProfile, profiles: Mapping[str, BoxProfile], active: Mapping[str, str]) -> list[BoxProfile]:
    """Return the profiles that must stop for one: those that serve or should, and can't serve beside it."""
    return [
        profiles[name]
        for name in profile.conflicts
        if name in profiles and (name in active or units.show(profiles[name].unit).up)
    ]


def _memory_of(ready: Ready) -> str:
    return f"the memory of {len(ready.cards)} GPUs" if ready.cards else "no GPU is needed"


def _on_cpu(profile: BoxProfile) -> str:
    """Return as a further line why a profile serves again without its GPUs, which is still better than nothing."""
    try:
        require_gpus(profile)
    except Exception as error:  # noqa: BLE001  # it serves, and that has to be told
        return f"\n{_words(error)}"
    return ""


def _cards(switch: Switch) -> list[gpus.Card]:
    return [gpus.Card(int(at), str(uuid), int(used), int(total)) for at, uuid, used, total in switch.cards]


def _words(error: Exception) -> str:
    """Return an error as it is told; one that is ours to mend is logged in full, but the box must serve first."""
    if isinstance(error, GpuboxError):
        return str(error)
    sys.excepthook(type(error), error, error.__traceback__)
    return repr(error)


def _plan(switch: Switch) -> str:
    return f"stop {', '.join(switch.stops) or 'nothing'}, start {switch.to}; asked for by {switch.by}"
