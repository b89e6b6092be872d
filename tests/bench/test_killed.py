"""A benchmark that is killed -9 at any moment loses no sample that it told of, doubles none and mixes none.

GPUBOX_KILLS says how often; 8 times by default, 100 take two minutes.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

from cli.console import Console
from gpubox.results.store import Store
from standin.start import standin

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("GPUBOX_KILLS", "8"))
EFFORT = ("--pp", "64", "--tg", "16", "--reps", "1000", "--target", "0.0001")
TOLD = re.compile(r": pp64\+tg16 +(?:warm-up|\d+ of)")


def kill_at_random(console: Console, url: str, delay_s: float) -> int:
    """Start a benchmark and kill it `delay_s` after its first sample; return of how many samples it told."""
    process = console.start("bench", "--endpoint", url, *EFFORT, "--db", "r.db")
    assert process.stderr is not None
    told = 0
    for line in process.stderr:
        if TOLD.search(line):
            told += 1
            break
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, rest
    return told + len(TOLD.findall(rest))


def test_killed_at_random_it_loses_doubles_and_mixes_nothing(tmp_path: Path) -> None:
    moments = random.Random(20261126)
    console, database = Console(tmp_path), tmp_path / "r.db"
    told = []
    with standin() as url:
        for _ in range(KILLS):
            told.append(kill_at_random(console, url, moments.uniform(0, 0.4)))
            with sqlite3.connect(database) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    with Store.open(str(database)) as store:
        runs = store.runs()[::-1]
        assert [run.status for run in runs] == ["interrupted"] * KILLS
        begun = [run.started_at for run in runs]
        assert begun == sorted(begun)
        for number, (run, count) in enumerate(zip(runs, told, strict=True)):
            samples = store.samples(run.id)
            assert [sample.index for sample in samples] == list(range(len(samples)))
            # It tells of a sample when that is on the disk, so at most the last one was not told of.
            assert count <= len(samples) <= count + 1
            assert len({sample.extra["prompt_sha256"] for sample in samples}) == len(samples)
            at = [_moment(sample.started_at) for sample in samples]
            assert at == sorted(at)
            assert _moment(run.started_at) <= at[0]
            assert number + 1 == KILLS or at[-1] <= _moment(runs[number + 1].started_at)
    # The same seed asks the same again: each run's first samples are those of every other.
    with Store.open(str(database)) as store:
        first = {tuple(sample.extra["prompt_sha256"] for sample in store.samples(run.id)[:1]) for run in runs}
    assert len(first) == 1


def _moment(iso: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(iso).timestamp()
