"""A server as a child process: started where its port is free, ready when it has answered, and gone when we are.

    with ServerProcess(argv, url="http://127.0.0.1:8080", log=folder / "server.log") as server:
        server.wait_ready(timeout_s=600)

The server runs under a guard (server_guard.py), which stops it when this process ends, whatever ends it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from gpubox.errors import ServerError, ServerExitedError, ServerNotReadyError
from gpubox.port_holder import require_free_port
from gpubox.readiness import State, probe_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    OnProgress = Callable[[float, State], None]

GUARD = Path(__file__).with_name("server_guard.py")
LOG_LIMIT = 8 * 2**20
LINES_SHOWN = 10
TAIL = 2**16
GUARD_MARGIN_S = 5.0


class ServerProcess:
    """One server that this process started.

    Args:
        argv: the command line; the first word is found on PATH.
        url: where it will serve, `http://HOST:PORT`.
        log: file for its output, stdout and stderr together; replaced at the start. At `log_limit` it becomes `LOG.1`.
        name: what errors call it; by default the command's name.
        env: added to this process's environment.
        api_key: sent with the request that proves readiness.
        log_limit: bytes of each of the two log files.

    Attributes:
        pid: the server's process id, also its process group's; None before the start.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        url: str,
        log: Path,
        name: str = "",
        env: Mapping[str, str] | None = None,
        api_key: str | None = None,
        log_limit: int = LOG_LIMIT,
    ) -> None:
        self.argv = tuple(argv)
        self.url = url
        self.log = log
        self.name = name or Path(self.argv[0]).name
        self.env = {**os.environ, **(env or {})}
        self.api_key = api_key
        self.log_limit = log_limit
        self.pid: int | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # an interrupt in the middle of the start
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server.

        Raises:
            PortInUseError: the port is taken.
            ServerError: no such command, no such address, or the log can't be written.
        """
        where = urlsplit(self.url)
        require_free_port(where.hostname or "127.0.0.1", where.port or 80)
        if shutil.which(self.argv[0], path=self.env.get("PATH")) is None:
            raise ServerError(self.name, f"no command {self.argv[0]} to start", "install it or correct its path")
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_bytes(b"")
            Path(f"{self.log}.1").unlink(missing_ok=True)
        except OSError as exc:
            raise ServerError(str(self.log), f"can't be written: {exc.strerror}", "choose another folder") from exc
        self._lifeline, far_end = socket.socketpair()
        with far_end:
            descriptor = far_end.fileno()
            guard = [sys.executable, "-I", "-S", str(GUARD), str(descriptor), str(self.log), str(self.log_limit)]
            self._guard = subprocess.Popen(
                [*guard, *self.argv],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is for gpubox alone
                pass_fds=(descriptor,),
            )
        answer = self._lifeline.recv(32)
        if not answer:
            raise ServerError(
                self.name, "could not be started", "look at the limits on processes and memory (ulimit -a)"
            )
        self.pid = int(answer)

    def wait_ready(self, timeout_s: float, on_progress: OnProgress | None = None) -> float:
        """Wait until the server has answered a completion of one token.

        Args:
            timeout_s: the limit, seconds from now.
            on_progress: called about twice a second with the seconds waited and what the server does.

        Returns:
            The seconds that it took from now.

        Raises:
            ServerExitedError: it ended first.
            ServerNotReadyError: the limit was reached.
            EndpointError: what answers is not of llama.cpp's family, or refuses the request.
        """
        begin = time.monotonic()
        state: State = "starting"
        next_report = 0.0
        for state in probe_until_ready(self.url, self.api_key):
            waited = time.monotonic() - begin
            if state == "ready":
                return waited
            if (status := self.status()) is not None:
                raise ServerExitedError(
                    self.name,
                    f"the server {how_it_ended(status)} before it was ready",
                    _exit_remedy(status, self.log),
                    self.last_lines(),
                )
            if waited >= timeout_s:
                break
            if on_progress and waited >= next_report:
                on_progress(waited, state)
                next_report = waited + 0.5
        raise ServerNotReadyError(
            self.name,
            f"the server was not ready within {timeout_s:g} s ({_STATES[state]})",
            "raise health.start_timeout in the profile if the model needs longer to load",
            self.last_lines(),
        )

    def status(self) -> int | None:
        """Return the exit status (negative: the signal that ended it), or None while the server runs."""
        return self._guard.poll() if self._guard else None

    def last_lines(self, count: int = LINES_SHOWN) -> list[str]:
        """Return the last lines of the output, oldest first, bytes that aren't UTF-8 replaced."""
        text = b"".join(_tail(Path(name)) for name in (f"{self.log}.1", self.log))
        return text.decode("utf-8", "replace").splitlines()[-count:]

    def stop(self, timeout_s: float = 10) -> None:
        """Stop the server and all that it started: SIGTERM, and SIGKILL after `timeout_s`. A second call does nothing."""
        if self._lifeline is not None:
            lifeline, self._lifeline = self._lifeline, None
            with lifeline, suppress(OSError):  # the server has ended, and its guard with it
                lifeline.sendall(f"{timeout_s}".encode())
        if self._guard is not None:
            try:
                self._guard.wait(timeout_s + GUARD_MARGIN_S)
            except subprocess.TimeoutExpired as exc:
                fault = f"process {self.pid} does not end, not even by SIGKILL"
                raise ServerError(
                    self.name, fault, f"see what the kernel does with it: cat /proc/{self.pid}/stack"
                ) from exc


_STATES: dict[State, str] = {
    "starting": "nothing listens yet",
    "loading": "it is still loading",
    "silent": "it accepts connections but does not answer, as while loading",
    "first token": "it is up, its first token has not come",
    "ready": "it is ready",
}


def how_it_ended(status: int) -> str:
    """Return an exit status in words: `ended with exit status 1`, `was ended by SIGSEGV (Segmentation fault)`."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name} ({signal.strsignal(-status)})"
    except ValueError:
        return f"was ended by signal {-status}"


def _exit_remedy(status: int, log: Path) -> str:
    if -status == signal.SIGKILL:
        return "the kernel kills what exceeds the memory: look at `journalctl -k`"
    return f"its last lines should say why; all of them are in {log}"


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - TAIL, 0))
            return file.read()
    except OSError:
        return b""
