"""A server with llama-server's command line that behaves as a file beside its model says: `/models/ALIAS.json`.

- `load_s`: seconds from the start of its process until it is ready; meanwhile it reads its model, bit by bit, and answers
  nothing, as ik_llama.cpp
- `warns`: lines that it prints before, and goes on
- `hangs`: it never gets ready
- `crashes`: it ends in the middle of its load, with these `lines` and this `status`
- `refuses`: it is healthy, and fails every completion
- `dies_s`: seconds after its first completion it ends, with status 1
- `stubborn`: it ignores SIGTERM
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import socketserver
import sys
import threading
import time
from pathlib import Path
from typing import Any

PIECES = 20


def option(*names: str) -> str:
    return next(sys.argv[at + 1] for at, word in enumerate(sys.argv) if word in names)


def age_s() -> float:
    """Return how long ago this process was started, to 10 ms."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def load(model: Path, behaviour: dict[str, Any]) -> None:
    seconds = max(behaviour.get("load_s", 0.0) - age_s(), 0.0)
    with model.open("rb") as file:
        for piece in range(PIECES):
            file.read(model.stat().st_size // PIECES)
            time.sleep(seconds / PIECES)
            if piece == PIECES // 2 and behaviour.get("crashes"):
                print("\n".join(behaviour.get("lines", [])), file=sys.stderr, flush=True)
                os._exit(behaviour.get("status", 1))
    while behaviour.get("hangs"):
        time.sleep(1)


def main() -> None:
    model, alias = Path(option("-m", "--model")), option("--alias", "-a")
    described = model.with_name(f"{alias}.json")
    behaviour: dict[str, Any] = json.loads(described.read_text()) if described.exists() else {}
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour.get("stubborn") else lambda *_: os._exit(0))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, {"status": "ok"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            if behaviour.get("refuses"):
                self.answer(500, {"error": {"code": 500, "message": "Compute error."}})
                return
            self.answer(200, {"content": "x", "model": alias})
            if "dies_s" in behaviour:
                threading.Timer(behaviour["dies_s"], os._exit, [1]).start()

        def answer(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        request_queue_size = 128  # connections that were given up during the load count too

    server = Server(("0.0.0.0", int(option("--port"))), Handler)
    print(*behaviour.get("warns", []), f"loading {model}", sep="\n", file=sys.stderr, flush=True)
    load(model, behaviour)
    print("server is listening", file=sys.stderr, flush=True)
    server.serve_forever()


main()
