"""What other programs get."""

from __future__ import annotations

import csv
import json
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gpubox.cli.export import FORMAT_NAMES
from gpubox.errors import DocumentError
from gpubox.record import Run, Sample, Workload
from gpubox.results.export import FORMATS, jsonl, read_jsonl, samples_csv
from gpubox.results.llama_bench import llama_bench, llama_bench_sql
from gpubox.results.prometheus import prometheus
from gpubox.results.sweep_bench import sweep_bench
from results.records import a_run, a_sample

RATES = ("prompt_tokens_per_second", "generated_tokens_per_second", "first_token_seconds")
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


# As `get_fields` of llama-bench.cpp at 29a54f4 lists them; llama.cpp's has `n_depth` before `test_time`.
LLAMA_BENCH = """
build_commit build_number cuda vulkan kompute metal sycl rpc gpu_blas blas cpu_info gpu_info model_filename model_type
model_size model_n_params n_batch n_ubatch n_threads type_k type_v n_gpu_layers split_mode main_gpu no_kv_offload flash_attn
mla_attn attn_max_batch ser reuse tensor_split use_mmap embeddings repack mqkv muge defer_experts fused_moe grouped_er
no_fused_up_gate use_thp no_ooae rcache sas max_gpu cuda_params override_tensor n_prompt n_gen n_depth test_time avg_ns
stddev_ns avg_ts stddev_ts test
""".split()  # noqa: SIM905  # readable as a text
SERVER = {
    "batch_size": 8192, "ubatch_size": 2048, "cache_type_k": "q8_0", "n_gpu_layers": 80, "mla_use": 3, "merge_qkv": True,
    "threads": 15, "threads_batch": 30, "tensor_split": [3, 2], "no_mmap": True, "grouped_expert_routing": True,
}  # fmt: skip  # a table
GPUS = [{"index": index, "uuid": f"GPU-{index}", "name": "RTX PRO 6000"} for index in range(2)]
PROFILED = a_run(
    profile_document={"server": SERVER, "gpus": "all"},
    argv=("llama-server", "-ot", "exps=CPU", "--override-tensor", "a=CUDA0"),
    engine={"name": "ik_llama", "build": None, "version": "version: 4669 (29a54f4b0) | built with cc"},
    model={"path": "/srv/glm.gguf", "name": "glm", "size": 9, "meta": {"size": 7, "n_params": 5}},
    host={"hostname": "box1", "cpu": "AMD EPYC 9175F", "gpus": GPUS},
    started_at="2026-03-01T13:00:00.123+01:00",
)


def test_llama_bench_has_one_element_for_pp_and_one_for_tg_with_all_its_own_fields() -> None:
    samples = [a_sample(0, kind="warmup", tg=3), a_sample(1, tg=20, pp=400), a_sample(2, tg=25, pp=512)]
    pp, tg = json.loads("".join(llama_bench([(PROFILED, samples), (replace(PROFILED, id="empty"), [])])))
    assert list(pp) == list(tg) == [*LLAMA_BENCH, "samples_ns", "samples_ts"]
    shared = {
        "build_commit": "29a54f4b0", "build_number": 4669, "cuda": True, "vulkan": False, "kompute": False, "metal": False,
        "sycl": False, "rpc": "0", "gpu_blas": True, "blas": True, "cpu_info": "AMD EPYC 9175F",
        "gpu_info": "RTX PRO 6000/RTX PRO 6000", "model_filename": "/srv/glm.gguf", "model_type": "glm", "model_size": 7,
        "model_n_params": 5, "n_batch": 8192, "n_ubatch": 2048, "type_k": "q8_0", "type_v": "f16",
        "n_gpu_layers": 80, "split_mode": "layer", "main_gpu": 0, "no_kv_offload": False, "flash_attn": True, "mla_attn": 3,
        "attn_max_batch": 0, "ser": "-1,0", "reuse": True, "tensor_split": "3.00/2.00", "use_mmap": False,
        "embeddings": False, "repack": False, "mqkv": True, "muge": False, "defer_experts": False, "fused_moe": True,
        "grouped_er": True, "no_fused_up_gate": False, "use_thp": False, "no_ooae": False, "rcache": False, "sas": False,
        "max_gpu": 0, "cuda_params": "", "override_tensor": "exps=CPU,a=CUDA0", "test_time": "2026-03-01T12:00:00Z",
    }  # fmt: skip  # a table
    assert pp == shared | {
        "n_threads": 30,
        "n_prompt": 2048,
        "n_gen": 0,
        "n_depth": 0,
        "avg_ns": 4_560_000_000,
        "stddev_ns": 791_959_595,
        "avg_ts": 456.0,
        "stddev_ts": pytest.approx(79.196, abs=1e-3),
        "test": "pp2048",
        "samples_ns": [5_120_000_000, 4_000_000_000],
        "samples_ts": [400.0, 512.0],
    }
    assert tg == shared | {
        "n_threads": 15,
        "n_prompt": 0,
        "n_gen": 128,
        "n_depth": 2048,
        "avg_ns": 5_760_000_000,
        "stddev_ns": 905_096_680,
        "avg_ts": 22.5,
        "stddev_ts": pytest.approx(3.5355, abs=1e-4),
        "test": "tg128@pp2048",
        "samples_ns": [6_400_000_000, 5_120_000_000],
        "samples_ts": [20.0, 25.0],
    }


def test_llama_benchs_sql_joins_with_itself_on_every_column_that_its_own_comparison_joins_on() -> None:
    run = replace(PROFILED, workload=Workload("pp1024+tg64@4096", 1024, 64, depth=4096))
    run = replace(run, model=run.model | {"path": "/srv/o'clock.gguf"})
    database = sqlite3.connect(":memory:")
    database.executescript("".join(llama_bench_sql([(run, [a_sample(0, tg=20, pp=400)])])))
    columns = [(name, kind) for _, name, kind, *_ in database.execute("PRAGMA table_info(test)")]
    text = "SELECT model_filename, gpu_info, use_mmap, n_threads, n_prompt, n_gen, n_depth, avg_ts FROM test"
    rows = database.execute(text).fetchall()
    measured = ("build_commit", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts")
    equal = " AND ".join(f"a.{name} = b.{name}" for name in LLAMA_BENCH if name not in measured)
    (joined,) = database.execute(f"SELECT COUNT(*) FROM test a JOIN test b ON {equal}").fetchone()  # noqa: S608  # column names
    database.close()
    assert [name for name, _ in columns] == LLAMA_BENCH
    assert {kind for _, kind in columns} == {"TEXT", "INTEGER", "REAL"}
    shared = ("/srv/o'clock.gguf", "RTX PRO 6000/RTX PRO 6000", 0)
    assert rows == [(*shared, 30, 1024, 0, 4096, 400.0), (*shared, 15, 0, 64, 5120, 20.0)]
    assert joined == 2


def test_what_a_run_without_a_profile_does_not_tell_is_null() -> None:
    bare = a_run(profile=None, profile_document={}, argv=(), engine={"build": "b9415-0dc74e33"}, host={}, model={})
    database = sqlite3.connect(":memory:")
    database.executescript("".join(llama_bench_sql([(bare, [a_sample(0, tg=20, pp=400)])])))
    text = "SELECT build_commit, build_number, cuda, gpu_info, n_batch, flash_attn, override_tensor, n_prompt FROM test"
    assert database.execute(text).fetchone() == ("0dc74e33", 9415, None, None, None, None, None, 2048)
    database.close()


def test_settings_that_only_ik_llama_has_are_null_on_llama_cpp() -> None:
    run = replace(
        PROFILED,
        engine={"name": "llama_cpp", "build": "b1-standin"},
        profile_document={"server": {"flash_attn": "off"}},
    )
    (pp, _) = json.loads("".join(llama_bench([(run, [a_sample(0)])])))
    assert [pp[name] for name in ("n_batch", "type_k", "flash_attn", "mla_attn", "mqkv", "fused_moe", "ser")] == [
        2048, "f16", False, None, None, None, None,
    ]  # fmt: skip  # one line


def test_sweep_bench_has_a_line_with_its_own_fields_for_each_run_with_both_rates() -> None:
    run = a_run(profile_document={"server": {"ctx_size": 4096, "ubatch_size": 512, "threads": 15}})
    lines = list(sweep_bench([(run, [a_sample(0, tg=20, pp=400), a_sample(1, tg=30, pp=600)]), (run, [])]))
    found = [json.loads(line) for line in lines]
    # In the order of sweep-bench.cpp at 29a54f4, line 247.
    assert [list(one.items()) for one in found] == [
        [
            ("n_kv_max", 4096), ("n_batch", 2048), ("n_ubatch", 512), ("flash_attn", 1), ("n_gpu_layers", -1),
            ("n_threads", 15), ("n_threads_batch", 15), ("pp", 2048), ("tg", 128), ("n_kv", 0), ("t_pp", 2048 / 500),
            ("speed_pp", 500.0), ("t_tg", 128 / 25), ("speed_tg", 25.0),
        ]
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


@settings(max_examples=50)
@given(st.text(max_size=8), st.text(max_size=8), st.floats(1e-3, 1e6))
def test_prometheus_own_parser_reads_back_every_label_and_number(profile: str, host: str, tg: float) -> None:
    run = a_run("r1", status="done", profile=profile or "p", host={"hostname": host})
    text = "".join(prometheus([(run, [a_sample(index, tg=tg * (1 + index / 100)) for index in range(3)])]))
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {
        *(f"gpubox_{name}{end}" for name in RATES for end in ("", "_low", "_high")),
        "gpubox_draft_acceptance_ratio",
        "gpubox_run_start_time_seconds",
    }
    assert {family.type for family in families.values()} == {"gauge"}
    (sample,) = families["gpubox_generated_tokens_per_second"].samples
    assert sample.labels == {"profile": profile or "p", "workload": "pp2048+tg128", "host": host}
    assert sample.value == pytest.approx(tg * 1.01)


def test_the_command_offers_every_format() -> None:
    assert tuple(FORMATS) == FORMAT_NAMES


def test_without_a_run_each_format_is_empty_but_well_formed() -> None:
    assert "".join(jsonl([])) == ""
    assert "".join(llama_bench([])) == "[]\n"
    assert "".join(sweep_bench([])) == "".join(prometheus([])) == ""
    assert "INSERT" not in "".join(llama_bench_sql([]))
    assert "".join(samples_csv([])).startswith("run,batch,profile,workload,status,index,kind,")
