"""A file server with range requests on loopback, which counts what it sends and can be told to fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Answers a request itself and returns True, or leaves it to the server.
Play = Callable[[BaseHTTPRequestHandler], bool]


@dataclass
class Server:
    """A file server with range requests, and what it saw."""

    url: str
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # path, range, authorization
    sent: int = 0


@contextmanager
def serving(folder: Path, play: Play = lambda _: False) -> Iterator[Server]:
    """Serve the folder's files on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers["Range"]
            server.requests.append((self.path, asked, self.headers["Authorization"]))
            if play(self):
                return
            path = folder / self.path.partition("?")[0].lstrip("/")
            if not path.exists():
                answer(self, 404)
                return
            start, end = (int(text) for text in asked.removeprefix("bytes=").split("-"))
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(start)
                piece = file.read(min(end + 1, size) - start)
            if not piece:
                answer(self, 416)
                return
            server.sent += len(piece)
            answer(self, 206, piece, {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{size}"})

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Print nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Server(f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    length: int | None = None,
) -> bool:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    return True
