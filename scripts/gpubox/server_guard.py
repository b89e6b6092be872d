"""The process between gpubox and a server: it sees to it that the server ends, however gpubox itself ends.

It runs as a script of its own (`python server_guard.py LIFELINE_FD LOG LOG_LIMIT COMMAND…`, standard library only),
starts the server in a process group of its own and holds one end of a socket, the lifeline, whose other end is gpubox's:

* gpubox writes a number of seconds and closes it: an orderly stop with that much patience;
* gpubox dies, by `kill -9` even: the kernel closes it, a stop with the patience of `ORPHAN_PATIENCE_S`.

A stop is SIGTERM to the server's process group, then SIGKILL. The guard copies the server's output into the log and
turns the file over (to LOG.1) at its limit. It ends as the server ended: with the same status, or by the same signal.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from typing import BinaryIO, NoReturn

ORPHAN_PATIENCE_S = 10.0
BLOCK = 65536


def die_with_parent(parent: int, number: int) -> None:
    """Ask the kernel to send signal `number` to this process when its parent ends; Linux only, elsewhere nothing.

    Args:
        parent: the parent's process id as known before the call; if it is gone already, this process ends here.
        number: the signal.

    Source: prctl(2), PR_SET_PDEATHSIG. "Parent" is the thread that started this process.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - not needed elsewhere

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


class TurnedLog:
    """A log of bounded size: at the limit the file becomes `PATH.1`, replacing the one before.

    Args:
        path: the file; truncated at first.
        limit: bytes; the two files together stay below twice this.
    """

    def __init__(self, path: str, limit: int) -> None:
        self.path = path
        self.limit = limit
        self.file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115, PTH123 - see write()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append; a full disk loses output, it doesn't stop the server."""
        with contextlib.suppress(OSError):
            if self.size and self.size + len(data) > self.limit:
                os.replace(self.path, f"{self.path}.1")  # noqa: PTH105 - pathlib would cost 10 ms a start
                self.file.close()
                self.file = open(self.path, "wb", buffering=0)  # noqa: SIM115, PTH123
                self.size = 0
            self.file.write(data)
            self.size += len(data)


class Guard:
    """One server under guard.

    Args:
        argv: the server's command, found on PATH.
        lifeline: a connected socket to gpubox; the server's process id is sent on it as a decimal line.
        log: where the output goes.
    """

    def __init__(self, argv: list[str], lifeline: socket.socket, log: TurnedLog) -> None:
        self.lifeline = lifeline
        self.log = log
        self.wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.output, server_end = os.pipe()
        os.set_blocking(self.output, False)
        self.pid = start(argv, server_end)
        os.close(server_end)
        with contextlib.suppress(OSError):  # gpubox is gone already: run() will see it
            lifeline.sendall(b"%d\n" % self.pid)

    def run(self) -> int:
        """Wait for the server's end or for the lifeline's; return the server's exit status (negative: a signal)."""
        waiting: list[int] = [self.lifeline.fileno(), self.wake, self.output]
        kill_at: float | None = None
        while (status := self.status()) is None:
            patience = None if kill_at is None else max(kill_at - time.monotonic(), 0)
            ready, _, _ = select.select(waiting, [], [], patience)
            if self.output in ready and not self.copy_output():
                waiting.remove(self.output)
            if self.wake in ready:
                os.read(self.wake, BLOCK)
            if self.lifeline.fileno() in ready:
                waiting.remove(self.lifeline.fileno())
                kill_at = time.monotonic() + self.patience()
                self.signal_group(signal.SIGTERM)
            elif kill_at is not None and time.monotonic() >= kill_at:
                self.signal_group(signal.SIGKILL)
                kill_at = time.monotonic() + 1  # a process in the kernel's hands may take its time to die
        self.signal_group(signal.SIGKILL)  # what the server started and left behind
        self.copy_output()  # a pipe holds at most one block
        return status

    def status(self) -> int | None:
        """Return the server's exit status, or None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def patience(self) -> float:
        """Read how long an orderly stop may take, seconds."""
        try:
            return float(self.lifeline.recv(BLOCK) or ORPHAN_PATIENCE_S)
        except (OSError, ValueError):
            return ORPHAN_PATIENCE_S

    def copy_output(self) -> bool:
        """Move what there is from the pipe to the log; return False at its end or when there is nothing now."""
        try:
            data = os.read(self.output, BLOCK)
        except BlockingIOError:
            return False
        self.log.write(data)
        return bool(data)

    def signal_group(self, number: int) -> None:
        """Send a signal to the server and all that it started in its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def start(argv: list[str], output: int) -> int:
    """Start the server in a process group of its own, its output into `output`; return its process id, also its group's."""
    guard = os.getpid()
    pid = os.fork()  # the guard has one thread, so what follows is safe
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # both sides do it, so that an early stop can't miss the group
        return pid
    try:
        os.setpgid(0, 0)
        die_with_parent(guard, signal.SIGKILL)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two; exec keeps that
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as exc:
        os.write(2, f"{argv[0]}: {exc.strerror}\n".encode())
    os._exit(127)


def end_as(status: int) -> NoReturn:
    """End this process with the exit status, or by the signal where it is negative."""
    if status < 0:
        import resource  # noqa: PLC0415 - rarely needed

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def main() -> NoReturn:
    """Guard one server; see the module's docstring for the arguments."""
    descriptor, path, limit, *argv = sys.argv[1:]
    lifeline = socket.socket(fileno=int(descriptor))
    lifeline.set_inheritable(False)
    end_as(Guard(argv, lifeline, TurnedLog(path, int(limit))).run())


if __name__ == "__main__":
    main()
