"""Which process writes a run, and whether it still lives.

A heartbeat would need a thread in the writer and rows that change. A process is told for certain by its machine, boot,
PID namespace, number and time of birth, all of which the kernel knows; only for a run written on another machine does
age have to decide.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Writer:
    """A process, for all time.

    Attributes:
        host: the machine's name.
        boot: boot id and PID namespace; empty where there is no /proc.
        pid: the process's number.
        born: its start, clock ticks since boot; empty where there is no /proc.
    """

    host: str
    boot: str
    pid: int
    born: str

    def lives(self, here: Writer) -> bool | None:
        """Return whether the process runs, as seen by the process `here`; None when it can't be seen from there."""
        if self.host != here.host:
            return None
        if self.boot != here.boot:
            # The same machine after a reboot, or a container of the same name.
            return None if self.boot.partition(" ")[0] == here.boot.partition(" ")[0] else False
        if self.born:
            return self.born == _born(self.pid)
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def this_process() -> Writer:
    """Return the running process."""
    return Writer(host=platform.node(), boot=_boot(), pid=os.getpid(), born=_born(os.getpid()))


def _boot() -> str:
    try:
        boot_id = (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot_id} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _born(pid: int) -> str:
    try:
        stat = (PROC / str(pid) / "stat").read_text("utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is the command in brackets and may hold anything; starttime is field 22 of proc(5).
    state, *fields = stat.rpartition(")")[2].split()
    # A zombie has ended; it only waits for its parent.
    return "" if state in "ZX" else fields[18]
