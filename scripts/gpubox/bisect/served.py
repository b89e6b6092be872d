"""An image that serves on a box in a profile's place, for as long as a block lasts."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, replace
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, Self

from gpubox.bisect.image import telling_line
from gpubox.deployment import Restart
from gpubox.errors import BoxError, ConnectionLostError, UnusableCommitError
from gpubox.profile_deployment import deploy
from gpubox.render import render
from gpubox.switch_program.launch import PROGRAM
from gpubox.switch_program.trial import ALIVE, STOP, UNITS, Wanted

if TYPE_CHECKING:
    from gpubox.box import Box
    from gpubox.box_connection import BoxConnection, BoxProcess
    from gpubox.profile_files import LoadedProfile
    from gpubox.switch_program.profiles import BoxProfile

# Of silence; the box ticks every two seconds.
ANSWER_S = 60.0


class Served:
    """A trial on a box.

    Args:
        connection: to the box.
        box: it.
        loaded: the profile in whose place the image serves, with its argv, mounts, GPUs and port.
        profile: the same, as the box knows it.
        image: by digest.
        who: asks, and what for.

    Attributes:
        profile: as the box would know what serves, for telemetry and for the record.
        seconds: from the start to the first completion.
    """

    def __init__(
        self,
        connection: BoxConnection,
        box: Box,
        loaded: LoadedProfile,
        profile: BoxProfile,
        *,
        image: str,
        who: str,
    ) -> None:
        name = trial_name(profile.name)
        self.profile = replace(profile, name=name, image=image, file=str(UNITS / f"{name}.service"))
        self.seconds = 0.0
        self._connection = connection
        self._wanted = Wanted(profile.name, name, image, unit_text(loaded, box, image), who)
        self._told: Queue[dict[str, Any] | Exception] = Queue()
        self._saying = threading.Lock()
        self._said_all = False
        self._process: BoxProcess

    def __enter__(self) -> Self:
        """Start it and wait until it serves.

        Raises:
            UnusableCommitError: its server does not start.
            BoxError: it could not be begun, whatever the image.
            ConnectionLostError: the connection broke; the box stops it by itself.
        """
        self._process = self._connection.start(["python3", "-ISB", PROGRAM, "trial"])
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self._await("tick")  # it reads; a word to a program that has ended would break the connection
            self._say((json.dumps(asdict(self._wanted)) + "\n").encode())
            event = self._await("served", "end")
            self._require_served(event)
        except BaseException:
            self._leave()
            raise
        self.seconds = float(event["seconds"])
        return self

    def __exit__(self, *exception: object) -> None:
        self._leave()

    def check(self) -> None:
        """Say why the server has ended, if it has; after it has failed to answer.

        Raises:
            UnusableCommitError: it has.
            ConnectionLostError: the connection broke.
        """
        try:
            event = self._await("end", limit_s=10.0)
        except TimeoutError:
            return
        raise self._fault(event)

    def _leave(self) -> None:
        """Let it stop, and wait for that; where the connection broke, the box does it by itself."""
        try:
            self._say(STOP + b"\n", last=True)
            while not isinstance(self._told.get(timeout=ANSWER_S), Exception):
                pass
        except (BoxError, Empty):
            pass
        self._process.close()

    def _listen(self) -> None:
        remedy = "see what it logged on the box: journalctl -b"
        lost: Exception = BoxError(self._connection.name, "the trial has ended without a word", remedy)
        try:
            for line in self._process.lines():
                event = json.loads(line)
                self._told.put(event)
                if event["event"] == "tick":
                    self._say(ALIVE + b"\n")
        except (BoxError, OSError, ValueError) as error:
            lost = error
        self._said_all = True
        self._told.put(lost)

    def _say(self, words: bytes, *, last: bool = False) -> None:
        """Say something, unless the last word was said: the program ends at that."""
        with self._saying:
            if not self._said_all:
                self._said_all = last
                self._process.send(words)

    def _await(self, *events: str, limit_s: float | None = None) -> dict[str, Any]:
        ticks = 0
        while True:
            try:
                event = self._told.get(timeout=ANSWER_S)
            except Empty:
                raise ConnectionLostError(self._connection.name, f"no word for {ANSWER_S:g} s") from None
            if isinstance(event, Exception):
                self._told.put(event)
                raise self._old_program(event)
            if event["event"] in events:
                return event
            ticks += event["event"] == "tick"
            if limit_s is not None and ticks * 2 > limit_s:
                raise TimeoutError

    def _old_program(self, error: Exception) -> Exception:
        if isinstance(error, BoxError) and "invalid choice" in error.fault:
            return BoxError(error.place, "its program is older than this gpubox", "run playbooks/profiles.yml")
        return error

    def _require_served(self, event: dict[str, Any]) -> None:
        if event["event"] == "end":
            raise self._fault(event)

    def _fault(self, event: dict[str, Any]) -> Exception:
        if event["outcome"] == "failed":
            first, *lines = str(event["text"]).splitlines()
            fault = first.removeprefix(f"{self.profile.name}: ").partition("; see its last lines")[0]
            return UnusableCommitError(self._connection.name, fault, telling_line(lines[::-1]))
        return BoxError(self._connection.name, str(event["text"]))


def trial_name(profile: str) -> str:
    """Return what the unit and the container of a trial are called."""
    return f"{profile}-bisect"


def unit_text(loaded: LoadedProfile, box: Box, image: str) -> str:
    """Return the unit of a trial: the profile's own, with another image, and never started twice.

    Raises:
        GpuboxError: it can't be written for this box.
    """
    own = deploy(loaded, box)
    trial = replace(
        own, name=trial_name(loaded.name), image=image, pull="never", restart=Restart("no"), health=None, conflicts=()
    )
    return render(trial, "systemd")
