"""A tunnel to a port of a box's loopback, over an SSH connection that is open.

Fabric's own keeps listening when the connection has broken, so that whoever connects then waits for ever; here everybody
is hung up on.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import paramiko

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_S = 10.0
PIECE = 32 * 1024


class BoxTunnel:
    """A port of this machine's loopback that leads to one of the box's, from now until `close`.

    Args:
        transport: of the connection.
        remote_port: on the box.

    Attributes:
        port: on this machine.
    """

    def __init__(self, transport: paramiko.Transport, remote_port: int) -> None:
        self._transport = transport
        self._remote = ("127.0.0.1", remote_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._hang_ups: list[Callable[[], None]] = []
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Hang up on everybody."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for hang_up in self._hang_ups:
            hang_up()

    def _serve(self) -> None:
        while True:
            try:
                client, address = self._listener.accept()
            except OSError:
                return
            self._connect(client, address)

    def _connect(self, client: socket.socket, address: tuple[str, int]) -> None:
        try:
            channel = self._transport.open_channel("direct-tcpip", self._remote, address, timeout=OPEN_S)
        except (OSError, EOFError, paramiko.SSHException):  # the connection broke, or nothing listens there
            client.close()
            return

        def hang_up() -> None:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()
            with suppress(OSError, EOFError, paramiko.SSHException):  # whose connection broke
                channel.close()

        self._hang_ups.append(hang_up)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for take, give in ((client.recv, channel.sendall), (channel.recv, client.sendall)):
            Thread(target=_pass_on, args=(take, give, hang_up), daemon=True).start()


def _pass_on(take: Callable[[int], bytes], give: Callable[[bytes], object], hang_up: Callable[[], None]) -> None:
    """Pass on what comes until one end closes; HTTP closes no end alone."""
    with suppress(OSError, EOFError, paramiko.SSHException):
        while piece := take(PIECE):
            give(piece)
    hang_up()
