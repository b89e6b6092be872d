"""A run in numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpubox.results.metrics import ACCEPTANCE
from gpubox.results.summary import document, summarise
from results.records import a_run, a_sample, series

if TYPE_CHECKING:
    from gpubox.record import Sample


def flags(samples: list[Sample], **run: object) -> tuple[str, ...]:
    """Return the flags of a run that itself has none unless told."""
    return summarise(replace(a_run(flags=(), status="done"), **run), samples).flags  # type: ignore[arg-type]  # any field


def test_the_document_has_the_numbers_of_the_valid_samples_only() -> None:
    samples = [
        a_sample(0, kind="warmup", tg=5),
        a_sample(1, tg=19, pp=390),
        a_sample(2, tg=20, pp=400),
        a_sample(3, tg=21, pp=410),
        a_sample(4, tg=90, pp=9000, faults=("cached", "short")),
    ]
    run = a_run(status="done", finished_at="2026-03-01T12:10:00+00:00")
    found = document([summarise(run, samples)])
    (result,) = found["results"]
    assert result.pop("pp_tps") == pytest.approx({"mean": 400, "lo": 375.159, "hi": 424.841, "n": 3}, abs=1e-3)
    assert result.pop("tg_tps") == pytest.approx({"mean": 20, "lo": 17.5159, "hi": 22.4841, "n": 3}, abs=1e-4)
    assert result.pop("ttft_ms") == pytest.approx({"mean": 5132.134, "lo": 4813.933, "hi": 5450.336, "n": 3}, abs=1e-3)
    assert found == {
        "results": [
            {
                "run": run.id,
                "batch": "batch-1",
                "profile": "glm",
                "endpoint": "http://127.0.0.1:8000",
                "workload": "pp2048+tg128",
                "status": "done",
                "reason": "",
                "started_at": "2026-03-01T12:00:00+00:00",
                "finished_at": "2026-03-01T12:10:00+00:00",
                "draft_acceptance": 0.5,
                "clean_tokens": None,
                "nll": None,
                "perplexity": None,
                "invalid": 1,
                "flags": ["shared-box", "invalid-samples: 1 (cached, short)"],
            }
        ]
    }


def test_what_was_not_measured_is_null() -> None:
    (result,) = document([summarise(a_run(flags=()), [])])["results"]
    assert [result[key] for key in ("pp_tps", "tg_tps", "ttft_ms", "draft_acceptance")] == [None] * 4
    assert result["flags"] == ["few-samples"]


def test_one_sample_has_a_mean_and_no_interval() -> None:
    (result,) = document([summarise(a_run(), [a_sample(0, tg=20)])])["results"]
    assert result["tg_tps"] == {"mean": pytest.approx(20), "lo": None, "hi": None, "n": 1}


def test_draft_acceptance_is_accepted_over_proposed_of_all_samples_not_the_mean_of_ratios() -> None:
    short, long = a_sample(0, draft_n=4, draft_n_accepted=4), a_sample(1, draft_n=396, draft_n_accepted=196)
    none = a_sample(2, draft_n=0, draft_n_accepted=0)
    assert summarise(a_run(), [short, long, none]).draft_acceptance == pytest.approx(200 / 400)
    assert ACCEPTANCE.values([short, none, long]) == [pytest.approx(0.5 + 2 / 200), None, pytest.approx(0.5 - 2 / 200)]


def test_a_quiet_run_has_no_flags() -> None:
    assert flags(series([20.0, 20.1, 19.9, 20.05, 19.95])) == ()


def test_flags_of_valid_samples_are_joined_each_once() -> None:
    doubtful = a_sample(3, flags=("clocks-disagree",))
    ignored = a_sample(4, flags=("dropped-tokens",), faults=("short",))
    assert flags([*series([20, 20, 20]), doubtful, replace(doubtful, index=5), ignored]) == (
        "clocks-disagree",
        "invalid-samples: 1 (short)",
    )


@pytest.mark.parametrize(
    ("flag", "fields", "words"),
    [
        ("clocks-disagree-pp", {"ttft_ms": 5632.0}, "TTFT is 512 ms (10.0 %) more than the server's prompt time"),
        (
            "clocks-disagree-tg",
            {"arrivals_ms": (0.0, 3175.0)},
            "tokens took 3175 ms (50.0 %) less than the server says",
        ),
        ("dropped-tokens", {"delivered_n": 125}, "9 tokens were counted by the server and never sent"),
        ("no-server-timings", {"predicted_ms": None}, "the server tells no times, ours alone count"),
    ],
)
def test_a_flag_of_samples_is_told_with_its_reason(flag: str, fields: dict[str, object], words: str) -> None:
    samples = [replace(sample, flags=(flag,), **fields) for sample in series([20, 20, 20])]  # type: ignore[arg-type]  # any field
    assert flags(samples) == (f"{flag}: {words}",)


@pytest.mark.parametrize(
    ("rates", "flag"),
    [
        ([20, 20], "few-samples"),
        ([20, 22.5, 18, 21, 19.5], "high-variance: TG 8.3 %"),
        ([20, 20.3, 20.6, 20.9, 21.2], "warming-up: TG +5.8 %"),
        ([21.2, 20.9, 20.6, 20.3, 20], "drift: TG -5.8 %"),
    ],
)
def test_a_doubtful_series_of_tg_is_flagged(rates: list[float], flag: str) -> None:
    assert flags(series(rates)) == (flag,)


def test_a_doubtful_series_of_pp_is_flagged_too() -> None:
    samples = [a_sample(index, pp=pp) for index, pp in enumerate([400, 450, 350, 420, 380])]
    assert flags(samples) == ("high-variance: PP 9.5 %",)


def test_an_interrupted_run_is_flagged() -> None:
    assert flags(series([20, 20, 20]), status="interrupted") == ("interrupted",)
