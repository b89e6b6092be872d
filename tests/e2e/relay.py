"""A port that leads to another one, until what was waited for has passed: then it is as if nobody had ever listened."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

CHUNK = 1 << 16


class Relay:
    """A context manager; `port` of this machine's loopback leads to `target`.

    Args:
        target: a port of the loopback.
        last: once a client has sent this and got its answer, every connection ends and the port is closed.
    """

    def __init__(self, target: int, last: bytes) -> None:
        self._target = target
        self._last = last
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Close everything."""
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                asked = threading.Event()
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(
                        target=self._carry, args=(source, sink, asked, source is client), daemon=True
                    ).start()

    def _carry(self, source: socket.socket, sink: socket.socket, asked: threading.Event, from_client: bool) -> None:  # noqa: FBT001
        before = b""
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                if from_client and self._last in before + chunk:
                    asked.set()
                before = chunk[-len(self._last) :]
                sink.sendall(chunk)
                if not from_client and asked.is_set():
                    self.end()
            sink.shutdown(socket.SHUT_WR)
