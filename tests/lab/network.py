"""A box's network: a namespace with a user-mode way out (slirp4netns), and its SSH port on an address of its own.

Nothing of this machine's network changes. Inside, the box is 10.0.2.100 and this machine's loopback is 10.0.2.2.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

from .errors import BoxError
from .record import SSH_PORT

if TYPE_CHECKING:
    from .cgroup import Cgroup
    from .record import Record

_GUEST = "10.0.2.100"


def up(record: Record, group: Cgroup, namespace: str) -> None:
    """Make a box's network namespace and its ways out and in. Runs in the keeper's mount namespace, in the box's folder.

    Args:
        record: the box.
        group: what the network process becomes part of.
        namespace: its name, for `ip netns`.

    Raises:
        BoxError: the network process did not start, or the box's address is taken.
    """
    for argv in (["ip", "netns", "add", namespace], ["ip", "-n", namespace, "link", "set", "lo", "up"]):
        subprocess.run(argv, check=True)
    (record.folder / "slirp.sock").unlink(missing_ok=True)
    readable, writable = os.pipe()
    slirp = [
        "slirp4netns",
        "--configure",
        "--mtu=65520",
        "--api-socket=slirp.sock",  # relative, because a socket's path may have 107 bytes and no more
        f"--ready-fd={writable}",
        "--netns-type=path",
        f"/run/netns/{namespace}",
        "tap0",
    ]
    with (record.folder / "slirp.log").open("wb") as log:
        process = subprocess.Popen(
            group.wrap("network", slirp),
            cwd=record.folder,
            pass_fds=[writable],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(writable)
    with os.fdopen(readable, "rb") as ready:
        if not ready.read(1):
            raise BoxError(record.name, "slirp4netns did not start", f"see {record.folder / 'slirp.log'}")
    record.note("slirp", process.pid)
    _forward(record)


def _forward(record: Record) -> None:
    wish = {"proto": "tcp", "host_addr": record.address, "host_port": SSH_PORT, "guest_addr": _GUEST, "guest_port": 22}
    with socket.socket(socket.AF_UNIX) as control:
        control.connect("slirp.sock")
        control.sendall(json.dumps({"execute": "add_hostfwd", "arguments": wish}).encode())
        control.shutdown(socket.SHUT_WR)
        answer = json.loads(control.recv(4096))
    if "error" in answer:
        raise BoxError(record.name, f"{record.address}:{SSH_PORT} can't be forwarded: {answer['error']}")


def cut(record: Record) -> None:
    """Stop every packet of a box, both ways, as a pulled cable does: connections neither pass nor break."""
    _signal(record, signal.SIGSTOP)


def restore(record: Record) -> None:
    """Let a box's packets pass again."""
    _signal(record, signal.SIGCONT)


def _signal(record: Record, number: signal.Signals) -> None:
    slirp = record.process("slirp")
    if slirp is None:
        raise BoxError(record.name, "its network is not up", "start the box")
    slirp.send(number)
