"""Fetches that are killed, that meet, or that run out of disk: right bytes in the end, nothing half-made taken for whole.

GPUBOX_KILLS says how often one is killed; 15 times by default.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fetch.box import PROGRAM, REVISION, Box, model
from fetch.conftest import SIZE
from gguf_fetch.cache import RepoCache
from gguf_fetch.download import Download
from gguf_fetch.hub import Hub as HubClient
from gguf_fetch.manifest import HubModel, WantedFile
from gguf_fetch.transfer import Transfer

if TYPE_CHECKING:
    from hub.server import Hub

KILLS = int(os.environ.get("GPUBOX_KILLS", "15"))
SEGMENT = 50_000


def bytes_kept(box: Box) -> int:
    """Count the bytes of partial files that a next run will not fetch again, and of whole ones."""
    kept: list[list[tuple[int, int]]] = [json.loads(path.read_text()) for path in box.cache.rglob("*.ranges")]
    whole = sum(path.stat().st_size for path in box.cache.glob("models--*/blobs/*"))
    return whole + sum(end - start for ranges in kept for start, end in ranges)


def test_kill_9_at_random_moments_loses_little_and_breaks_nothing(box: Box, hub: Hub, originals: Path) -> None:
    rng = random.Random(5)
    hub.faults.bytes_per_s = 400_000
    box.wants(model("org/open", "a.gguf", "b.gguf"))
    kept, finished = [0], 0
    for kill in range(KILLS):
        if all(box.snapshot("org/open", name).exists() for name in ("a.gguf", "b.gguf")):
            shutil.rmtree(box.cache)
            kept, finished = [0], finished + 1
        process = box.start()
        if kill % 3:  # else killed before, or while, it begins
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(rng.uniform(0, 0.9))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept.append(bytes_kept(box))
        for name in ("a.gguf", "b.gguf"):
            link = box.snapshot("org/open", name)
            assert not link.exists() or link.read_bytes() == (originals / name).read_bytes()
        assert kept == sorted(kept)
    assert finished or kept[-1] > SIZE / 2
    hub.faults.bytes_per_s = None
    status, _, err = box.run("fetch")
    assert (status, err) == (0, "")
    for name in ("a.gguf", "b.gguf"):
        assert box.snapshot("org/open", name).read_bytes() == (originals / name).read_bytes()
    assert [path for path in box.files() if path.endswith((".part", ".ranges"))] == []


def test_ctrl_c_keeps_what_is_there(box: Box, hub: Hub) -> None:
    hub.faults.bytes_per_s = 400_000
    box.wants(model("org/open", "a.gguf"))
    process = box.start()
    assert process.stdout is not None
    while "MB/s" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "interrupted; what is there is kept, run again to go on\n")
    assert bytes_kept(box) > 0


def test_of_two_fetches_the_second_waits_and_says_for_whom(box: Box, hub: Hub) -> None:
    hub.faults.bytes_per_s = 1_000_000
    box.wants(model("org/open", "a.gguf"))
    first = box.start()
    assert first.stdout is not None
    assert first.stdout.readline() == "fetches 0.002 GB\n"
    second = box.start()
    out, err = second.communicate()
    first.communicate()
    waits, end = out.splitlines()
    assert re.fullmatch(
        rf"{re.escape(str(box.cache))}: waits for process {first.pid} \(gguf_fetch fetch, since \d{{4}}-\S+\)", waits
    )
    assert (first.returncode, second.returncode, end, err) == (0, 0, "everything was in place", "")
    assert sum(asked.server == "store" for asked in hub.asked) == 1


def test_a_full_disk_is_named_and_a_rerun_goes_on(box: Box) -> None:
    box.wants(model("org/open", "a.gguf"))
    done = subprocess.run(
        [sys.executable, "-m", "gguf_fetch", "fetch", str(box.manifest)],
        cwd=PROGRAM,
        capture_output=True,
        text=True,
        check=False,
        # A limit on a file's size fails a write at the same place as a full disk does.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000)),
    )
    assert (done.returncode, done.stderr) == (
        1, f"{box.repo('org/open')}: File too large; make room; what is there is kept, run again to go on\n",
    )  # fmt: skip  # one result
    assert 0 < bytes_kept(box) <= 500_000
    assert box.run("fetch")[0] == 0


@pytest.mark.parametrize("ignore_ranges", [False, True])
@pytest.mark.parametrize("there", [[], [(0, 70_000)], [(300_000, 900_000), (1_500_000, 1_500_001)]])
def test_many_segments_and_holes_make_one_file(
    tmp_path: Path, hub: Hub, originals: Path, there: list[tuple[int, int]], *, ignore_ranges: bool
) -> None:
    original = (originals / "a.gguf").read_bytes()
    hub.faults.ignore_ranges = ignore_ranges
    client = HubClient(hub.endpoint, None)
    (file,) = client.describe(HubModel("org/open", REVISION, (WantedFile("a.gguf"),)))
    repo = RepoCache(tmp_path, "org/open")
    first = Download(file, repo)
    for start, end in there:
        first.write(start, memoryview(original[start:end]))
    first.keep_ranges()
    first.close()
    download = Download(file, repo)
    assert download.done == sum(end - start for start, end in there)
    Transfer(client, [download], connections=3, attempts=2, retry_wait_s=0.01, segment=SEGMENT).run(lambda *_: None)
    assert repo.snapshot(REVISION, "a.gguf").read_bytes() == original
    asked = [asked.range for asked in hub.asked if asked.server == "store"]
    assert len(asked) == (1 if ignore_ranges else len(segments(len(original), there)))


@pytest.mark.parametrize("names", [["a.gguf"], ["a.gguf", "b.gguf"]])
def test_as_many_connections_as_wanted_work_at_the_same_time(tmp_path: Path, hub: Hub, names: list[str]) -> None:
    hub.faults.bytes_per_s = 2_000_000
    client = HubClient(hub.endpoint, None)
    wanted = HubModel("org/open", REVISION, tuple(WantedFile(name) for name in names))
    repo = RepoCache(tmp_path, "org/open")
    downloads = [Download(file, repo) for file in client.describe(wanted)]
    Transfer(client, downloads, connections=3, attempts=2, retry_wait_s=0.01, segment=SEGMENT).run(lambda *_: None)
    assert hub.most_at_once >= 3  # the hub may notice the end of an answer later than the client


def segments(size: int, there: list[tuple[int, int]]) -> list[int]:
    """Return the starts of the segments that fill the holes."""
    edges = [0, *(edge for part in there for edge in part), size]
    return [at for start, end in zip(edges[::2], edges[1::2], strict=True) for at in range(start, end, SEGMENT)]


def test_no_thread_and_no_descriptor_is_left_over(box: Box) -> None:
    box.wants(model("org/open", "a.gguf", "b.gguf"))
    box.run("fetch")
    own = {thread.name for thread in threading.enumerate() if "Transfer" in thread.name}
    assert own == set()
    targets = [os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir()]
    assert [target for target in targets if target.startswith(str(box.cache))] == []
