"""Two selections side by side, and the names that select them."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from gpubox.errors import UnknownRunError
from gpubox.results.compare import Input, compare, compare_runs
from gpubox.results.selection import Selection, select
from gpubox.results.store import Store
from results.records import WORKLOAD, a_run, a_sample, at, keep, series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpubox.record import Sample

LONG = replace(WORKLOAD, name="pp32768+tg128", n_prompt=32768)
A_RATES, B_RATES = [20.0, 15.0, 22.0, 17.0, 19.0], [20.5, 15.4, 22.6, 17.5, 19.4]


def in_turns(rates: list[float], first: float) -> list[Sample]:
    """Return samples that start every two minutes from `first` seconds on."""
    return [a_sample(i, tg=rate, started_at=at(first + 120 * i)) for i, rate in enumerate(rates)]


def test_runs_of_one_batch_that_alternate_are_paired_by_repetition() -> None:
    pair = compare_runs(a_run("r1"), a_run("r2"), in_turns(A_RATES, 0), in_turns(B_RATES, 60))
    assert pair.how == "paired by repetition, measured in turns"
    assert [(row.metric.key, row.verdict) for row in pair.rows] == [
        ("pp_tps", "no difference can be claimed (95 % CI +0.0 to +0.0 %)"),
        ("tg_tps", "B is faster by 2.6 % (95 % CI 2.1 to 3.1)"),
        ("ttft_ms", "no difference can be claimed (95 % CI +0.0 to +0.0 %)"),
        ("draft_acceptance", "no difference can be claimed (95 % CI +0.0 to +0.0 %)"),
    ]


@pytest.mark.parametrize(
    ("batch", "start"), [("batch-1", 3600.0), ("batch-2", 60.0)], ids=["one after the other", "another batch"]
)
def test_other_runs_are_not_paired(batch: str, start: float) -> None:
    pair = compare_runs(a_run("r1"), a_run("r2", batch=batch), in_turns(A_RATES, 0), in_turns(B_RATES, start))
    assert pair.how == "unpaired, not measured in turns"
    assert pair.rows[1].verdict == "no difference can be claimed (95 % CI -17.6 to +27.7 %)"


def test_a_repetition_that_is_invalid_on_one_side_is_left_out_on_both() -> None:
    a, b = in_turns(A_RATES, 0), in_turns(B_RATES, 60)
    b[0] = replace(b[0], faults=("short",))
    warm = a_sample(0, kind="warmup", started_at=at(-60))
    pair = compare_runs(a_run("r1"), a_run("r2"), [warm, *a], b)
    told = pair.rows[1].difference
    assert told is not None
    assert (told.n_a, told.n_b, told.paired) == (4, 4, True)
    assert told.percent == pytest.approx((sum(B_RATES[1:]) / sum(A_RATES[1:]) - 1) * 100)


def test_a_lower_ttft_is_faster() -> None:
    a = [a_sample(i, ttft_ms=1000.0 + i) for i in range(5)]
    b = [a_sample(i, ttft_ms=900.0 + i) for i in range(5)]
    pair = compare_runs(a_run("r1"), a_run("r2", batch="batch-2"), a, b)
    assert pair.rows[2].verdict == "B is faster by 10.0 % (95 % CI 9.8 to 10.2)"


def test_a_side_without_a_value_is_named_and_a_metric_without_any_is_left_out() -> None:
    a = [a_sample(i, draft_n=None, ttft_ms=None) for i in range(3)]
    b = [a_sample(i, ttft_ms=None) for i in range(3)]
    pair = compare_runs(a_run("r1"), a_run("r2"), a, b)
    assert [row.metric.key for row in pair.rows] == ["pp_tps", "tg_tps", "draft_acceptance"]
    assert pair.rows[-1].verdict == "no difference can be claimed (A has no value)"


def test_no_accepted_draft_at_all_is_compared_without_a_relative_difference() -> None:
    a = [a_sample(i, draft_n_accepted=0) for i in range(3)]
    pair = compare_runs(a_run("r1"), a_run("r2"), a, series([20, 20, 20]))
    assert pair.rows[-1].verdict == "no difference can be claimed (the mean of A is 0)"


def test_inputs_that_differ_are_named_by_their_path_with_both_values() -> None:
    a = a_run("r1")
    b = a_run(
        "r2",
        profile_document={
            "server": {"ctx_size": 65536, "cache_type_k": "q8_0", "merge_qkv": True},
            "gpus": "all",
            "speculative": [{"type": "mtp", "n_max": 4}],
        },
        argv=("llama-server", "-c", "65536"),
        engine=a.engine | {"build": "aaaaaaa"},
        model=a.model | {"sha256": "00" * 32},
        host=a.host | {"driver": "590.10", "gpus": ["RTX PRO 6000"]},
        workload=replace(WORKLOAD, seed=2),
        tool_version="0.2.0",
    )
    assert compare_runs(a, b, [], []).inputs == (
        Input("profile.server.ctx_size", 131072, 65536),
        Input("engine.build", "29a54f4", "aaaaaaa"),
        Input("model.sha256", "ab" * 32, "00" * 32),
        Input("host.gpus", ["RTX PRO 6000"] * 2, ["RTX PRO 6000"]),
        Input("host.driver", "580.95", "590.10"),
        Input("workload.seed", 1, 2),
        Input("gpubox", "0.1.0", "0.2.0"),
        Input("profile.server.merge_qkv", "absent", True),
        Input("profile.speculative[0].type", "absent", "mtp"),
        Input("profile.speculative[0].n_max", "absent", 4),
    )


def test_without_a_profile_the_command_lines_are_compared() -> None:
    bare = a_run("r2", profile=None, profile_document={}, argv=("llama-server",))
    assert compare_runs(a_run("r1"), bare, [], []).inputs == (
        Input("argv", ["llama-server", "-c", "131072"], ["llama-server"]),
    )


def test_equal_runs_have_no_input_that_differs() -> None:
    assert compare_runs(a_run("r1"), a_run("r2"), [], []).inputs == ()


def test_a_regression_is_a_loss_over_the_limit_with_an_interval_beyond_zero() -> None:
    slow, noisy = series([19.0, 19.02, 18.98, 19.01]), series([10.0, 24.0, 16.0, 20.0])
    usual = series([20.0, 20.02, 19.98, 20.01])

    def regressed(a: list[Sample], b: list[Sample], percent: float) -> list[str]:
        runs = a_run("r1"), a_run("r2", batch="batch-2")
        sides = Selection("a", runs[:1]), Selection("b", runs[1:])
        told = compare(*sides, {"r1": a, "r2": b}).regressions(percent)
        return [row.metric.key for _, row in told]

    assert regressed(usual, slow, 3) == ["tg_tps"]
    assert regressed(usual, slow, 6) == []
    assert regressed(usual, noisy, 3) == []
    assert regressed(slow, usual, 0) == []
    later = [replace(s, ttft_ms=(s.ttft_ms or 0) * 1.1 + s.index) for s in usual]
    assert regressed([replace(s, ttft_ms=(s.ttft_ms or 0) + s.index) for s in usual], later, 3) == ["ttft_ms"]
    fewer = [replace(s, draft_n_accepted=20) for s in usual]
    assert regressed(usual, fewer, 3) == []


def answering(*texts: str) -> list[Sample]:
    """Return one sample per answer, to prompts that are the same in every list."""
    return [
        a_sample(
            index,
            answer_sha256=sha256(text.encode()).hexdigest(),
            extra={"prompt_sha256": f"prompt {index}", "answer": text},
        )
        for index, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("b", "sentence"),
    [
        (["one two three", "four"], "the same answers to all 2 prompts that both were asked"),
        (["one two", "four"], "the same answers to all 2 prompts that both were asked"),
        (
            ["one too three", "four", "unasked"],
            "1 of 2 answers changed; the first at character 5: A 'one two three', B 'one too three'",
        ),
    ],
    ids=["equal", "cut short", "changed"],
)
def test_a_changed_answer_to_the_same_prompt_is_shown(b: list[str], sentence: str) -> None:
    pair = compare_runs(a_run("r1"), a_run("r2"), answering("one two three", "four"), answering(*b))
    assert pair.answers is not None
    assert pair.answers.sentence == sentence


def test_where_only_hashes_were_kept_a_change_is_counted() -> None:
    a, b = ([replace(s, extra={"prompt_sha256": "p"}) for s in answering(text)] for text in ("x", "y"))
    pair = compare_runs(a_run("r1"), a_run("r2"), a, b)
    assert pair.answers is not None
    assert pair.answers.sentence == "1 of 1 answers changed"


@pytest.mark.parametrize("turned", [False, True])
def test_where_one_side_drafts_the_verdict_on_mtp_is_part_of_the_comparison(turned: bool) -> None:  # noqa: FBT001  # a table's column
    without, with_drafts = series([20.0, 20.1, 19.9], draft_n=None, draft_n_accepted=None), series([26.0, 26.1, 25.9])
    sides = (with_drafts, without) if turned else (without, with_drafts)
    pair = compare_runs(a_run("r1"), a_run("r2", batch="batch-2"), *sides)
    assert pair.mtp is not None
    assert pair.mtp.sentence.startswith("MTP helps by 30.0 %")
    assert compare_runs(a_run("r1"), a_run("r2"), with_drafts, with_drafts).mtp is None


def test_workloads_that_one_side_lacks_are_named() -> None:
    a = Selection("a", (a_run("r1"), a_run("r2", workload=LONG)))
    b = Selection("b", (a_run("r3"),))
    found = compare(a, b, {name: [] for name in ("r1", "r2", "r3")})
    assert [pair.a.workload.name for pair in found.pairs] == ["pp2048+tg128"]
    assert (found.only_a, found.only_b) == (("pp32768+tg128",), ())


def test_as_json_the_comparison_has_every_number_and_the_words() -> None:
    a, b = Selection("a", (a_run("r1"),)), Selection("b", (a_run("r2", tool_version="0.2.0"),))
    found = compare(a, b, {"r1": [a_sample(0)], "r2": [a_sample(0), a_sample(1, kind="warmup")]}).as_dict()
    (workload,) = found.pop("workloads")
    assert found == {"a": "a", "b": "b", "only_a": [], "only_b": []}
    metrics = workload.pop("metrics")
    assert workload == {
        "workload": "pp2048+tg128",
        "run_a": "r1",
        "run_b": "r2",
        "paired": False,
        "inputs": [{"path": "gpubox", "a": "0.1.0", "b": "0.2.0"}],
        "mtp": None,
        "answers": None,
        "quality": "",
    }
    assert metrics[1] == {
        "metric": "tg_tps",
        "a": {"mean": 20.0, "lo": None, "hi": None, "n": 1},
        "b": {"mean": 20.0, "lo": None, "hi": None, "n": 1},
        "difference_percent": 0.0,
        "lo": None,
        "hi": None,
        "verdict": "no difference can be claimed (too few samples)",
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "results.db")) as store:
        keep(store, a_run("2026-01-glm", batch="one"), [])
        keep(store, a_run("2026-02-glm", batch="two"), [])
        keep(store, a_run("2026-03-glm", batch="two", workload=LONG), [])
        keep(store, a_run("2026-04-mtp", batch="two", profile="glm-mtp"), [])
        store.start_run(a_run("2026-05-glm", batch="three"))
        store.start_run(a_run("2026-06-new", batch="three-b", profile="new"))
        yield store


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("glm", ["2026-02-glm", "2026-03-glm"]),
        ("glm-mtp", ["2026-04-mtp"]),
        ("glm@one", ["2026-01-glm"]),
        ("glm@tw", ["2026-02-glm", "2026-03-glm"]),
        ("2026-01", ["2026-01-glm"]),
        ("latest", ["2026-06-new"]),
        ("latest~2", ["2026-04-mtp"]),
        ("one", ["2026-01-glm"]),
        ("three", ["2026-05-glm"]),
        ("three-", ["2026-06-new"]),
    ],
)
def test_a_name_stands_for_runs(store: Store, name: str, ids: list[str]) -> None:
    assert [run.id for run in select(store, name).runs] == ids


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("glm-mpt", "glm-mpt: no such run, profile or batch in {place}; did you mean glm-mtp?"),
        ("glm@five", "glm@five: no such run, profile or batch in {place}; list what there is: gpubox results"),
        ("xyz", "xyz: no such run, profile or batch in {place}; list what there is: gpubox results"),
        ("two", "two: this batch holds 2 profiles; name one: glm@two or glm-mtp@two"),
        ("thr", "thr: several batches in {place} begin so; write more of the id"),
        ("2026", "2026: several runs in {place} begin so; write more of the id"),
        ("new", "new: this profile has no finished run; name a run: gpubox results --profile new"),
    ],
)
def test_a_name_of_nothing_or_of_too_much_is_refused(store: Store, name: str, message: str) -> None:
    with pytest.raises(UnknownRunError) as caught:
        select(store, name)
    assert str(caught.value) == message.format(place=store.place)


def test_in_empty_results_the_remedy_is_to_measure(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with Store.open(str(path)) as store, pytest.raises(UnknownRunError) as caught:
        select(store, "glm")
    assert str(caught.value) == (
        f"glm: no such run, profile or batch in {path}; measure something first: gpubox bench PROFILE --host BOX"
    )
