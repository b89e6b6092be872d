"""Servers with one fault each: `stand_in_server.py FAULT PORT`. They print what they do, as a real one does."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def main() -> None:
    """Show one fault."""
    fault, port = sys.argv[1], int(sys.argv[2])
    if fault in ANSWERS:
        serve(port, ANSWERS[fault])
    elif fault == "exits":
        for number in range(20):
            print("line", number)
        sys.stdout.buffer.write(b"not UTF-8: \xff\n")
        sys.exit(3)
    elif fault == "crashes":
        os.kill(os.getpid(), signal.SIGABRT)
    elif fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "dies-while-loading":
        with socket.create_server(("127.0.0.1", port)) as listener:
            listener.accept()
            print("loading tensors", flush=True)
            time.sleep(0.1)
            sys.exit(1)
    elif fault == "garbage":
        with socket.create_server(("127.0.0.1", port)) as listener:
            connection, _ = listener.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            time.sleep(60)
    elif fault == "silent":
        with socket.create_server(("127.0.0.1", port)):
            time.sleep(60)
    elif fault == "late":  # as ik_llama.cpp: bound at once, served after the load
        with socket.create_server(("127.0.0.1", port), backlog=5) as listener:
            time.sleep(0.5)
            for answer in (OK, TOKEN):
                connection, _ = listener.accept()
                connection.recv(65536)
                body = answer[2]
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                connection.close()
            time.sleep(60)
    elif fault == "stubborn":  # neither it nor its child ends at SIGTERM
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("stubborn", flush=True)
        time.sleep(60)
    elif fault == "leaves-a-child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    elif fault == "talks":
        for number in range(20000):
            print("line", number)
        serve(port, ANSWERS["ready"])
    elif fault == "environment":
        print(json.dumps({name: os.environ[name] for name in ("GPUBOX_A",)}), flush=True)
        print("SIGPIPE", signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN, flush=True)
        sys.exit(0)


if __name__ == "__main__":
    main()
