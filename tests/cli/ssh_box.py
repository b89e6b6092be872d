"""Boxes that are nothing but an SSH server: each answers the verbs of the box's program as a test says."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import paramiko

if TYPE_CHECKING:
    from pathlib import Path

SETTLE_S = 0.2  # the request itself is granted by another thread, and must be before its end is told
STATUS = {
    "active": {"one": "2026-11-24T03:00:00.000+00:00"},
    "serving": {"one": True},
    "hashes": {},
    "drift": [],
    "switch": None,
    "busy": "",
    "gpus": [],
    "disk_free": 12_000_000_000,
}


@dataclass
class Answer:
    """What the program prints for a verb.

    Attributes:
        lines: one after the other.
        delay_s: before the first.
        status: that it exits with.
    """

    lines: list[str] = field(default_factory=list)
    delay_s: float = 0.0
    status: int = 0


class SshBox:
    """One box, on a port of the loopback; anybody's key opens it.

    Args:
        folder: where the operator's key is kept; made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.key = folder / "key"
        if not self.key.exists():
            paramiko.ECDSAKey.generate().write_private_key_file(str(self.key))
        self.answers: dict[str, Answer] = {"status": Answer([json.dumps(STATUS)])}
        self.asked: list[tuple[float, str]] = []  # when, and the command line from the verb on
        self._own_key = paramiko.ECDSAKey.generate()
        self._transports: list[paramiko.Transport] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._acceptor.join()
        for transport in self._transports:
            transport.close()

    @property
    def variables(self) -> dict[str, Any]:
        """Its variables in an inventory."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self._socket.getsockname()[1],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
        }

    def says(self, verb: str, *lines: str | dict[str, Any], delay_s: float = 0.0, status: int = 0) -> None:
        """Tell what it answers to a verb from now on; what is no text goes as JSON."""
        said = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.answers[verb] = Answer(said, delay_s, status)

    def ends(self, outcome: str, text: str, active: list[str] | None = None, delay_s: float = 0.0) -> None:
        """Tell how a switch ends there, and what serves then."""
        end: dict[str, Any] = {"event": "end", "outcome": outcome, "text": text, "id": "x"}
        end |= {} if active is None else {"active": active}
        self.says("switch", {"event": "begin", "id": "x"}, end, delay_s=delay_s, status=int(outcome != "switched"))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(self._own_key)
            with suppress(EOFError, OSError, paramiko.SSHException):
                transport.start_server(event=threading.Event(), server=_Login(self))
            self._transports.append(transport)

    def answer(self, command: str, channel: paramiko.Channel) -> None:
        """Answer one command line."""
        found = re.search(r"switch\.pyz (\w+).*", command)
        verb = found[1].replace("run", "switch") if found else ""  # a switch is begun in its unit
        answer = self.answers.get(verb)
        self.asked.append((time.monotonic(), found[0].removeprefix("switch.pyz ") if found else command))
        answer = answer or Answer(status=127)
        time.sleep(answer.delay_s)
        with suppress(OSError):
            channel.sendall("".join(f"{line}\n" for line in answer.lines).encode())
            time.sleep(SETTLE_S)
            channel.send_exit_status(answer.status)
            channel.close()


class _Login(paramiko.ServerInterface):
    def __init__(self, box: SshBox) -> None:
        self._box = box

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002  # as the base class has it
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002  # likewise
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002  # likewise
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._box.answer, args=(command.decode(), channel), daemon=True).start()
        return True
