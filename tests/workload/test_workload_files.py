"""Workload files: those that are shipped, and what is said of a faulty one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gpubox.bench.texts import prompt_of, text_names
from gpubox.errors import DocumentError
from gpubox.record import Workload
from gpubox.workload_files import load_workloads, with_effort

SHIPPED = Path(__file__).parents[2] / "inventory" / "workloads"


def test_the_shipped_workloads_measure_what_their_files_list() -> None:
    found = {file.stem: [one.name for one in load_workloads(file.stem, SHIPPED)] for file in SHIPPED.glob("*.yml")}
    assert found == {
        "agent": [f"pp1024+tg256@{depth}" for depth in (4096, 8192, 16384, 32768, 65536)],
        "depths": ["pp2048+tg128", "pp8192+tg128", "pp20480+tg128", "pp130000+tg128"],
        "drafting": ["code", "prose", "extraction", "rewriting"],
        "quality": ["long-code", "perplexity-essay"],
        "write-up": ["pp14895+tg78", "pp20508+tg128", "code"],
    }


def test_every_shipped_text_is_asked_by_a_shipped_workload() -> None:
    asked = {one.text for file in SHIPPED.glob("*.yml") for one in load_workloads(file.stem, SHIPPED)} - {""}
    assert asked == set(text_names())
    assert all(150 < len(prompt_of(name).split()) < 500 for name in asked - {"essay"})


def test_a_text_whose_perplexity_is_measured_has_enough_of_it() -> None:
    assert len(prompt_of("essay").split()) > 1500


def test_what_an_entry_leaves_out_comes_from_the_document_and_then_from_the_default(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text(
        "seed: 7\ntarget: 2\nmax_reps: 4\nbudget: 60\n"
        "measure:\n- {prompt: 100, generate: 10}\n- {text: code, generate: 20, max_reps: 9, target: 0.5}\n"
        "- {prompt: 100, generate: 10, depth: 50}\n"
    )
    first = Workload("pp100+tg10", 100, 10, seed=7, min_reps=4, max_reps=4, target=0.02, budget_s=60.0)
    assert load_workloads("w", tmp_path) == [
        first,
        replace(first, name="code", n_prompt=0, n_gen=20, min_reps=5, max_reps=9, target=0.005, text="code"),
        replace(first, name="pp100+tg10@50", depth=50),
    ]


def test_a_text_may_be_asked_greedily_and_as_the_profile_samples(tmp_path: Path) -> None:
    text = "text: code, generate: 20"
    (tmp_path / "w.yml").write_text(f"measure: [{{{text}}}, {{{text}, sampling: profile, check: python}}]\n")
    greedy = Workload("code", 0, 20, text="code")
    sampled = replace(greedy, name="code-sampled", check="python", sampled=True)
    assert load_workloads("w", tmp_path) == [greedy, sampled]


def test_fewer_most_repetitions_lower_the_fewest_too() -> None:
    assert with_effort(Workload("w", 1, 1), max_reps=2) == Workload("w", 1, 1, min_reps=2, max_reps=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "w.yml: measure: is required"),
        ("measure: []", "w.yml: measure: needs at least 1 item(s) (got [])"),
        ("measure: [{prompt: 0, generate: 1}]", "w.yml: measure[0].prompt: must be at least 1 (got 0)"),
        ("measure: [{prompt: 1}]", "w.yml: measure[0]: needs `generate`"),
        ("measure: [{perplexity: esay}]", "w.yml: measure[0]: no such text: esay; did you mean essay?"),
        (
            "measure: [{perplexity: essay, generate: 1}]",
            "w.yml: measure[0]: of a perplexity nothing else can be said",
        ),
        (
            "measure: [{prompt: 1, generate: 1, check: python}]",
            "w.yml: measure[0]: only of a `text` there is something to check, or to sample",
        ),
        ("measure: [{generate: 1}]", "w.yml: measure[0]: needs either `prompt` or `text`"),
        ("measure: [{generate: 1, text: code, prompt: 2}]", "w.yml: measure[0]: needs either `prompt` or `text`"),
        ("measure: [{generate: 1, text: code, depth: 2}]", "w.yml: measure[0]: a text has no depth"),
        ("measure: [{generate: 1, text: cod}]", "w.yml: measure[0]: no such text: cod; did you mean code?"),
        (
            "measure: [{generate: 1, text: xyz}]",
            "w.yml: measure[0]: no such text: xyz; known are: code, essay, extraction, long-code, prose, rewriting",
        ),
        (
            "measure: [{generate: 1, promt: 2, prompt: 1}]",
            "w.yml: measure[0].promt: unknown field; did you mean prompt?",
        ),
        (
            "reps: 1\nmeasure: [{generate: 1, prompt: 2}, {generate: 1, prompt: 2}]",
            "w.yml: reps: unknown field; did you mean min_reps?",
        ),
        (
            "measure: [{generate: 1, prompt: 2}, {generate: 1, prompt: 2}]",
            "w.yml: measure[1]: is there twice (got pp2+tg1)",
        ),
    ],
)
def test_a_faulty_file_is_told_by_place_fault_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yml").write_text(text)
    with pytest.raises(DocumentError) as caught:
        load_workloads("w.yml")
    assert str(caught.value) == message


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    for name in ("draft", "agnet"):
        with pytest.raises(DocumentError) as caught:
            load_workloads(name, SHIPPED)
        nearest = {"draft": "drafting", "agnet": "agent"}[name]
        assert str(caught.value) == f"{name}: no such workload in inventory/workloads; did you mean {nearest}?"
    with pytest.raises(DocumentError) as caught:
        load_workloads("agent", tmp_path)
    assert str(caught.value).endswith("; run gpubox in a folder with inventory/workloads")
