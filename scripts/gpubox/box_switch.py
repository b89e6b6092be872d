"""A switch on a box, asked for from here: the box does it, and goes on when we are cut off."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpubox.errors import BoxError, ConnectionLostError
from gpubox.switch_program.launch import PROGRAM, launch_command, new_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpubox.box_connection import BoxConnection

    OnEvent = Callable[[dict[str, Any]], None]

PYTHON = ("python3", "-ISB", PROGRAM)
RECONNECT_S = 1.0
GIVE_UP_S = 1800.0


@dataclass(frozen=True)
class End:
    """How a request to a box ended.

    Attributes:
        box: its name.
        outcome: `switched`, `rolled back`, `failed`, `refused`, `planned`, `prewarmed`, `unreachable`, or `unknown` where
            gpubox itself failed on it.
        text: in words.
        seconds: from the request to the end.
        active: the profiles that serve there now; None where the box did not say so.
    """

    box: str
    outcome: str
    text: str
    seconds: float
    active: list[str] | None = None

    @property
    def good(self) -> bool:
        """Whether what was asked for is so."""
        return self.outcome in {"switched", "planned", "prewarmed"}


def ask_switch(connection: BoxConnection, profile: str, options: Sequence[str], on_event: OnEvent) -> End:
    """Switch a box and follow it to the end, over as many connections as that takes.

    Args:
        connection: to the box.
        profile: to serve.
        options: further words for the box's program.
        on_event: told of every event; one of ours, `lost`, says that the connection broke.

    Raises:
        BoxError: the box can't be reached.
    """
    identity = new_identity()
    words = [profile, f"--by={getpass.getuser()}@{os.uname().nodename}", *options]
    follow = [*PYTHON, "follow", identity]
    # Without Python between, which would take longer to start than all else here.
    argv = ["sh", "-c", f"{shlex.join(launch_command(identity, words))} && exec {shlex.join(follow)}"]
    if "--dry-run" in options:
        argv = [*PYTHON, "switch", *words]
    begun = time.monotonic()
    lost_at: float | None = None

    told: list[dict[str, Any]] = []

    def on_word(event: dict[str, Any]) -> None:
        nonlocal lost_at
        lost_at = None
        if event["event"] != "step":
            on_event(event)
        elif event not in told:  # whoever follows a switch again is told all of it again
            told.append(event)
            on_event(event)

    while True:
        try:
            end = _to_end(connection, argv, on_word)
        except BoxError as error:
            now = time.monotonic()
            if not isinstance(error, ConnectionLostError) and argv is not follow:
                raise
            if lost_at is None:
                on_event({"event": "lost", "text": f"{error.fault}; the switch goes on there, connecting again"})
            lost_at = lost_at or now
            if now - lost_at > GIVE_UP_S:
                raise
            argv = follow
            time.sleep(RECONNECT_S)
            continue
        return End(connection.name, end["outcome"], end["text"], time.monotonic() - begun, end.get("active"))


def ask_prewarm(connection: BoxConnection, profile: str, rate_mb: float, on_event: OnEvent) -> End:
    """Let a box read a model into its page cache; it stops when the connection does.

    Raises:
        BoxError: the box can't be reached.
    """
    begun = time.monotonic()
    end = _to_end(connection, [*PYTHON, "prewarm", profile, f"--rate={rate_mb:g}"], on_event)
    return End(connection.name, end["outcome"], end["text"], time.monotonic() - begun)


def _to_end(connection: BoxConnection, argv: Sequence[str], on_event: OnEvent) -> dict[str, Any]:
    for event in _events(connection, argv):
        on_event(event)
        if event["event"] == "end":
            return event
    raise BoxError(connection.name, "its program ended without a word", "see its journal: journalctl -t gpubox-switch")


def _events(connection: BoxConnection, argv: Sequence[str]) -> Iterator[dict[str, Any]]:
    for line in connection.lines(argv):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event
