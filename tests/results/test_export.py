"""What other programs get."""

from __future__ import annotations

import csv
import json
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpubox.cli.export import FORMAT_NAMES
from gpubox.errors import DocumentError
from gpubox.record import Run, Sample, Workload
from gpubox.results.export import FORMATS, jsonl, read_jsonl, samples_csv
from gpubox.results.llama_bench import llama_bench, llama_bench_sql
from gpubox.results.prometheus import prometheus
from gpubox.results.sweep_bench import sweep_bench
from results.records import a_run, a_sample

TEXT = st.text(max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.lists(TEXT, max_size=3).map(tuple)
JSON = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | NUMBER | TEXT | st.lists(TEXT), max_size=3)
SAMPLES = st.builds(
    a_sample,
    tg=st.floats(min_value=1e-3, max_value=1e6),
    arrivals_ms=st.lists(NUMBER, max_size=3).map(tuple),
    faults=WORDS,
    extra=JSON,
)
RUNS = st.builds(a_run, run_id=TEXT, profile=st.none() | TEXT, profile_document=JSON, argv=WORDS, reason=TEXT)


@settings(max_examples=50)
@given(st.lists(st.tuples(RUNS, st.lists(SAMPLES, max_size=2)), max_size=2))
def test_json_lines_read_back_as_what_was_written(measured: list[tuple[Run, list[Sample]]]) -> None:
    assert list(read_jsonl(jsonl(measured), "results.jsonl")) == measured


def test_one_line_is_one_run_with_every_field_of_it_and_its_samples() -> None:
    (line,) = jsonl([(a_run(), [a_sample(0)])])
    entry = json.loads(line)
    assert line.endswith("}\n")
    assert set(entry) == {*Run.__dataclass_fields__, "samples"}
    assert set(entry["samples"][0]) == set(Sample.__dataclass_fields__)


def test_a_line_that_is_no_run_is_named_by_its_number() -> None:
    (line,) = jsonl([(a_run(), [])])
    with pytest.raises(DocumentError) as caught:
        list(read_jsonl([line, "\n", '{"samples": [], "id": 1}'], "old.jsonl"))
    assert str(caught.value) == (
        "old.jsonl: line 3: not a run as `gpubox export --format jsonl` writes it (KeyError: 'workload')"
    )


def test_csv_has_one_line_per_sample_with_raw_and_computed_columns() -> None:
    warm = a_sample(0, kind="warmup", prompt_n=None, prompt_ms=None, arrivals_ms=(), extra={})
    text = "".join(samples_csv([(a_run(), [warm, a_sample(1, tg=20, faults=("short",))])]))
    first, second = csv.DictReader(text.splitlines())
    assert second == {
        "run": "20260301T120000-aaaa",
        "batch": "batch-1",
        "profile": "glm",
        "workload": "pp2048+tg128",
        "status": "running",
        "index": "1",
        "kind": "measured",
        "started_at": "2026-03-01T12:01:00+00:00",
        "sent_n": "2048",
        "requested_n": "128",
        "delivered_n": "128",
        "prompt_n": "2048",
        "prompt_ms": "5120.0",
        "predicted_n": "128",
        "predicted_ms": "6350.0",
        "predicted_steps": "127",
        "cached_n": "0",
        "draft_n": "100",
        "draft_n_accepted": "50",
        "ttft_ms": "5130.0",
        "e2e_ms": "11482.0",
        "rtt_ms": "0.25",
        "clean_n": "",
        "nll": "",
        "arrivals_ms": "[5130.0,5180.1,11480.0]",
        "answer_sha256": "cd" * 32,
        "faults": '["short"]',
        "flags": "[]",
        "extra": '{"slot":0,"power_w":[310.5,322.25]}',
        "valid": "False",
        "pp_tps": "400.0",
        "tg_tps": "20.0",
        "draft_acceptance": "0.5",
    }
    assert (first["prompt_n"], first["prompt_ms"], first["arrivals_ms"], first["extra"]) == ("", "", "[]", "{}")


def test_llama_bench_has_one_element_for_pp_and_one_for_tg_under_its_own_names() -> None:
    server = {"batch_size": 8192, "ubatch_size": 2048, "cache_type_k": "q8_0", "n_gpu_layers": 80, "mla_use": 3}
    run = a_run(profile_document={"server": server, "override_tensor": ["exps=CPU"]})
    samples = [a_sample(0, kind="warmup", tg=3), a_sample(1, tg=20, pp=400), a_sample(2, tg=25, pp=512)]
    pp, tg = json.loads("".join(llama_bench([(run, samples), (replace(run, id="empty"), [])])))
    shared = {
        "build_commit": "29a54f4",
        "build_number": "4100",
        "cpu_info": None,
        "gpu_info": ["RTX PRO 6000", "RTX PRO 6000"],
        "model_filename": "/srv/models/glm.gguf",
        "model_type": None,
        "model_size": 158_000_000_000,
        "model_n_params": None,
        "n_batch": 8192,
        "n_ubatch": 2048,
        "n_threads": None,
        "type_k": "q8_0",
        "type_v": None,
        "n_gpu_layers": 80,
        "split_mode": None,
        "mla_attn": 3,
        "attn_max_batch": None,
        "tensor_split": None,
        "override_tensor": ["exps=CPU"],
        "test_time": "2026-03-01T12:00:00+00:00",
    }
    assert pp == shared | {
        "n_prompt": 2048,
        "n_gen": 0,
        "n_depth": 0,
        "avg_ns": 4_560_000_000,
        "stddev_ns": 791_959_595,
        "avg_ts": 456.0,
        "stddev_ts": pytest.approx(79.196, abs=1e-3),
        "samples_ns": [5_120_000_000, 4_000_000_000],
        "samples_ts": [400.0, 512.0],
    }
    assert tg == shared | {
        "n_prompt": 0,
        "n_gen": 128,
        "n_depth": 2048,
        "avg_ns": 5_760_000_000,
        "stddev_ns": 905_096_680,
        "avg_ts": 22.5,
        "stddev_ts": pytest.approx(3.5355, abs=1e-4),
        "samples_ns": [6_400_000_000, 5_120_000_000],
        "samples_ts": [20.0, 25.0],
    }


def test_llama_benchs_sql_makes_a_table_that_sqlite_reads_and_unknown_is_null() -> None:
    run = a_run(model={"path": "/srv/o'clock.gguf"}, workload=Workload("pp1024+tg64@4096", 1024, 64, depth=4096))
    database = sqlite3.connect(":memory:")
    database.executescript("".join(llama_bench_sql([(run, [a_sample(0, tg=20, pp=400)])])))
    rows = database.execute(
        "SELECT model_filename, gpu_info, n_threads, n_prompt, n_gen, n_depth, avg_ts FROM test"
    ).fetchall()
    database.close()
    shared = ("/srv/o'clock.gguf", "RTX PRO 6000, RTX PRO 6000", None)
    assert rows == [(*shared, 1024, 0, 4096, 400.0), (*shared, 0, 64, 5120, 20.0)]


def test_sweep_bench_has_a_line_with_its_own_fields_for_each_run_with_both_rates() -> None:
    run = a_run(profile_document={"server": {"ctx_size": 4096, "ubatch_size": 512, "threads": 15}})
    lines = list(sweep_bench([(run, [a_sample(0, tg=20, pp=400), a_sample(1, tg=30, pp=600)]), (run, [])]))
    assert [json.loads(line) for line in lines] == [
        {
            "n_kv_max": 4096, "n_batch": None, "n_ubatch": 512, "flash_attn": None, "n_gpu_layers": None,
            "n_threads": 15, "n_threads_batch": None, "pp": 2048, "tg": 128, "n_kv": 0, "t_pp": 2048 / 500,
            "speed_pp": 500.0, "t_tg": 128 / 25, "speed_tg": 25.0,
        }
    ]  # fmt: skip  # as it prints them


def test_a_text_has_the_tokens_that_the_server_counted_and_those_that_came() -> None:
    run = a_run(workload=Workload("code", 0, 512, text="code"))
    measured = [(run, [a_sample(0, faults=("short",), sent_n=1), a_sample(1, sent_n=225, delivered_n=60)])]
    assert [(one["n_prompt"], one["n_gen"], one["n_depth"]) for one in json.loads("".join(llama_bench(measured)))] == [
        (225, 0, 0),
        (0, 60, 225),
    ]
    (line,) = sweep_bench(measured)
    assert [json.loads(line)[name] for name in ("pp", "tg")] == [225, 60]


def test_prometheus_has_the_newest_finished_run_of_each_profile_workload_and_host() -> None:
    old = a_run("r1", status="done", profile='a "b"\\c')
    runs = [old, replace(old, id="r2"), replace(old, id="r3", status="failed")]
    text = "".join(prometheus([(run, [a_sample(0, tg=tg)]) for run, tg in zip(runs, (10, 20, 30), strict=True)]))
    labels = r'{profile="a \"b\"\\c",workload="pp2048+tg128",host="box1"}'
    assert text == (
        "# HELP gpubox_prompt_tokens_per_second Prompt processing (PP).\n"
        "# TYPE gpubox_prompt_tokens_per_second gauge\n"
        f"gpubox_prompt_tokens_per_second{labels} 400.0\n"
        "# HELP gpubox_generated_tokens_per_second Token generation (TG).\n"
        "# TYPE gpubox_generated_tokens_per_second gauge\n"
        f"gpubox_generated_tokens_per_second{labels} 20.0\n"
        "# HELP gpubox_first_token_seconds Time to the first token.\n"
        "# TYPE gpubox_first_token_seconds gauge\n"
        f"gpubox_first_token_seconds{labels} 5.13\n"
        "# HELP gpubox_draft_acceptance_ratio Accepted drafts / proposed drafts.\n"
        "# TYPE gpubox_draft_acceptance_ratio gauge\n"
        f"gpubox_draft_acceptance_ratio{labels} 0.5\n"
        "# HELP gpubox_run_start_time_seconds When the run started, Unix time.\n"
        "# TYPE gpubox_run_start_time_seconds gauge\n"
        f"gpubox_run_start_time_seconds{labels} 1772366400.0\n"
    )


def test_the_command_offers_every_format() -> None:
    assert tuple(FORMATS) == FORMAT_NAMES


def test_without_a_run_each_format_is_empty_but_well_formed() -> None:
    assert "".join(jsonl([])) == ""
    assert "".join(llama_bench([])) == "[]\n"
    assert "".join(sweep_bench([])) == "".join(prometheus([])) == ""
    assert "INSERT" not in "".join(llama_bench_sql([]))
    assert "".join(samples_csv([])).startswith("run,batch,profile,workload,status,index,kind,")
