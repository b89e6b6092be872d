"""Fetches that outlive whoever started them."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from fetch.box import Box, model
from gguf_fetch import runs

if TYPE_CHECKING:
    from pathlib import Path

    from hub.server import Hub

PATIENCE_S = 30.0


def line_with(run: Path, text: str) -> str:
    """Wait until a run's line holds a text."""
    deadline = time.monotonic() + PATIENCE_S
    while text not in (line := runs.watch(run, 0)["line"]):
        assert time.monotonic() < deadline, line
        time.sleep(0.05)
    return str(line)


def process_of(box: Box) -> int:
    """Return the process that holds the cache."""
    text = (box.cache / ".locks/gpubox-fetch.lock").read_text()
    return int(re.findall(r"process (\d+)", text)[0])


def test_a_started_fetch_is_watched_to_its_end(box: Box) -> None:
    box.wants(model("org/open", "a.gguf"))
    run = box.start_run()
    assert runs.watch(run, PATIENCE_S) == {"state": "done", "line": "in place: org/open/a.gguf"}
    assert box.run("verify", "--quick")[0] == 0


def test_watching_ends_with_its_time_and_tells_how_far_it_is(box: Box, hub: Hub) -> None:
    hub.faults.bytes_per_s = 300_000
    box.wants(model("org/open", "a.gguf"))
    run = box.start_run()
    line = line_with(run, "MB/s")
    assert re.fullmatch(r"\d+ %, 0\.00\d of 0\.002 GB, \d MB/s, \d+ s left", line)
    assert runs.watch(run, 0)["state"] == "running"
    hub.faults.bytes_per_s = None
    assert runs.watch(run, PATIENCE_S)["state"] == "done"


def test_a_failure_carries_its_whole_message(box: Box, hub: Hub) -> None:
    box.wants(model("org/none", "a.gguf"))
    fault = (
        f"{hub.endpoint}/org/none: not there, or private; "
        "put a token that may read it into gguf_models_token_file, or mend the repository's name"
    )
    assert runs.watch(box.start_run(), PATIENCE_S) == {"state": "failed", "line": fault}


def test_starting_twice_watches_the_same_run(box: Box, hub: Hub) -> None:
    hub.faults.bytes_per_s = 1_000_000
    box.wants(model("org/open", "a.gguf"))
    run = box.start_run()
    assert box.start_run() == run
    assert runs.watch(run, PATIENCE_S)["state"] == "done"
    assert box.start_run() != run


def test_a_changed_manifest_starts_a_run_of_its_own_that_waits_for_the_first(box: Box, hub: Hub) -> None:
    hub.faults.bytes_per_s = 1_000_000
    box.wants(model("org/open", "a.gguf"))
    first = box.start_run()
    line_with(first, "GB")
    box.wants(model("org/open", "a.gguf", "b.gguf"))
    second = box.start_run()
    assert "waits for process" in line_with(second, "waits")
    assert runs.watch(second, PATIENCE_S) == {"state": "done", "line": "in place: org/open/b.gguf"}
    assert runs.watch(first, 0)["state"] == "done"


def test_a_killed_run_is_not_taken_for_one_at_work(box: Box, hub: Hub) -> None:
    hub.faults.bytes_per_s = 300_000
    box.wants(model("org/open", "a.gguf"))
    run = box.start_run()
    line_with(run, "MB/s")
    os.kill(process_of(box), signal.SIGKILL)
    state = runs.watch(run, PATIENCE_S)
    last = json.loads(run.read_text())["line"]
    assert state == {"state": "failed", "line": f"ended without a word after: {last}; run again", "log": []}


def test_deleting_the_run_ends_it(box: Box, hub: Hub) -> None:
    hub.faults.bytes_per_s = 300_000
    box.wants(model("org/open", "a.gguf"))
    run = box.start_run()
    line_with(run, "MB/s")
    log = run.with_suffix(".log")
    run.unlink()
    assert runs.watch(run, PATIENCE_S) == {
        "state": "failed",
        "line": f"{run}: the run was deleted; what is there is kept, run again to go on",
    }
    deadline = time.monotonic() + PATIENCE_S
    while not log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert log.read_text() == f"{run}: the run was deleted; what is there is kept, run again to go on\n"


def test_files_of_ended_runs_but_the_last_are_forgotten(box: Box) -> None:
    box.wants(model("org/open", "a.gguf"))
    started: list[Any] = []
    for _ in range(3):
        started.append(box.start_run())
        runs.watch(started[-1], PATIENCE_S)
    kept = sorted(path.name for path in started[0].parent.iterdir())
    assert kept == sorted(run.with_suffix(s).name for run in started[1:] for s in (".json", ".log", ".lock"))
