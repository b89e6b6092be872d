"""Let another image serve in a profile's place for a while, and take it away again, whatever happens to whoever asked.

It tells a `tick` now and then, and reads what is wanted as JSON from its standard input, then a word for each tick; without
one for LEASE_S seconds, or at the end of its input, the image stops. Nothing of it outlives the box's next start: the unit's
file is in /run.

Told are also `progress`; `served`, once; and at last `end` with the outcome `stopped`, or `failed` where the image's own server
is at fault, or `refused`. It stays until it has been told `stop`, so that no word of whoever asked is lost.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gpubox.errors import GpuboxError, ServerExitedError
from gpubox.switch_program import gpus, proof, units
from gpubox.switch_program.gpu_use import require_gpus
from gpubox.switch_program.lock import only_one
from gpubox.switch_program.preflight import preflight
from gpubox.switch_program.profiles import BoxProfile, choose, read_profiles
from gpubox.switch_program.state import StateFile
from gpubox.switch_program.transaction import FREE_S, STOP_GRACE_S, conflicting

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpubox.switch_program.memory import LoadProgress
    from gpubox.switch_program.paths import Paths

    Tell = Callable[..., None]

UNITS = Path("/run/systemd/system")
LEASE_S = 20.0
TICK_S = 2.0
LOOK_S = 5.0  # between two looks at a server that serves, so that they cost the measured nothing
ALIVE = b"alive"
STOP = b"stop"


@dataclass(frozen=True)
class Wanted:
    """What is asked for; JSON has the same names.

    Attributes:
        profile: in whose place.
        name: of the unit and the container.
        image: by digest.
        unit: text of the unit's file.
        who: asks, and what for.
    """

    profile: str
    name: str
    image: str
    unit: str
    who: str


class GoneError(Exception):
    """Nobody wants it any more."""


class Asker:
    """Whoever asked, at the other end of a descriptor.

    Args:
        descriptor: to read from; not through a buffer, whose lock a thread would keep at the end of the program.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._heard = time.monotonic()
        self._ended = threading.Event()
        self._rest = b""

    def line(self) -> bytes:
        """Return the next line, empty at the end."""
        while b"\n" not in self._rest:
            read = os.read(self._descriptor, 1 << 16)
            if not read:
                return b""
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        self._heard = time.monotonic()
        return line or b" "

    def listen(self) -> None:
        """Heed what it says from here on."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while (line := self.line()) and line != STOP:
            pass
        self._ended.set()

    @property
    def gone(self) -> bool:
        """Whether the end was asked for, or nobody asks any more."""
        return self._ended.is_set() or time.monotonic() - self._heard > LEASE_S

    def wait(self, seconds: float) -> None:
        """Wait for a while, or until the end was asked for."""
        self._ended.wait(seconds)


def obey(paths: Paths, tell: Tell) -> None:
    """Do what standard input asks for, to its end.

    Args:
        paths: of the box.
        tell: takes an event and what it says.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal that both are at; whoever asked says what it means
    asker = Asker(0)
    threading.Thread(target=_tick, args=(tell,), daemon=True).start()
    while (order := asker.line()) == ALIVE:
        pass
    if not order:
        return
    wanted = Wanted(**json.loads(order))
    asker.listen()
    try:
        outcome, text = try_image(paths, wanted, asker, tell)
    except GpuboxError as error:
        outcome, text = "refused", str(error)
    with suppress(GoneError, BrokenPipeError):
        tell("end", outcome=outcome, text=text)
        while not asker.gone:
            asker.wait(LOOK_S)


def try_image(paths: Paths, wanted: Wanted, asker: Asker, tell: Tell) -> tuple[str, str]:
    """Let an image serve until nobody asks any more; return the outcome and what is to be said of it.

    Raises:
        GpuboxError: it can't be begun; no server was started.
    """
    profiles = read_profiles(paths.profiles)
    profile = choose(profiles, wanted.profile)
    with only_one(paths.lock, f"a trial of {wanted.image} in place of {profile.name} by {wanted.who}"):
        state = StateFile(paths.state).read()
        if state.interrupted:
            raise GpuboxError("this box", "a switch was interrupted and has not ended", "wait, then ask again")
        trial = replace(
            profile, name=wanted.name, image=wanted.image, file=str(UNITS / f"{wanted.name}.service"), conflicts=[]
        )
        stops = [*conflicting(profile, profiles, state.active), profile]
        outcome, text = "stopped", f"{wanted.name} has stopped"
        try:
            _place(trial, wanted.unit)
            _serve(trial, stops, state.sizes, asker, tell)
        except (GoneError, BrokenPipeError):
            pass
        except ServerExitedError as error:
            outcome, text = "failed", str(error)
        finally:
            _remove(trial)
    return outcome, text


def _serve(trial: BoxProfile, stops: list[BoxProfile], sizes: dict[str, int], asker: Asker, tell: Tell) -> None:
    """Stop what is in the way, start, and stay until nobody asks any more."""
    ready = preflight(trial, stops, sizes, ignore_plan=True)

    def on_progress(progress: LoadProgress) -> None:
        tell("progress", text=f"{trial.name}: {progress}")
        if asker.gone:
            raise GoneError

    for one in stops:  # together they would be a cycle to systemd, as each is to start after the other has stopped
        units.stop([one.unit], one.stop_timeout_s + STOP_GRACE_S)
    if ready.cards:
        gpus.wait_until_free(ready.cards, FREE_S, lambda said: tell("progress", text=f"waiting: {said}"))
    if asker.gone:
        raise GoneError
    units.start(trial.unit)
    taken = proof.wait_until_served(trial, ready.size, trial.load_limit_s(ready.size), on_progress)
    require_gpus(trial)
    tell("served", seconds=taken)
    while not asker.gone:
        proof.require_running(trial)
        asker.wait(LOOK_S)


def _place(trial: BoxProfile, text: str) -> None:
    """Put the unit's file in place of an earlier one that its own trial could not remove."""
    _remove(trial)
    file = Path(trial.file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    units.reload_units()


def _remove(trial: BoxProfile) -> None:
    if not Path(trial.file).exists() and units.show(trial.unit).load == "not-found":
        return
    with suppress(GpuboxError):
        units.stop([trial.unit], trial.stop_timeout_s + STOP_GRACE_S)
    Path(trial.file).unlink(missing_ok=True)
    units.forget(trial.unit)


def _tick(tell: Tell) -> None:
    """Keep the connection from being taken for broken."""
    with suppress(BrokenPipeError, ValueError):
        while True:
            tell("tick")
            time.sleep(TICK_S)


def _leave(*_: Any) -> NoReturn:  # noqa: ANN401  # a signal's number and frame
    raise GoneError
