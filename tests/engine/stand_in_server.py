"""Servers with one fault each: `stand_in_server.py FAULT PORT`. They print what they do, as a real one does."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OK = (200, "application/json", '{"status":"ok"}')
LOADING = (503, "application/json", '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}')
TOKEN = (200, "application/json", '{"content":"x"}')
FORBIDDEN = (401, "application/json", '{"error":{"code":401,"message":"Invalid API Key"}}')
BROKEN = (500, "application/json", '{"error":{"code":500,"message":"out of memory"}}')
PAGE = (200, "text/html", "<!doctype html><title>Welcome</title>")
BARE = (200, "application/json", "")
NOT_FOUND = (404, "text/html", "<h1>404</h1>")

ANSWERS: Mapping[str, Mapping[str, tuple[int, str, str]]] = {
    "ready": {"/health": OK, "/completion": TOKEN},
    "loading": {"/health": LOADING},
    "page": {"/health": PAGE},
    "bare": {"/health": BARE},
    "not-found": {"/health": NOT_FOUND},
    "needs-key": {"/health": OK, "/completion": FORBIDDEN},
    "no-token": {"/health": OK, "/completion": BROKEN},
}


def serve(port: int, answers: Mapping[str, tuple[int, str, str]]) -> None:
    """Answer every request from a table, and print the authorisation it came with."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            print("authorization:", self.headers["Authorization"], flush=True)
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, kind, body = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = answer  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def exits(_: int) -> None:
    """End at once, with much to say and one byte that is no text."""
    for number in range(20):
        print("line", number)
    sys.stdout.flush()
    sys.stdout.buffer.write(b"not UTF-8: \xff\n")
    sys.exit(3)


def dies_while_loading(port: int) -> None:
    """Bind, take a connection, and end without an answer."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.accept()
        print("loading tensors")
        sys.exit(1)


def garbage(port: int) -> None:
    """Speak another protocol."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        connection, _ = listener.accept()
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        time.sleep(60)


def silent(port: int) -> None:
    """Bind and never answer."""
    with socket.create_server(("127.0.0.1", port)):
        time.sleep(60)


def late(port: int) -> None:
    """Bind at once and answer after the load, as ik_llama.cpp does."""
    with socket.create_server(("127.0.0.1", port), backlog=5) as listener:
        time.sleep(0.5)
        for _, _, body in (OK, TOKEN):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        time.sleep(60)


def stubborn(_: int) -> None:
    """Ignore SIGTERM, and so does a child."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leaves_a_child(0)
    print("stubborn", flush=True)
    time.sleep(60)


def leaves_a_child(_: int) -> None:
    """End with a child alive."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def talks(port: int) -> None:
    """Print much, then serve."""
    for number in range(20000):
        print("line", number)
    serve(port, ANSWERS["ready"])


def environment(_: int) -> None:
    """Show one variable."""
    print(f"GPUBOX_A={os.environ['GPUBOX_A']}")


FAULTS: Mapping[str, Callable[[int], None]] = {
    **{name: partial(serve, answers=answers) for name, answers in ANSWERS.items()},
    "crashes": lambda _: os.kill(os.getpid(), signal.SIGABRT),
    "killed": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "exits": exits,
    "dies-while-loading": dies_while_loading,
    "garbage": garbage,
    "silent": silent,
    "late": late,
    "stubborn": stubborn,
    "leaves-a-child": leaves_a_child,
    "talks": talks,
    "environment": environment,
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]](int(sys.argv[2]))
