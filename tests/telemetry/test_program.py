"""The program on a box holds the lock while somebody listens, and tells what nvidia-smi says in its own loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpubox.bench.gpu_readings import FIELDS
from gpubox.host_facts import SOURCES
from gpubox.telemetry import program
from gpubox.telemetry.box_watch import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterator

SMI = """#!/bin/sh
case "$*" in
*compute-apps*) echo "GPU-aaaa, $PPID, /usr/bin/serve, a, 400"; sleep 60 ;;
*clocks_event*) echo 'Field "clocks_event_reasons.active" is not a valid field to query.'; exit 2 ;;
*--loop-ms=1000*) while :; do echo "0, GPU-aaaa, 400, 97, 300.25, 2400, 61, 0x0000000000000004"; sleep 0.3; done ;;
*) echo "0, GPU-aaaa, Stand-in, 97887, 12.0, 00000000:01:00.0, 570.1" ;;
esac
"""


class Program:
    """The program, started as on a box, in a folder of its own.

    Args:
        folder: for its lock, its note, and an nvidia-smi.
        who: measures.
    """

    def __init__(self, folder: Path, who: str = "ann") -> None:
        source = Path(program.__file__).read_bytes()
        told = {
            "who": who,
            "lock": f"{folder}/lock",
            "note": f"{folder}/note",
            "sources": SOURCES,
            "gpu_fields": "index",
            "gpu_query": ",".join(FIELDS),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-ISB", "-c", LOADER, str(len(source)), json.dumps(told)],
            env={"PATH": f"{folder}:{os.environ['PATH']}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._send(source)

    def order(self, do: str, **more: Any) -> None:
        self._send(json.dumps({"do": do, **more}).encode() + b"\n")

    def _send(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def next(self, event: str) -> dict[str, Any]:
        """Return the next event of a kind."""
        assert self.process.stdout
        while line := self.process.stdout.readline():
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        raise AssertionError(f"ended without {event}")

    def end(self) -> int:
        """Hang up and wait for its end."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(timeout=10)

    def clear_away(self) -> None:
        """Kill it where it still runs."""
        self.process.kill()
        with self.process:
            pass


class Start:
    """Starts programs and clears them away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Program] = []

    def __call__(self, who: str = "ann") -> Program:
        self.started.append(Program(self._folder, who))
        return self.started[-1]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    made = Start(folder)
    yield made
    for one in made.started:
        one.clear_away()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    return tmp_path


def test_it_begins_with_the_facts_of_the_box(start: Start) -> None:
    running = start()
    begin = running.next("begin")
    assert begin["sources"]["proc/meminfo"] == "" or "MemTotal" in begin["sources"]["proc/meminfo"]
    assert set(begin["sources"]) == set(SOURCES)
    assert (begin["gpus"], begin["note"]) == ("0, GPU-aaaa, Stand-in, 97887, 12.0, 00000000:01:00.0, 570.1\n", None)
    assert running.end() == 0


def test_an_older_driver_is_asked_by_the_older_name_and_told_once_a_second(start: Start) -> None:
    running = start()
    tick = running.next("tick")
    while not any(line.startswith("0, ") for line in tick["gpus"]):
        tick = running.next("tick")
    assert tick["gpus"][-1] == "0, GPU-aaaa, 400, 97, 300.25, 2400, 61, 0x0000000000000004"
    assert set(tick["memory"]) == {"MemTotal", "MemAvailable", "Cached", "Dirty"}
    assert running.next("tick")["at"] - tick["at"] == pytest.approx(1.0, abs=0.9)
    running.end()


def test_who_holds_memory_of_a_gpu_is_told_with_its_cgroup(start: Start) -> None:
    running = start()
    tick = running.next("tick")
    while not tick["apps"]:
        tick = running.next("tick")
    cgroup = Path(f"/proc/{running.process.pid}/cgroup").read_text()
    assert tick["apps"] == [{"uuid": "GPU-aaaa", "pid": running.process.pid, "name": "serve, a", "cgroup": cgroup}]
    running.end()


def test_a_second_one_is_told_who_is_first_and_comes_in_when_that_has_ended(start: Start) -> None:
    first = start()
    first.next("begin")
    second = start("bob")
    assert second.next("busy")["text"] == "ann"
    assert second.end() == 0
    first.end()
    third = start("bob")
    assert third.next("begin")["note"] is None
    third.end()


def test_a_note_outlives_it_until_it_is_removed(start: Start, folder: Path) -> None:
    first = start()
    first.order("note", note={"active": ["one"]})
    first.next("noted")
    first.process.kill()
    first.end()
    second = start()
    assert second.next("begin")["note"] == {"active": ["one"]}
    second.order("note", note=None)
    second.next("noted")
    second.end()
    assert not (folder / "note").exists()


def test_it_ends_what_it_has_started(start: Start) -> None:
    running = start()
    running.next("tick")
    listed = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    # One of GPUs and one of programs on them; a stand-in that refuses a question is asked another one.
    while len(children := listed.read_text().split()) != 2:
        running.next("tick")
    running.end()
    time.sleep(0.1)
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []


def test_a_model_that_was_verified_is_known_by_its_hash_until_it_changes(tmp_path: Path) -> None:
    blobs, own = tmp_path / "repo" / "blobs", tmp_path / "repo" / ".gpubox"
    blobs.mkdir(parents=True)
    own.mkdir()
    blob, link = blobs / "etag", tmp_path / "repo" / "model.gguf"
    blob.write_bytes(b"GGUF")
    link.symlink_to(blob)
    status = blob.stat()
    known = {"sha256": "ab" * 32, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    (own / "etag.verified").write_text(json.dumps(known))
    file = {"path": str(link), "size": 4, "mtime_ns": status.st_mtime_ns}
    assert program.look_at(link) == file | {"sha256": "ab" * 32}
    os.utime(blob, ns=(0, 0))
    assert program.look_at(link) == file | {"mtime_ns": 0}
    assert program.look_at(tmp_path / "none.gguf") == {"path": str(tmp_path / "none.gguf")}
