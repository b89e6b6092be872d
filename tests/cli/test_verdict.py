"""`gpubox verdict mtp` end to end: servers whose time of a token, time of a round and draft counts are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.console import Console
from standin.start import standin

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_MS = 4.0
QUICK = ("--pp", "64", "--tg", "66", "--reps", "3")


def measured(console: Console, *options: str) -> str:
    """Measure a stand-in and return the run's id."""
    with standin("--engine", "ik_llama", *options) as url:
        done = console.run("bench", "--endpoint", url, "--route", "chat", *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    run_id: str = result["run"]
    return run_id


def verdict(console: Console, *options: str) -> dict[str, Any]:
    without = measured(console, "--tg", str(1e3 / TOKEN_MS))
    with_drafts = measured(console, "--drafted", "4", *options)
    done = console.run("verdict", "mtp", with_drafts, without, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["mtp"]
    return dict(found)


@pytest.mark.parametrize("drops", [[], ["--drops"]])
def test_with_known_draft_counts_the_acceptance_is_exact(tmp_path: Path, drops: list[str]) -> None:
    found = verdict(Console(tmp_path), "--accepted", "3", "--round-ms", "24", *drops)
    drafting = found["drafting"]
    # 66 tokens are one and 16 whole rounds of 4, and one more token: with drops a 17th round, 3 tokens of which are lost.
    rounds, tokens = 17, 65
    assert drafting["server_acceptance"] == 0.75
    assert drafting["tokens_per_round"] == tokens / rounds
    if drops:
        assert drafting["acceptance"] == (tokens - rounds) / (rounds * 4)
        assert drafting["drafts_per_round"] == 4
    else:
        assert drafting["acceptance"] == 0.75
        assert drafting["drafts_per_round"] == 64 / 17
    assert drafting["cost"] == pytest.approx(drafting["round_ms"] / drafting["token_ms"])


def test_a_round_that_costs_more_than_its_tokens_can_never_help(tmp_path: Path) -> None:
    console = Console(tmp_path)
    found = verdict(console, "--drafted", "1", "--accepted", "1", "--round-ms", "24")
    assert found["drafting"]["server_acceptance"] == 1
    assert found["drafting"]["can_never_help"] is True
    assert found["verdict"].startswith("MTP hurts by ")
    done = console.run("compare", "latest~1", "latest")
    assert f"Verdict: {found['verdict']}.\n" in done.stdout
    shown = console.run("verdict", "mtp", "latest", "latest~1").stdout.splitlines()
    assert " ".join(shown[0].split()) == (
        "WORKLOAD TG t/s WITHOUT TG t/s WITH ACCEPTANCE BREAK-EVEN DRAFTS A ROUND TOKENS A ROUND TOKEN ms ROUND ms ROUND / TOKEN"
    )
    assert f"pp64+tg66: {found['verdict']}" in shown


def test_how_far_rounds_get_is_told_from_when_their_tokens_arrive(tmp_path: Path) -> None:
    console = Console(tmp_path)
    found = verdict(console, "--accepted", "3", "--round-ms", "60")
    # Each round of 4 drafts accepts 3 of them.
    assert found["accepted_at_least"] == [1, 1, 1, 0]
    shown = console.run("verdict", "mtp", "latest", "latest~1").stdout.splitlines()
    told = "at least 1 in 100 % of the rounds, 2 in 100 %, 3 in 100 %, 4 in 0 %"
    assert shown[-1] == f"pp64+tg66: accepted were {told}"
