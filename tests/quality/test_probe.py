"""What is told of a long answer: where it first goes wrong, in the record, in the results and beside another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.console import Console
from quality.test_first_fault import LONG, fenced
from standin.start import standin

# The stand-in's tokens are words; what is blank after the last of them is one, too.
TOKENS = len(fenced(LONG).split()) + 1
WORKLOAD = "measure: [{text: long-code, generate: 8192, check: python, max_reps: 1}]\n"
WRONG = LONG.replace("def step_150(value", "def step_150 value")


@pytest.fixture
def probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with a run of a server whose code is right, and of one that goes wrong in its 150th function."""
    monkeypatch.chdir(tmp_path)
    Path("w.yml").write_text(WORKLOAD)
    for name, code in (("right", fenced(LONG)), ("wrong", fenced(WRONG))):
        Path(f"{name}.txt").write_text(code)
        with standin("--say", f"{name}.txt", "--tg", "20000") as url:
            done = Console(Path.cwd()).run("bench", "--endpoint", url, "--workload", "w.yml", "--db", "r.db")
        assert done.returncode == 0, done.stderr
    return tmp_path / "r.db"


def faults(result: dict[str, Any]) -> list[str]:
    """Return the flags that tell a fault of the answer; a busy machine has others."""
    return [flag for flag in result["flags"] if flag.startswith("fault after")]


def test_the_first_fault_is_told_by_tokens_and_line(probed: Path) -> None:
    found = json.loads(Console(Path.cwd()).run("results", "--json", "--db", str(probed)).stdout)["results"]
    right, wrong = found
    whole = TOKENS
    before = fenced(WRONG).partition("def step_150")[0]
    assert right["clean_tokens"]["mean"] == whole
    assert faults(right) == []
    assert wrong["clean_tokens"]["mean"] == len(before.split())
    (flag,) = faults(wrong)
    assert flag.startswith(f"fault after {len(before.split())} tokens (line {before.count(chr(10)) + 1}): syntax: ")


def test_beside_each_other_both_are_told(probed: Path) -> None:
    printed = Console(Path.cwd()).run("compare", "latest~1", "latest", "--db", str(probed)).stdout
    (line,) = [line for line in printed.splitlines() if line.startswith("Quality: ")]
    whole, clean = TOKENS, len(fenced(WRONG).partition("def step_150")[0].split())
    assert line.startswith(f"Quality: A has no fault in {whole} tokens; B has a fault after {clean} tokens (line ")
    assert f"no fault in {whole} tokens" in Console(Path.cwd()).run("report", "--db", str(probed)).stdout
    assert f"fault after {clean} tokens" in Console(Path.cwd()).run("report", "--db", str(probed)).stdout


def test_what_is_reasoned_before_the_answer_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yml").write_text(WORKLOAD)
    Path("say.txt").write_text("<think>First ```python def ( ``` hm.</think>\n" + fenced(LONG))
    with standin("--say", "say.txt", "--tg", "20000") as url:
        done = Console(Path.cwd()).run("bench", "--endpoint", url, "--workload", "w.yml", "--db", "r.db", "--json")
    assert faults(json.loads(done.stdout)["results"][0]) == []


def test_sampled_as_the_profile_says_no_temperature_is_sent() -> None:
    from gpubox.bench.measure import Request

    greedy = Request("chat", "x", 1, 1, 0, "measured", known_engine=True, rtt_ms=0.0, whole=False)
    drawn = Request("chat", "x", 1, 1, 0, "measured", known_engine=True, rtt_ms=0.0, whole=False, seed=7)
    assert greedy.body()["temperature"] == 0
    assert "temperature" not in drawn.body()
    assert drawn.body()["seed"] == 7
