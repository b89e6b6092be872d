"""The demo, with a real llama.cpp: it measures, compares, adds to the history, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from cli.console import Console

if TYPE_CHECKING:
    from pathlib import Path

TWICE = 2


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Console:
    return Console(tmp_path_factory.mktemp("demo"))


def servers_of(folder: Path) -> list[str]:
    """Return the command lines of processes that serve the demo's model of this folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line and "llama_launcher" in line]


def test_the_demo_measures_compares_and_adds_to_the_history(console: Console) -> None:
    for round_number in range(1, TWICE + 1):
        done = console.run("demo", "--reps", "3")
        assert done.returncode == 0, done.stderr
        steps = [line for line in done.stderr.splitlines() if line.endswith("stopped")]
        assert steps == ["demo: stopped", "demo-small-batch: stopped"]
        assert re.search(
            r"^PP t/s +\S+ ±\S+ +\S+ ±\S+ +(B is (slower|faster) by|no difference can be claimed)",
            done.stdout,
            re.MULTILINE,
        )
        assert re.search(r"^profile\.server\.ubatch_size +512 +32$", done.stdout, re.MULTILINE)
        assert f"results.db ({2 * round_number} runs so far)" in done.stdout
    results = json.loads(console.run("results", "--json").stdout)["results"]
    assert [result["profile"] for result in results].count("demo") == TWICE
    assert {result["status"] for result in results} == {"done"}
    assert servers_of(console.folder) == []


@pytest.mark.parametrize("seconds", [0.3, 1.5, 3.0])
def test_ctrl_c_leaves_no_server_behind(console: Console, seconds: float) -> None:
    with console.start("demo", "--reps", "100") as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (130, "gpubox: interrupted")
    assert servers_of(console.folder) == []
    results = json.loads(console.run("results", "--json").stdout)["results"]
    assert {result["status"] for result in results} <= {"done", "interrupted"}
