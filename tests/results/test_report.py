"""The report, whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gpubox.results.report import against_baseline, report
from results.records import WORKLOAD, a_run, a_sample, at, series

EXPECTED = Path(__file__).with_name("report.md")


def test_the_report_is_the_file_beside_this_test() -> None:
    base = a_run("r1", profile="glm", status="done", flags=())
    mtp = a_run(
        "r2",
        profile="glm-mtp",
        batch="batch-2",
        started_at=at(3600),
        status="done",
        flags=("throttled",),
        profile_document={"server": {"ctx_size": 131072, "cache_type_k": "q8_0"}, "gpus": "all", "mtp": "a|b"},
    )
    again = replace(mtp, id="r3", started_at=at(7200), flags=())
    other = a_run("r4", profile="glm", status="failed", flags=(), workload=replace(WORKLOAD, name="pp8192"))
    samples = {
        "r1": series([20.0, 20.1, 19.9, 20.05, 19.95], draft_n=None),
        "r2": series([26.0, 26.2]),
        "r3": series([26.0, 26.2, 25.9, 26.1, 26.05]),
        "r4": [a_sample(0, faults=("truncated",))],
    }
    assert report([other, again, mtp, base], samples) == EXPECTED.read_text(encoding="utf-8")


def test_the_baseline_can_be_chosen() -> None:
    runs = [a_run("r2", profile="b", status="done"), a_run("r1", profile="a", status="done")]
    samples = {"r1": series([20, 21, 22]), "r2": series([30, 31, 32])}
    assert [(pair.a.id, pair.b.id) for pair in against_baseline(runs, samples)] == [("r1", "r2")]
    assert [(pair.a.id, pair.b.id) for pair in against_baseline(runs, samples, "b")] == [("r2", "r1")]


def test_runs_that_did_not_finish_are_listed_but_not_compared() -> None:
    runs = [a_run("r2", profile="b", status="interrupted"), a_run("r1", profile="a", status="done")]
    assert list(against_baseline(runs, {"r1": [], "r2": []})) == []


def test_published_values_stand_under_measured_ones_and_mtp_is_judged_where_drafting_alone_differs() -> None:
    document = {"server": {"ctx_size": 4096}}
    published = document | {"published": {"tg_tps": [34, 40], "source": "a write-up"}}
    drafting = document | {"speculative": [{"type": "mtp", "n_max": 4}]}
    runs = [
        a_run("r2", profile="glm-mtp", status="done", flags=(), profile_document=drafting),
        a_run("r1", profile="glm", status="done", flags=(), profile_document=published),
    ]
    drafted = [replace(sample, draft_n=200, draft_n_accepted=77) for sample in series([15.0, 15.1, 14.9])]
    text = report(runs, {"r1": series([20.0, 20.1, 19.9], draft_n=None, draft_n_accepted=None), "r2": drafted})
    assert text.partition("## Runs\n")[0] == (
        "# Benchmark results\n\n## Measured and published\n\n"
        "| Profile | Workload | PP t/s | TG t/s | TTFT ms | Draft acceptance | n |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| glm | pp2048+tg128 | 400.0 ±0.0 | 20.00 ±0.25 | 5130 ±0 | - | 3 |\n"
        "|  | published: a write-up | - | 34 to 40 | - | - | - |\n"
        "\n## Does MTP help?\n\n"
        "- glm-mtp beside glm, pp2048+tg128: MTP hurts by 25.0 % (95 % CI 24.7 to 25.3); "
        "acceptance 0.39 is below the break-even of 0.60 (0.59 to 0.60).\n\n"
    )
