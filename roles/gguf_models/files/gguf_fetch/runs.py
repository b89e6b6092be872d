"""A fetch that outlives whoever started it: `start` detaches it, `watch` tells how far it is.

Each run keeps one JSON file, `{"state": "running"|"done"|"failed", "line": …, "log": …}`, and holds a lock on a second
one for as long as it lives; so a run that was killed can't look like one that is still at work.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .cache import write_whole
from .errors import FetchError

POLL_S = 0.2
LOG_LINES = 15
DELETED = "the run was deleted; what is there is kept, run again to go on"


def start(manifest: Path) -> Path:
    """Start a fetch in a session of its own, unless one of the same manifest is at work already.

    Returns:
        The run's JSON file; `watch` takes it.
    """
    folder = manifest.parent / "runs"
    folder.mkdir(exist_ok=True)
    _forget_ended(folder)
    key = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
    for run in folder.glob(f"*-{key}.json"):
        if _alive(run):
            return run
    run = folder / f"{time.time_ns()}-{key}.json"
    lock = _lock_of(run).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    write_whole(run, json.dumps({"state": "running", "line": "starts"}))
    with run.with_suffix(".log").open("w") as log, lock:
        # The child inherits the lock: there is no moment in which the run is alive and the lock is free.
        subprocess.Popen(
            [sys.executable, "-B", "-m", __package__, "fetch", str(manifest), "--run", str(run)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock.fileno()],
            cwd=Path(__file__).parent.parent,
        )
    return run


def watch(run: Path, wait_s: float) -> dict[str, Any]:
    """Return the run's state, when it ends or after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while True:
        alive = _alive(run)
        try:
            state: dict[str, Any] = json.loads(run.read_text())
        except FileNotFoundError:
            return {"state": "failed", "line": f"{run}: {DELETED}"}
        if not alive and state["state"] == "running":
            tail = run.with_suffix(".log").read_text().splitlines()[-LOG_LINES:]
            state = {"state": "failed", "line": f"ended without a word after: {state['line']}; run again", "log": tail}
        if not alive or time.monotonic() >= deadline:
            return state
        time.sleep(POLL_S)


def report(run: Path, state: str, line: str) -> None:
    """Write down how far a run is, from inside it.

    Raises:
        FetchError: somebody deleted the run, which is how to end it.
    """
    if not run.exists():
        raise FetchError(str(run), DELETED)
    write_whole(run, json.dumps({"state": state, "line": line}))


def _alive(run: Path) -> bool:
    try:
        with _lock_of(run).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _lock_of(run: Path) -> Path:
    return run.with_suffix(".lock")


def _forget_ended(folder: Path) -> None:
    """Delete the files of ended runs but the last, whose log may still be wanted."""
    runs = sorted(folder.glob("*.json"))
    for run in runs[:-1]:
        if not _alive(run):
            for suffix in (".json", ".log", ".lock"):
                run.with_suffix(suffix).unlink(missing_ok=True)
