"""Whether a process is still the one that it was: a number alone may have been given to another since."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal


@dataclass(frozen=True)
class Process:
    """A process of this machine.

    Attributes:
        pid: its number.
        started: clock ticks since boot at its start (proc(5), `/proc/PID/stat` field 22).
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has a number now.

        Raises:
            ProcessLookupError: there is none.
        """
        found = _state_and_start(pid)
        if found is None:
            raise ProcessLookupError(pid)
        return cls(pid, found[1])

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        found = _state_and_start(self.pid)
        return found is not None and found[1] == self.started and found[0] not in "ZX"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, limit_s: float) -> bool:
        """Wait until it has ended.

        Returns:
            Whether it has, within the limit in seconds.
        """
        end = time.monotonic() + limit_s
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def _state_and_start(pid: int) -> tuple[str, int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name is in brackets and may hold spaces and brackets: count from the last one.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
