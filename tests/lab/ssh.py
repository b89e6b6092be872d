"""Commands, files and tunnels over OpenSSH."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CONNECT_LIMIT_S = 10
_TUNNEL_LIMIT_S = 10.0
_LAST_LINES = 20


@dataclass(frozen=True)
class Result:
    """What a command did.

    Attributes:
        status: its exit status; 255 is also ssh's own, for a connection that failed.
        stdout: what it printed.
        stderr: what it complained of.
    """

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Address:
    """How a box is reached.

    Attributes:
        name: the box's.
        host: a loopback address.
        port: of its sshd.
        key: the private key that it lets in.
        known_hosts: a file with the box's own host key.
    """

    name: str
    host: str
    port: int
    key: Path
    known_hosts: Path

    @property
    def options(self) -> dict[str, str]:
        """The options of OpenSSH that reach the box, host and port left out."""
        return {
            "IdentityFile": str(self.key),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(_CONNECT_LIMIT_S),
            "LogLevel": "ERROR",
        }

    def config(self, user: str) -> str:
        """Return a stanza of ssh_config."""
        lines = {"HostName": self.host, "Port": str(self.port), "User": user, **self.options}
        return "\n".join([f"Host {self.name}", *(f"  {key} {value}" for key, value in lines.items()), ""])

    def _arguments(self) -> list[str]:
        # Nothing of the operator's own settings: a ControlMaster of theirs would outlive a reboot.
        return ["-F", "none", *(part for key, value in self.options.items() for part in ("-o", f"{key}={value}"))]

    def run(self, user: str, command: str, stdin: bytes, limit_s: float) -> Result:
        """Run a shell command.

        Args:
            user: who runs it.
            command: for the user's shell.
            stdin: what it reads.
            limit_s: seconds, the connecting included.

        Raises:
            CommandError: it did not end within the limit.
        """
        argv = ["ssh", *self._arguments(), "-p", str(self.port), f"{user}@{self.host}", command]
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired as error:
            fault = f"`{command}` did not end within {limit_s:g} s"
            raise CommandError(self.name, fault, "", _tail(error.stdout, error.stderr)) from error
        return Result(done.returncode, _text(done.stdout), _text(done.stderr))

    def copy(self, *, sources: Sequence[str], target: str) -> None:
        """Copy files with scp, which is asked to keep their modes and times.

        Args:
            sources: local paths, or `remote(user, path)` ones.
            target: likewise.

        Raises:
            CommandError: scp failed.
        """
        argv = ["scp", *self._arguments(), "-P", str(self.port), "-q", "-r", "-p", *sources, target]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            raise CommandError(self.name, f"scp to {target} failed", "", _tail(done.stdout, done.stderr))

    def remote(self, user: str, path: str) -> str:
        """Return a path on the box as scp writes it."""
        return f"{user}@{self.host}:{path}"

    @contextmanager
    def tunnel(self, user: str, port: int) -> Iterator[int]:
        """Open a tunnel to a port of the box's loopback.

        Yields:
            A port of this machine's loopback that leads to it.

        Raises:
            CommandError: the tunnel did not open.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            local = int(free.getsockname()[1])
        forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{local}:127.0.0.1:{port}"]
        argv = ["ssh", *self._arguments(), *forward, "-p", str(self.port), f"{user}@{self.host}"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._await_tunnel(process, local, port)
            yield local
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()

    def _await_tunnel(self, process: subprocess.Popen[bytes], local: int, port: int) -> None:
        end = time.monotonic() + _TUNNEL_LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", local), 1).close()
            except OSError:
                if process.poll() is None and time.monotonic() < end:
                    time.sleep(0.02)
                    continue
            else:
                return
            process.kill()
            raise CommandError(self.name, f"no tunnel to port {port}", "", _tail(None, process.communicate()[1]))


def as_command(command: str | Sequence[str]) -> str:
    """Return a shell's command line, or an argv as one that no shell changes."""
    return command if isinstance(command, str) else shlex.join(command)


def failed(name: str, command: str, result: Result) -> CommandError:
    """Return the error of a command that exited with another status than 0."""
    last_lines = [*result.stdout.splitlines(), *result.stderr.splitlines()][-_LAST_LINES:]
    return CommandError(name, f"`{command}` exited with status {result.status}", "", last_lines)


def _text(printed: bytes) -> str:
    return printed.decode("utf-8", errors="replace")


def _tail(stdout: bytes | None, stderr: bytes | None) -> list[str]:
    return [*_text(stdout or b"").splitlines(), *_text(stderr or b"").splitlines()][-_LAST_LINES:]
