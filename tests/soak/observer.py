"""Runs on the box and writes down, twenty times a second, what is so: one JSON object a line, appended to the file that is named.

- `t`: CLOCK_MONOTONIC, seconds, which boxes of the lab share with their machine and keep over a reboot
- `boot`: which boot of the box it is
- `engines`: [profile, PID] of each stand-in engine that lives
- `answers`: {port: profile} of the completions that were answered since the line before
- `down`: whether systemd is taking the box down; asked only where a port has not answered for a while
- `state`: of the state file, `active`, and of its last switch `id`, `to`, `step` and `outcome`; a text where it can't be read

It asks each port for one completion at a time and waits for it without end, unless Podman still holds the port.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

EVERY_S = 0.05
ANSWER_S = 0.02  # what is waited for an answer within one look
GIVE_UP_S = 0.5
QUIET_S = 1.0  # without an answer, from which on systemd is asked
PORTS = (8000, 8001)
REQUEST = b"POST /completion HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}"
STATE = Path("/var/lib/gpubox/state.json")


class Probe:
    """A completion that is asked for again and again.

    Args:
        port: on the loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = time.monotonic()
        self._socket: socket.socket | None = None
        self._begun = 0.0
        self._said = b""

    def look(self) -> str:
        """Return the profile that has answered since the last look; empty where none has."""
        if self._socket is None or time.monotonic() - self._begun > GIVE_UP_S:
            self._ask()
        found = ""
        if self._socket and select.select([self._socket], [], [], ANSWER_S)[0]:
            found = self._take()
        if found:
            self.answered = time.monotonic()
        return found

    def _ask(self) -> None:
        self._end()
        self._begun, self._said = time.monotonic(), b""
        with suppress(OSError):
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S)
            self._socket.sendall(REQUEST)

    def _take(self) -> str:
        assert self._socket
        try:
            while piece := self._socket.recv(4096):
                self._said += piece
        except OSError:  # the rest is to come, or never comes
            if self._said:
                return ""
        self._end()
        named = re.search(rb'"model": "(\w+)"', self._said)
        return named[1].decode() if named and b" 200 " in self._said.partition(b"\r\n")[0] else ""

    def _end(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None


def engines() -> list[tuple[str, int]]:
    """Return profile and PID of each stand-in engine that lives."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            words = (folder / "cmdline").read_text().split("\0")
            if words[0].endswith("python3") and any(word.endswith("/stand_in_engine.py") for word in words):
                found.append((words[words.index("--alias") + 1], int(folder.name)))
    return sorted(found)


def state() -> dict[str, Any] | str:
    """Return what the state file says."""
    try:
        document = json.loads(STATE.read_text())
        switch = document["switch"] or {}
        return {
            "active": sorted(document["active"]),
            **{name: switch.get(name, "") for name in ("id", "to", "step", "outcome")},
        }
    except (OSError, ValueError, KeyError) as error:
        return repr(error)


class System:
    """What systemd says of the box, asked at most every `QUIET_S` / 2."""

    def __init__(self) -> None:
        self._asked = 0.0
        self._down = False

    def is_going_down(self) -> bool:
        """Whether it takes the box down."""
        if time.monotonic() - self._asked > QUIET_S / 2:
            command = ["systemctl", "is-system-running"]
            said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
            self._asked, self._down = time.monotonic(), said.strip() == b"stopping"
        return self._down


def main() -> None:
    """Watch until the box goes down."""
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    probes, system = [Probe(port) for port in PORTS], System()
    while True:
        begun = time.monotonic()
        answers = {str(probe.port): name for probe in probes if (name := probe.look())}
        line = {
            "t": round(time.monotonic(), 3),
            "boot": boot,
            "engines": engines(),
            "answers": answers,
            "down": any(begun - probe.answered > QUIET_S for probe in probes) and system.is_going_down(),
            "state": state(),
        }
        os.write(file, json.dumps(line).encode() + b"\n")
        time.sleep(max(begun + EVERY_S - time.monotonic(), 0))


main()
