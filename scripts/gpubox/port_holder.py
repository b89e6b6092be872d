"""Is an address free to serve on, and if not, who has it."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import PortInUseError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S = 1.0
LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


def require_free_port(host: str, port: int, *, proc: Path = Path("/proc")) -> None:
    """Make sure that a server could listen there now.

    Args:
        host: name or address to listen on.
        port: 1 to 65535.
        proc: where procfs is mounted.

    Raises:
        PortInUseError: somebody listens there already; names the process where it can be seen.
        ServerError: this machine has no such address, or may not use the port.
    """
    place = f"{host}:{port}"
    try:
        taken = not _can_bind(host, port) or _listens(host, port)
    except OSError as exc:
        fault = f"can't serve here: {exc.strerror or exc}"
        raise ServerError(place, fault, "choose an address of this machine and a port above 1023") from exc
    if taken:
        holder = port_holder(port, proc=proc)
        fault = f"the port is in use by {holder}" if holder else "the port is in use"
        raise PortInUseError(place, fault, "stop that server or choose another port")


def _listens(host: str, port: int) -> bool:
    """Return whether anybody accepts connections there, answering or not."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # every address is meant
    with socket.socket(_family(host)) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        try:
            probe.connect((target, port))
        except TimeoutError:
            return True
        except OSError:
            return False
        return True


def _can_bind(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        # Connections of an earlier server in TIME_WAIT don't matter, but Linux lets only a socket with the same option
        # pass them by: llama.cpp's has SO_REUSEPORT, others have SO_REUSEADDR.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return False
            raise
        return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def port_holder(port: int, *, proc: Path = Path("/proc")) -> str:
    """Return `NAME (pid N)` of the process that listens on a TCP port, or an empty string if it can't be seen.

    Only root sees the sockets of other users' processes.
    """
    wanted = {
        f"socket:[{inode}]"
        for table in ("tcp", "tcp6")
        for inode in listening_inodes(_read(proc / "net" / table), port)
    }
    for pid in _process_ids(proc) if wanted else ():
        if wanted.intersection(_descriptors(proc / str(pid) / "fd")):
            return f"{_read(proc / str(pid) / 'comm').strip() or 'a process'} (pid {pid})"
    return ""


def listening_inodes(table: str, port: int) -> set[str]:
    """Return the socket inodes that listen on a port, from the text of /proc/net/tcp or /proc/net/tcp6.

    Source of the columns: proc_net_tcp(5): sl, local address as HEX:HEX, remote address, state, …, inode (10th).
    """
    rows = (line.split() for line in table.splitlines()[1:])
    return {
        row[9] for row in rows if len(row) > 9 and row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _process_ids(proc: Path) -> list[int]:
    return sorted(int(folder.name) for folder in proc.iterdir() if folder.name.isdigit())


def _descriptors(folder: Path) -> Iterator[str]:
    """Yield what a process's descriptors point to; nothing for a process of somebody else, or one that ended."""
    try:
        links = list(folder.iterdir())
    except OSError:
        return
    for link in links:
        try:
            yield str(link.readlink())
        except OSError:
            continue
