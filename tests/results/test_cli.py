"""The verbs that read the results, as an operator sees them."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from gpubox.errors import GpuboxError, ResultsError, UnknownRunError
from gpubox.results.baselines import baselines_in_force, set_baseline
from gpubox.results.export import read_jsonl
from gpubox.results.store import Store
from gpubox.results.telemetry import add_readings
from results.records import a_run, a_sample, at, keep, series
from results.store_contract import child
from telemetry.ticks import UUIDS, seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., tuple[int, str]]

VERBS = ("results", "compare", "verdict", "export", "report")


@pytest.fixture
def gpubox(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a verb with its arguments; gives the exit status and what went to standard output."""

    def command(verb: str, *arguments: str) -> tuple[int, str]:
        module = import_module(f"gpubox.cli.{verb}")
        parser = argparse.ArgumentParser(prog=f"gpubox {verb}")
        module.add_arguments(parser)
        status = module.run(parser.parse_args(arguments))
        return status, capsys.readouterr().out

    return command


@pytest.fixture
def db(tmp_path: Path) -> str:
    path = str(tmp_path / "results.db")
    with Store.open(path) as store:
        keep(store, a_run("run-1", flags=()), series([20.0, 20.1, 19.9, 20.05, 19.95]))
        slower = a_run(
            "run-2", profile="glm-5.2-1.630bpw-with-a-long-name", started_at=at(600), batch="batch-2", flags=()
        )
        keep(store, slower, series([18.0, 18.1, 17.9, 18.05, 17.95]))
        store.start_run(a_run("run-3", profile=None, flags=("shared-box",)))
        store.add_sample("run-3", a_sample(0, kind="warmup"))
        store.add_sample("run-3", a_sample(1, faults=("cached",)))
        store.finish_run("run-3", "failed", "the server exited with 1")
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_of_one_line_and_an_example_of_itself(verb: str) -> None:
    module = import_module(f"gpubox.cli.{verb}")
    assert "\n" not in module.HELP
    assert all(line.startswith(f"gpubox {verb}") for line in module.EXAMPLE.splitlines())


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_module_costs_no_heavy_import(verb: str) -> None:
    code = f"import sys, gpubox.cli.{verb}; print({{'sqlalchemy', 'rich', 'pydantic'}} & set(sys.modules))"
    stdout, stderr = child(code).communicate()
    assert (stdout, stderr) == ("set()\n", "")


def test_every_example_can_be_parsed() -> None:
    for verb in VERBS:
        module = import_module(f"gpubox.cli.{verb}")
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        for line in module.EXAMPLE.splitlines():
            parser.parse_args(line.partition(" > ")[0].split()[2:])


def test_results_lists_runs_newest_last_one_a_line(gpubox: Command, db: str) -> None:
    assert gpubox("results", "--db", db) == (
        0,
        (
            "RUN    PROFILE                            WORKLOAD          PP t/s       TG t/s  TTFT ms  DRAFTS  NOTES\n"
            "run-1  glm                                pp2048+tg128  400.0 ±0.0  20.00 ±0.10  5130 ±0    0.50\n"
            "run-2  glm-5.2-1.630bpw-with-a-long-name  pp2048+tg128  400.0 ±0.0  18.00 ±0.10  5130 ±0    0.50\n"
            "run-3  http://127.0.0.1:8000              pp2048+tg128           -            -        -       -  "
            "failed; shared-box; few-samples; invalid-samples: 1 (cached)\n"
        ),
    )


def test_results_filters_and_limits(gpubox: Command, db: str) -> None:
    status, text = gpubox("results", "--db", db, "--limit", "1", "--status", "done", "--json")
    assert (status, [result["run"] for result in json.loads(text)["results"]]) == (0, ["run-2"])
    assert gpubox("results", "--db", db, "--profile", "nobody") == (
        0,
        "No run is like that; see them all: gpubox results\n",
    )


def test_results_of_a_run_shows_every_sample(gpubox: Command, db: str) -> None:
    status, text = gpubox("results", "run-3", "--db", db)
    finished = Store.open(db).run("run-3").finished_at
    assert (status, text) == (
        0,
        "run       run-3\n"
        "batch     batch-1\n"
        "status    failed (the server exited with 1)\n"
        "started   2026-03-01T12:00:00+00:00\n"
        f"finished  {finished}\n"
        "endpoint  http://127.0.0.1:8000\n"
        "workload  pp2048+tg128\n"
        "flags     shared-box; few-samples; invalid-samples: 1 (cached)\n"
        "engine    name: ik_llama\n"
        "          build: 29a54f4\n"
        "          version: 4100\n"
        "model     path: /srv/models/glm.gguf\n"
        "          size: 147.1 GiB (158,000,000,000 bytes)\n"
        "          SHA-256: " + "ab" * 32 + "\n"
        "host      hostname: box1\n"
        "          GPU: RTX PRO 6000\n"
        "          GPU: RTX PRO 6000\n"
        "          driver: 580.95\n"
        "argv      llama-server -c 131072\n"
        "gpubox    0.1.0\n"
        "\n"
        "#  KIND      PP t/s  TG t/s  TTFT ms  DRAFTS  TOKENS  NOTES\n"
        "0  warm-up    400.0   20.00     5130    0.50     128\n"
        "1  measured   400.0   20.00     5130    0.50     128  invalid: cached\n",
    )


def test_results_of_a_run_as_json_has_its_samples(gpubox: Command, db: str) -> None:
    entry = json.loads(gpubox("results", "latest", "--db", db, "--json")[1])
    assert [result["run"] for result in entry["results"]] == ["run-3"]
    assert [sample["kind"] for sample in entry["samples"]] == ["warmup", "measured"]


def test_on_a_narrow_terminal_numbers_stay_whole(db: str) -> None:
    terminal, inside = pty.openpty()
    code = (
        "import argparse, gpubox.cli.results as verb\n"
        "parser = argparse.ArgumentParser(); verb.add_arguments(parser)\n"
        f"verb.run(parser.parse_args(['--db', {db!r}]))"
    )
    environment = {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", code], stdout=inside, check=True, env=environment)
    os.close(inside)
    screen = b""
    with contextlib.suppress(OSError):  # so ends a terminal whose other side is closed
        while part := os.read(terminal, 65536):
            screen += part
    os.close(terminal)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.decode()).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert "18.00 ±0.10" in "\n".join(lines)


def test_without_any_result_a_sentence_says_what_to_run(
    gpubox: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert gpubox("results") == (0, "No results yet. Measure something first: gpubox bench PROFILE --host BOX\n")
    assert list(tmp_path.iterdir()) == []


def test_without_any_result_a_report_says_so_in_either_form(
    gpubox: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    page = tmp_path / "report.html"
    assert gpubox("report", "--html", str(page)) == (0, "")
    assert "Nothing is measured yet." in page.read_text(encoding="utf-8")
    assert gpubox("report") == (
        0,
        (
            "# Benchmark results\n\nNothing is measured yet. Measure something:\n\n"
            "    gpubox demo  # two small profiles, served and measured on this machine\n"
            "    gpubox bench --endpoint http://127.0.0.1:8000  # a server that runs\n"
            "    gpubox bench PROFILE --host BOX  # what is deployed on a box\n"
        ),
    )
    assert list(tmp_path.iterdir()) == [page]


def test_a_report_holds_profiles_against_their_baselines_and_shows_these(gpubox: Command, db: str) -> None:
    with Store.open(db) as store:
        set_baseline(store, store.run("run-1"))
        keep(
            store,
            a_run("run-4", batch="batch-4", started_at=at(1200), flags=()),
            series([18.0, 18.1, 17.9, 18.05, 17.95]),
        )
    text = gpubox("report", "run-4", "--db", db)[1]
    with Store.open(db) as store:
        (baseline,) = baselines_in_force(store)
    since = f"baseline since {baseline.set_at[:10]} on box1"
    assert text.partition("## Beside the baselines\n\n")[2].partition("\n\n")[0] == (
        "| Profile | Workload | Held against | Metric | Baseline | Now | Verdict |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        f"| glm | pp2048+tg128 | {since} | PP t/s | 400.0 ±0.0 | 400.0 ±0.0 | no difference can be claimed (95 % CI +0.0 to +0.0 %) |\n"
        f"| glm | pp2048+tg128 | {since} | TG t/s | 20.00 ±0.10 | 18.00 ±0.10 | slower by 10.0 % (95 % CI 9.4 to 10.6) |\n"
        f"| glm | pp2048+tg128 | {since} | TTFT ms | 5130 ±0 | 5130 ±0 | no difference can be claimed (95 % CI +0.0 to +0.0 %) |\n"
        f"| glm | pp2048+tg128 | {since} | draft acceptance | 0.500 ±0.000 | 0.500 ±0.000 | no difference can be claimed (95 % CI +0.0 to +0.0 %) |"
    )
    assert "| `run-1` |" in text
    entry = json.loads(gpubox("report", "run-4", "--db", db, "--json")[1])
    assert [(one["profile"], one["box"], one["run_a"], one["run_b"]) for one in entry["baselines"]] == [
        ("glm", "box1", "run-1", "run-4")
    ]


def test_a_report_tells_what_a_token_took(gpubox: Command, db: str) -> None:
    with Store.open(db) as store:
        run = a_run("run-5", profile="hot", started_at=at(0), flags=(), host={"gpus": [{"index": 0, "uuid": UUIDS[0]}]})
        keep(store, run, [a_sample(0)])
        add_readings(store, "run-5", seconds(40))
    text = gpubox("report", "hot", "--db", db)[1]
    assert text.partition("## Energy of a token\n\n")[2].partition("\n\n## ")[0] == (
        "Of all GPUs that the profile uses, while tokens are generated.\n\n"
        "| Profile | Workload | Power W | J/token | Tokens per Wh |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| hot | pp2048+tg128 | 300 | 15.00 | 240 |"
    )
    assert "TG J/token        15.00 at 300 W\n" in gpubox("results", "run-5", "--db", db)[1]


def test_compare_prints_the_verdicts_and_the_inputs(gpubox: Command, db: str) -> None:
    assert gpubox("compare", "glm", "run-2", "--db", db) == (
        0,
        (
            "pp2048+tg128: unpaired, not measured in turns\n"
            "  A  glm  run-1\n"
            "  B  glm-5.2-1.630bpw-with-a-long-name  run-2\n"
            "\n"
            "METRIC                       A             B  VERDICT\n"
            "PP t/s              400.0 ±0.0    400.0 ±0.0  no difference can be claimed (95 % CI +0.0 to +0.0 %)\n"
            "TG t/s             20.00 ±0.10   18.00 ±0.10  B is slower by 10.0 % (95 % CI 9.4 to 10.6)\n"
            "TTFT ms                5130 ±0       5130 ±0  no difference can be claimed (95 % CI +0.0 to +0.0 %)\n"
            "draft acceptance  0.500 ±0.000  0.500 ±0.000  no difference can be claimed (95 % CI +0.0 to +0.0 %)\n"
            "\n"
            "No recorded input differs.\n"
            "\n"
        ),
    )


def test_compare_fails_on_a_regression_over_the_limit_only(gpubox: Command, db: str) -> None:
    assert gpubox("compare", "run-1", "run-2", "--db", db, "--fail-on-regression", "15")[0] == 0
    assert gpubox("compare", "run-2", "run-1", "--db", db, "--fail-on-regression", "5")[0] == 0
    status, text = gpubox("compare", "run-1", "run-2", "--db", db, "--fail-on-regression", "5")
    assert status == 1
    assert text.splitlines()[-1] == (
        "REGRESSION: pp2048+tg128 TG: B is slower by 10.0 % (95 % CI 9.4 to 10.6); the limit is 5 %"
    )
    status, text = gpubox("compare", "run-1", "run-2", "--db", db, "--fail-on-regression", "5", "--json")
    assert (status, json.loads(text)["regressed"]) == (1, True)


def test_compare_refuses_an_unknown_name(gpubox: Command, db: str) -> None:
    with pytest.raises(UnknownRunError) as caught:
        gpubox("compare", "gln", "run-2", "--db", db)
    assert str(caught.value) == f"gln: no such run, profile or batch in {db}; did you mean glm?"


@pytest.mark.parametrize("percent", ["-1", "nan", "much"])
def test_compare_refuses_a_limit_that_is_no_percentage(
    gpubox: Command, db: str, percent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        gpubox("compare", "a", "b", "--db", db, f"--fail-on-regression={percent}")
    assert caught.value.code == 2
    message = f"argument --fail-on-regression: '{percent}' is not a percentage of 0 or more\n"
    assert capsys.readouterr().err.endswith(message)


def test_verdict_refuses_two_sides_that_draft_alike(gpubox: Command, db: str) -> None:
    with pytest.raises(UnknownRunError) as caught:
        gpubox("verdict", "mtp", "run-1", "run-2", "--db", db)
    assert str(caught.value) == (
        "run-1 and run-2: have no workload in common that exactly one of them drafts in; "
        "measure one profile with speculative and one without, with the same workloads"
    )


def test_export_writes_everything_oldest_first_and_reads_back(gpubox: Command, db: str, tmp_path: Path) -> None:
    status, text = gpubox("export", "--db", db)
    with Store.open(db) as store:
        kept = [(run, store.samples(run.id)) for run in reversed(store.runs())]
    assert (status, list(read_jsonl(text.splitlines(), "-"))) == (0, kept)
    file = tmp_path / "out.jsonl"
    assert gpubox("export", "--db", db, "--output", str(file)) == (0, "")
    assert file.read_text(encoding="utf-8") == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "results.db"]


def test_export_of_named_runs_in_llama_benchs_form(gpubox: Command, db: str) -> None:
    elements = json.loads(gpubox("export", "glm", "run-1", "--format", "llama-bench", "--db", db)[1])
    assert [(element["n_prompt"], element["n_gen"]) for element in elements] == [(2048, 0), (0, 128)]


def test_export_to_where_no_file_can_be_says_so(gpubox: Command, db: str) -> None:
    with pytest.raises(GpuboxError) as caught:
        gpubox("export", "--db", db, "--output", "/dev/null/out")
    assert str(caught.value) == "/dev/null/out: can't be written (Not a directory); name another file with --output"


def test_report_writes_markdown_or_json(gpubox: Command, db: str, tmp_path: Path) -> None:
    status, text = gpubox("report", "--db", db)
    assert (status, text.splitlines()[0]) == (0, "# Benchmark results")
    file = tmp_path / "report.md"
    assert gpubox("report", "--db", db, "--output", str(file)) == (0, "")
    assert file.read_text(encoding="utf-8") == text
    entry = json.loads(gpubox("report", "--db", db, "--json")[1])
    assert [result["run"] for result in entry["results"]] == ["run-1", "run-2", "run-3"]
    assert [(pair["run_a"], pair["run_b"]) for pair in entry["comparisons"]] == [("run-1", "run-2")]


def test_report_refuses_a_baseline_that_it_does_not_hold(gpubox: Command, db: str) -> None:
    with pytest.raises(UnknownRunError) as caught:
        gpubox("report", "--db", db, "--baseline", "gml")
    assert str(caught.value) == "gml: the report holds no run of this baseline; did you mean glm?"


@pytest.mark.parametrize("verb", VERBS)
def test_a_mistyped_database_is_refused_and_not_made(gpubox: Command, tmp_path: Path, verb: str) -> None:
    path = tmp_path / "typo.db"
    names = {"compare": ["a", "b"], "verdict": ["mtp", "a", "b"]}.get(verb, [])
    with pytest.raises(ResultsError) as caught:
        gpubox(verb, *names, "--db", str(path))
    assert str(caught.value) == f"{path}: there is no such file; measure something first, or give another --db"
    assert not path.exists()
