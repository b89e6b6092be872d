"""A benchmark of a box is planned, and what is missing of it is measured once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.bench.plan import Entry, Plan, make_plan, missing
from gpubox.errors import EndpointError, GpuboxError
from gpubox.profile_files import LoadedProfile, load_profile
from gpubox.record import Run, Workload
from results.records import a_run

if TYPE_CHECKING:
    from pathlib import Path

SHORT, LONG = Workload("pp512+tg64", 512, 64), Workload("pp8000+tg64", 8000, 64)
PLAN = Plan("b1", "box", (Entry("a", "a", "h1", (SHORT, LONG)), Entry("b", "b", "h2", (SHORT,))), rounds=2)


def a_profile(folder: Path, name: str, server: str) -> LoadedProfile:
    path = folder / f"{name}.yml"
    path.write_text(f"model: {{path: /m.gguf}}\nengine: {{name: llama_cpp}}\nserver: {server}\n")
    return load_profile(str(path))


def done(profile: str, workload: Workload) -> Run:
    return a_run(f"{profile}-{workload.name}", profile=profile, workload=workload, status="done")


def in_words(runs: list[Run]) -> list[tuple[int, str, list[str]]]:
    return [(step.round, step.entry.name, [one.name for one in step.workloads]) for step in missing(PLAN, runs)]


def test_rounds_take_turns() -> None:
    both, one = [SHORT.name, LONG.name], [SHORT.name]
    assert in_words([]) == [(1, "a", both), (1, "b", one), (2, "a", both), (2, "b", one)]


def test_what_is_measured_is_not_measured_again() -> None:
    runs = [done("a", SHORT), done("a", LONG), done("b", SHORT), done("a", SHORT)]
    assert in_words(runs) == [(2, "a", [LONG.name]), (2, "b", [SHORT.name])]


@given(st.integers(0, 6))
def test_steps_done_in_order_leave_the_rest_in_order(count: int) -> None:
    every = [(step.entry.name, one) for step in missing(PLAN, []) for one in step.workloads]
    runs = [done(name, workload) for name, workload in every[:count]]
    assert [(step.entry.name, one) for step in missing(PLAN, runs) for one in step.workloads] == every[count:]


def test_what_serves_already_is_measured_first_since_it_is_loaded() -> None:
    steps = missing(PLAN, [], serving={"b"})
    assert [(step.round, step.entry.name) for step in steps] == [(1, "b"), (1, "a"), (2, "b"), (2, "a")]


def test_a_plan_survives_json() -> None:
    assert Plan.of_dict(json.loads(json.dumps(PLAN.as_dict()))) == PLAN


def test_what_a_slot_of_the_context_cannot_hold_is_left_out_and_said(tmp_path: Path) -> None:
    small = a_profile(tmp_path, "small", "{ctx_size: 16000, parallel: 2}")
    plan, left_out = make_plan("b", "box", [("small", small, [SHORT, LONG])])
    assert plan.entries == (Entry("small", "small", small.hash, (SHORT,)),)
    assert left_out == ["small: pp8000+tg64 is left out: 8064 tokens exceed its context of 8000"]
    with pytest.raises(EndpointError) as error:
        make_plan("b", "box", [("small", small, [LONG])])
    assert str(error.value) == (
        "small: no workload fits its context of 8000 tokens; ask for fewer tokens, or raise ctx_size in the profile"
    )


def test_a_profile_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    one = a_profile(tmp_path, "one", "{ctx_size: 0}")
    with pytest.raises(GpuboxError) as error:
        make_plan("b", "box", [("one", one, [LONG]), ("one", replace(one), [LONG])])
    assert str(error.value) == "one: is named twice; to measure in turns, add --interleave"
