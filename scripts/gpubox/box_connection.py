"""A connection to a box by SSH, as the Ansible inventory and the operator's own ssh_config say.

Variables of the inventory come first (`ansible_host`, `ansible_port`, `ansible_user`, `ansible_ssh_private_key_file`,
`ansible_ssh_common_args`), then ~/.ssh/config; of an option that is given twice the first counts, as with ssh. A box whose
host key is not known is refused, as ssh refuses it where nobody can be asked.
"""

from __future__ import annotations

import itertools
import logging
import shlex
import socket
import subprocess
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import paramiko
from fabric import Config, Connection

from gpubox.box_tunnel import BoxTunnel
from gpubox.errors import BoxError, ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SILENCE_S = 15.0
# Else it prints a traceback whenever a box is not up yet.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
CONNECT_S = 10
_KNOWN_HOSTS = "~/.ssh/known_hosts"


class BoxProcess(Protocol):
    """A command that runs on a box."""

    def lines(self) -> Iterator[str]:
        """Yield the lines that it prints, as they come.

        Raises:
            BoxError: it printed nothing and failed.
            ConnectionLostError: the connection broke, or was silent for 15 seconds.
        """

    def send(self, data: bytes) -> None:
        """Let it read something.

        Raises:
            ConnectionLostError: the connection broke.
        """

    def close(self) -> None:
        """Hang up: it reads the end of its input."""


class BoxConnection:
    """One connection, opened when it is first used; run as root on the box.

    Args:
        name: the box, as in the inventory.
        variables: its variables.
    """

    def __init__(self, name: str, variables: Mapping[str, Any]) -> None:
        self.name = name
        self._local = variables.get("ansible_connection") == "local"
        self._variables = variables
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; the next command opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def lines(self, argv: Sequence[str]) -> Iterator[str]:
        """Run a command as root and yield the lines that it prints, as they come.

        Args:
            argv: the command.

        Raises:
            BoxError: the box can't be reached, or the command printed nothing and failed.
            ConnectionLostError: the connection broke, or was silent for 15 seconds.
        """
        process = self.start(argv)
        try:
            yield from process.lines()
        finally:
            process.close()

    def start(self, argv: Sequence[str]) -> BoxProcess:
        """Start a command as root, to be told things while it runs.

        Args:
            argv: the command.

        Raises:
            BoxError: the box can't be reached.
            ConnectionLostError: the connection broke.
        """
        if self._local:
            return _LocalProcess(self.name, ["sudo", "-n", *argv])
        connection = self._opened()
        as_root = argv if connection.user == "root" else ["sudo", "-n", *argv]
        try:
            channel = connection.transport.open_session(timeout=CONNECT_S)
            channel.settimeout(SILENCE_S)
            channel.exec_command(shlex.join(as_root))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self.lost(error) from error
        return _RemoteProcess(self, channel)

    @contextmanager
    def tunnel(self, port: int) -> Iterator[int]:
        """Open a tunnel to a port of the box's loopback; it breaks when the connection does.

        Args:
            port: on the box.

        Yields:
            A port of this machine's loopback that leads there.

        Raises:
            BoxError: the box can't be reached.
            ConnectionLostError: the connection broke.
        """
        if self._local:
            yield port
            return
        connection = self._opened()
        try:
            tunnel = BoxTunnel(connection.transport, port)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self.lost(error) from error
        try:
            yield tunnel.port
        finally:
            tunnel.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def lost(self, error: Exception | None = None) -> ConnectionLostError:
        """Close what broke and return the error that says so."""
        self.close()
        words = f": {str(error) or 'no word came'}" if error is not None else ""
        return ConnectionLostError(self.name, f"the connection broke{words}")

    def _open(self) -> Connection:
        variables = self._variables
        host = str(variables.get("ansible_host") or self.name)
        user, port = variables.get("ansible_user"), variables.get("ansible_port")
        try:
            settings = ssh_settings(variables)
            known = settings.lookup(host)
            port = int(port) if port else None
        except (ValueError, OSError, paramiko.SSHException) as error:
            remedy = "correct ansible_port and the ansible_ssh_* of the inventory, or ~/.ssh/config"
            raise BoxError(self.name, f"its SSH settings can't be read: {error}", remedy) from error
        key = variables.get("ansible_ssh_private_key_file")
        connect: dict[str, Any] = {"transport_factory": _transport}
        connect |= {"key_filename": [str(key)]} if key else {}
        if known.get("identitiesonly") == "yes":
            connect |= {"allow_agent": False, "look_for_keys": False}
        connection = Connection(
            host,
            user=str(user) if user else None,
            port=port,
            config=Config(ssh_config=settings, lazy=True),  # Fabric's own files have no say
            connect_kwargs=connect,
            connect_timeout=int(known.get("connecttimeout", CONNECT_S)),
        )
        client = connection.client
        for file in known.get("userknownhostsfile", _KNOWN_HOSTS).split():
            if Path(file).expanduser().is_file():
                client.load_host_keys(str(Path(file).expanduser()))
        lax = known.get("stricthostkeychecking", "ask") in {"no", "off", "accept-new"}
        client.set_missing_host_key_policy(
            paramiko.AutoAddPolicy() if lax else paramiko.RejectPolicy()
        )  # as the operator's ssh does
        try:
            connection.open()
        except (OSError, EOFError, paramiko.SSHException) as error:
            remedy = f"does `ssh {host}` work? ansible_host and the like are in the inventory"
            raise BoxError(self.name, f"can't be reached: {str(error) or type(error).__name__}", remedy) from error
        connection.transport.set_keepalive(5)
        return connection


def _transport(sock: socket.socket | paramiko.Channel, **settings: Any) -> paramiko.Transport:  # noqa: ANN401  # paramiko's
    """Return what paramiko connects by, without the wait of 40 ms for an acknowledgement wherever two packets follow."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as OpenSSH does
    return paramiko.Transport(sock, **settings)


def ssh_settings(variables: Mapping[str, Any]) -> paramiko.SSHConfig:
    """Return the ssh_config of a box: options of the inventory first, then those of ~/.ssh/config.

    Args:
        variables: of the box; of `ansible_ssh_common_args` and its like, `-o`, `-i`, `-J` and `-F` count.
    """
    names = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
    words = [word for name in names for word in shlex.split(str(variables.get(name) or ""))]
    file = Path("~/.ssh/config").expanduser()
    lines = ["Host *"]
    for flag, value in itertools.pairwise(words):
        if flag == "-o":
            key, _, text = value.replace("=", " ", 1).partition(" ")
            lines.append(f"  {key} {text.strip()}")
        elif flag in {"-i", "-J"}:
            lines.append(f"  {'IdentityFile' if flag == '-i' else 'ProxyJump'} {value}")
        elif flag == "-F":
            file = Path(value)
    own = file.read_text("utf-8") if file.is_file() else ""
    return paramiko.SSHConfig.from_file(StringIO("\n".join([*lines, own])))


class _RemoteProcess:
    def __init__(self, connection: BoxConnection, channel: paramiko.Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._hung_up = False

    def lines(self) -> Iterator[str]:
        printed = 0
        try:
            with self._channel.makefile("r") as out:
                for line in out:
                    printed += 1
                    yield line.rstrip("\n")
            said = self._channel.makefile_stderr("r").read()
            status = self._channel.recv_exit_status()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._connection.lost(error) from error
        if self._hung_up:
            return
        if status == -1:
            raise self._connection.lost()
        if status and not printed:
            raise _failed(self._connection.name, said.decode() if isinstance(said, bytes) else said, status)

    def send(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._connection.lost(error) from error

    def close(self) -> None:
        self._hung_up = True
        self._channel.close()


class _LocalProcess:
    def __init__(self, name: str, argv: Sequence[str]) -> None:
        self._name = name
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def lines(self) -> Iterator[str]:
        assert self._process.stdout
        assert self._process.stderr
        printed = 0
        for line in self._process.stdout:
            printed += 1
            yield line.decode("utf-8", "replace").rstrip("\n")
        said = self._process.stderr.read().decode("utf-8", "replace")
        if self._process.wait() and not printed:
            raise _failed(self._name, said, self._process.returncode)

    def send(self, data: bytes) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError as error:
            raise ConnectionLostError(self._name, f"its program has ended: {error}") from error

    def close(self) -> None:
        with suppress(OSError), self._process:  # closes its pipes and waits
            pass


def _failed(name: str, said: str, status: int) -> BoxError:
    last = (said.strip().splitlines() or [f"exit status {status}"])[-1]
    if "can't open file" in said:
        return BoxError(name, "gpubox's program is not there", "run playbooks/profiles.yml for this box")
    if "sudo:" in said:
        return BoxError(
            name, f"may not become root: {last}", "let the user sudo without a password, or connect as root"
        )
    return BoxError(name, last, "see its journal: journalctl -t gpubox-switch")
