"""What runs on a box while it is measured: it keeps a second benchmark away and tells, once a second, what the box does.

One file that needs Python 3.9 and the standard library alone: it is sent over SSH and leaves nothing behind but its note.
It prints JSON objects, one a line, and obeys those that it reads:

- `alive`: somebody still listens. Without a word for LEASE_S seconds it ends, and the box is free again.
- `ping`: answered at once, so that both clocks can be compared.
- `watch`: follow the service of a profile, its CPU time and its journal.
- `describe`: tell what exactly is deployed as a profile.
- `note`: write down, or remove, what has to be put back when the benchmark can't do so itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE_S = 20
TICK_S = 1.0
APPS_S = 5.0
COMMAND_S = 30
LINES = 50  # of the journal, a tick
LINE_LENGTH = 500
MEMORY = ("MemTotal", "MemAvailable", "Cached", "Dirty")


def tell(event: str, **more: Any) -> None:  # noqa: ANN401  # JSON
    """Print an event."""
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


class Stream:
    """The lines of a program that runs beside this one, or of standard input.

    Args:
        descriptor: to read from.
        process: to end with; None for none.
    """

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.descriptor = descriptor
        self.process = process
        self.open = True
        self._rest = b""

    @classmethod
    def of(cls, argv: list[str]) -> Stream | None:
        """Start a program; None where there is no such program."""
        if shutil.which(argv[0]) is None:
            return None
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        return cls(process.stdout.fileno(), process)

    def lines(self) -> list[str]:
        """Return the whole lines that are there; call it when there is something to read."""
        read = os.read(self.descriptor, 1 << 16)
        self.open = bool(read)
        *whole, self._rest = (self._rest + read).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]

    def close(self) -> None:
        """End the program."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Watch:
    """The program's loop.

    Args:
        note: file for what has to be put back.
        gpu_fields: what is asked of each GPU, as nvidia-smi takes it.
    """

    def __init__(self, note: Path, gpu_fields: str) -> None:
        self._note = note
        self._selector = selectors.DefaultSelector()
        self._streams: dict[str, Stream] = {}
        # Newer drivers call the reasons for a low clock `event`, older ones `throttle`: the first that is taken is used.
        self._queries = [gpu_fields, gpu_fields.replace("clocks_event_reasons", "clocks_throttle_reasons")]
        self._cgroup: Path | None = None
        self._gpus: list[str] = []
        self._apps: dict[int, dict[str, Any]] = {}
        self._journal: list[str] = []
        self._heed(Stream(0), "orders", self._obey)
        self._watch_gpus()
        apps = ["nvidia-smi", "--query-compute-apps=gpu_uuid,pid,process_name,used_memory"]
        apps += ["--format=csv,noheader,nounits", f"--loop-ms={APPS_S * 1e3:.0f}"]
        self._heed(Stream.of(apps), "apps", self._app)

    def run(self) -> None:
        """Tell about the box until nobody listens any more."""
        tick = time.monotonic()
        while "orders" in self._streams:
            for key, _ in self._selector.select(max(0.0, tick - time.monotonic())):
                name, handle = key.data
                stream = self._streams.get(name)
                if stream is None:
                    continue
                for line in stream.lines():
                    handle(line)
                if not stream.open:
                    self._drop(name)
                    if name == "gpus":
                        self._watch_gpus()
            if time.monotonic() >= tick:
                self._tick()
                tick = max(tick + TICK_S, time.monotonic())

    def close(self) -> None:
        """End what runs beside."""
        for name in list(self._streams):
            self._drop(name)

    def _heed(self, stream: Stream | None, name: str, handle: Callable[[str], None]) -> None:
        if stream is not None:
            self._streams[name] = stream
            self._selector.register(stream.descriptor, selectors.EVENT_READ, (name, handle))

    def _drop(self, name: str) -> None:
        stream = self._streams.pop(name, None)
        if stream is not None:
            self._selector.unregister(stream.descriptor)
            stream.close()

    def _watch_gpus(self) -> None:
        """Let nvidia-smi print in its own loop; where it refuses one query, the next one is tried."""
        if self._queries:
            query = [f"--query-gpu={self._queries.pop(0)}", "--format=csv,noheader,nounits"]
            self._heed(Stream.of(["nvidia-smi", *query, f"--loop-ms={TICK_S * 1e3:.0f}"]), "gpus", self._gpu)

    def _gpu(self, line: str) -> None:
        self._gpus.append(line)

    def _app(self, line: str) -> None:
        row = line.strip().split(", ")
        if len(row) >= 4 and row[1].isdigit():
            pid = int(row[1])
            self._apps[pid] = {
                "uuid": row[0],
                "pid": pid,
                "name": Path(", ".join(row[2:-1])).name,  # it may have commas of its own
                "cgroup": read(f"/proc/{pid}/cgroup"),
            }

    def _tick(self) -> None:
        stat = read("/proc/stat").partition("\n")[0]
        memory = dict(line.partition(":")[::2] for line in read("/proc/meminfo").splitlines())
        used = dict(line.partition(" ")[::2] for line in read(f"{self._cgroup}/cpu.stat").splitlines())
        tell(
            "tick",
            at=time.monotonic(),
            cpu=stat,
            memory={name: memory.get(name, "").strip() for name in MEMORY},
            engine_cpu_us=used.get("usage_usec"),
            gpus=self._gpus,
            apps=list(self._apps.values()),
            journal=self._journal,
        )
        self._gpus, self._apps, self._journal = [], {}, []

    def _line(self, line: str) -> None:
        if len(self._journal) < LINES:
            self._journal.append(line[:LINE_LENGTH])

    def _obey(self, line: str) -> None:
        order = json.loads(line)
        signal.alarm(LEASE_S)
        if order["do"] == "ping":
            tell("pong", at=time.monotonic())
        elif order["do"] == "watch":
            unit = order["profile"] + ".service"
            group = said(["systemctl", "show", "--property=ControlGroup", "--value", unit]).strip()
            self._cgroup = Path("/sys/fs/cgroup" + group) if group else None
            self._drop("journal")
            argv = ["journalctl", "--follow", "--lines=0", "--output=cat", f"--unit={unit}"]
            self._heed(Stream.of(argv), "journal", self._line)
        elif order["do"] == "describe":
            tell("deployed", **describe(order["profile"], order["file"], order["models"]))
        elif order["do"] == "note":
            self._write(order["note"])
            tell("noted")

    def _write(self, note: object) -> None:
        if note is None:
            self._note.unlink(missing_ok=True)
            return
        part = self._note.with_name(self._note.name + ".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(note, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._note)


def describe(profile: str, file: str, models: list[str]) -> dict[str, Any]:
    """Return what is deployed as a profile: its container, the process in it, its unit's file and its model's."""
    inspected = json.loads(said(["podman", "container", "inspect", profile]) or "[]")
    container = inspected[0] if inspected else {}
    pid = container.get("State", {}).get("Pid")
    return {
        "image": container.get("ImageName", ""),
        "image_id": container.get("Image", ""),
        "image_digest": container.get("ImageDigest", ""),
        "argv": read(f"/proc/{pid}/cmdline").rstrip("\0").split("\0") if pid else [],
        "unit_sha256": hashlib.sha256(read(file).encode()).hexdigest(),
        "models": [look_at(Path(model)) for model in models],
    }


def look_at(model: Path) -> dict[str, Any]:
    """Return a model file's path, size and mtime, and its SHA-256 where it was verified and has not changed since."""
    try:
        status = model.stat()
    except OSError:
        return {"path": str(model)}
    found: dict[str, Any] = {"path": str(model), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    blob = model.resolve()
    record = blob.parents[1] / ".gpubox" / f"{blob.name}.verified" if model.is_symlink() else None
    if record is not None and record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if (known.get("size"), known.get("mtime_ns")) == (status.st_size, status.st_mtime_ns):
            found["sha256"] = known["sha256"]
    return found


def read(path: str) -> str:
    """Return a file's text; empty where it can't be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def said(argv: list[str]) -> str:
    """Return what a program prints; empty where it fails."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def lease_over(*_: object) -> NoReturn:
    """End, also in the middle of a print that nobody takes."""
    sys.exit(1)


def main() -> None:
    """Hold the lock and watch.

    Told as JSON in the first argument: `who` measures, the files `lock` and `note`, `sources` whose texts are facts of the
    box, and nvidia-smi's `gpu_fields` and `gpu_query`: what it is asked once, and once a second.
    """
    told = json.loads(sys.argv[-1])
    signal.signal(signal.SIGALRM, lease_over)
    signal.alarm(LEASE_S)
    lock, note = Path(told["lock"]), Path(told["note"])
    lock.parent.mkdir(parents=True, exist_ok=True)
    note.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            tell("busy", text=read(str(lock)))
            return
        file.truncate(0)
        file.write(told["who"])
        file.flush()
        siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
        query = ["nvidia-smi", f"--query-gpu={told['gpu_fields']}", "--format=csv,noheader,nounits"]
        tell(
            "begin",
            sources={path: read(f"/{path}") for path in told["sources"]},
            siblings=[read(str(path)).strip() for path in siblings],
            gpus=said(query),
            python=sys.version.partition(" ")[0],
            note=json.loads(read(str(note)) or "null"),
        )
        watch = Watch(note, told["gpu_query"])
        try:
            watch.run()
        finally:
            watch.close()


if __name__ == "__main__":
    main()
