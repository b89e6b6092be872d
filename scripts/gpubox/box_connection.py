"""A connection to a box by SSH, as the Ansible inventory and the operator's own ssh_config say.

Variables of the inventory come first (`ansible_host`, `ansible_port`, `ansible_user`, `ansible_ssh_private_key_file`,
`ansible_ssh_common_args`), then ~/.ssh/config; of an option that is given twice the first counts, as with ssh. A box whose
host key is not known is refused, as ssh refuses it where nobody can be asked.
"""

from __future__ import annotations

import itertools
import shlex
import subprocess
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import paramiko
from fabric import Config, Connection

from gpubox.errors import BoxError, ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SILENCE_S = 15.0
CONNECT_S = 10
_KNOWN_HOSTS = "~/.ssh/known_hosts"


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
        if self._local:
            yield from self._local_lines(argv)
            return
        if self._connection is None:
            self._connection = self._open()
        as_root = argv if self._connection.user == "root" else ["sudo", "-n", *argv]
        printed = 0
        try:
            channel = self._connection.transport.open_session(timeout=CONNECT_S)
            channel.settimeout(SILENCE_S)
            channel.exec_command(shlex.join(as_root))
            with channel.makefile("r") as out:
                for line in out:
                    printed += 1
                    yield line.rstrip("\n")
            said = channel.makefile_stderr("r").read()
            status = channel.recv_exit_status()
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            raise ConnectionLostError(self.name, f"the connection broke: {error or 'no word came'}") from error
        if status == -1:
            self.close()
            raise ConnectionLostError(self.name, "the connection broke")
        if status and not printed:
            raise _failed(self.name, said.decode() if isinstance(said, bytes) else said, status)

    def _local_lines(self, argv: Sequence[str]) -> Iterator[str]:
        with subprocess.Popen(
            ["sudo", "-n", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            assert process.stderr
            printed = 0
            for line in process.stdout:
                printed += 1
                yield line.rstrip("\n")
            said = process.stderr.read()
            if process.wait() and not printed:
                raise _failed(self.name, said, process.returncode)

    def _open(self) -> Connection:
        variables = self._variables
        settings = ssh_settings(variables)
        host = str(variables.get("ansible_host") or self.name)
        known = settings.lookup(host)
        user, port = variables.get("ansible_user"), variables.get("ansible_port")
        key = variables.get("ansible_ssh_private_key_file")
        connect: dict[str, Any] = {"key_filename": [str(key)]} if key else {}
        if known.get("identitiesonly") == "yes":
            connect |= {"allow_agent": False, "look_for_keys": False}
        connection = Connection(
            host,
            user=str(user) if user else None,
            port=int(port) if port else None,
            config=Config(ssh_config=settings),
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
            raise BoxError(self.name, f"can't be reached: {error or type(error).__name__}", remedy) from error
        connection.transport.set_keepalive(5)
        return connection


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


def _failed(name: str, said: str, status: int) -> BoxError:
    last = (said.strip().splitlines() or [f"exit status {status}"])[-1]
    if "can't open file" in said:
        return BoxError(name, "gpubox's program is not there", "run playbooks/profiles.yml for this box")
    if "sudo:" in said:
        return BoxError(
            name, f"may not become root: {last}", "let the user sudo without a password, or connect as root"
        )
    return BoxError(name, last, "see its journal: journalctl -t gpubox-switch")
