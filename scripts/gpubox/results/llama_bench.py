"""Results as llama-bench writes them, JSON or SQL, for the programs that read its output."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gpubox.results.llama_settings import build, gpu_names, settings, threads
from gpubox.results.metrics import PP, TG

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.metrics import Metric

    Measured = tuple[Run, Sequence[Sample]]

# The columns of its SQL and their types, in its order; `n_depth` is llama.cpp's alone.
SQL_COLUMNS = {
    "build_commit": "TEXT", "build_number": "INTEGER", "cuda": "INTEGER", "vulkan": "INTEGER", "kompute": "INTEGER",
    "metal": "INTEGER", "sycl": "INTEGER", "rpc": "TEXT", "gpu_blas": "INTEGER", "blas": "INTEGER", "cpu_info": "TEXT",
    "gpu_info": "TEXT", "model_filename": "TEXT", "model_type": "TEXT", "model_size": "INTEGER",
    "model_n_params": "INTEGER", "n_batch": "INTEGER", "n_ubatch": "INTEGER", "n_threads": "INTEGER", "type_k": "TEXT",
    "type_v": "TEXT", "n_gpu_layers": "INTEGER", "split_mode": "TEXT", "main_gpu": "INTEGER",
    "no_kv_offload": "INTEGER", "flash_attn": "INTEGER", "mla_attn": "INTEGER", "attn_max_batch": "INTEGER",
    "ser": "TEXT", "reuse": "INTEGER", "tensor_split": "TEXT", "use_mmap": "INTEGER", "embeddings": "INTEGER",
    "repack": "INTEGER", "mqkv": "INTEGER", "muge": "INTEGER", "defer_experts": "INTEGER", "fused_moe": "INTEGER",
    "grouped_er": "INTEGER", "no_fused_up_gate": "INTEGER", "use_thp": "INTEGER", "no_ooae": "INTEGER",
    "rcache": "INTEGER", "sas": "INTEGER", "max_gpu": "INTEGER", "cuda_params": "TEXT", "override_tensor": "TEXT",
    "n_prompt": "INTEGER", "n_gen": "INTEGER", "n_depth": "INTEGER", "test_time": "TEXT", "avg_ns": "INTEGER",
    "stddev_ns": "INTEGER", "avg_ts": "REAL", "stddev_ts": "REAL", "test": "TEXT",
}  # fmt: skip  # a table


def llama_bench(measured: Iterable[Measured]) -> Iterator[str]:
    """Give a JSON array with llama-bench's field names: per run one element for PP and one for TG.

    TG is measured after the prompt, so its element has `n_prompt` 0 and the prompt as `n_depth`, as `llama-bench -d`
    writes it. What is not known is null; a run without a valid sample has no element.
    """
    yield json.dumps(list(_elements(measured)), indent=2) + "\n"


def llama_bench_sql(measured: Iterable[Measured]) -> Iterator[str]:
    """Give llama-bench's SQL: its table `test` and one INSERT for each element of its JSON; what is not known is NULL."""
    columns = ",\n".join(f"  {name} {kind}" for name, kind in SQL_COLUMNS.items())
    yield f"CREATE TABLE IF NOT EXISTS test (\n{columns}\n);\n\n"
    for element in _elements(measured):
        values = ", ".join(_literal(element[name]) for name in SQL_COLUMNS)
        yield f"INSERT INTO test ({', '.join(SQL_COLUMNS)}) VALUES ({values});\n"  # noqa: S608  # a file's text, every value a literal


def prompt_tokens(run: Run, samples: Sequence[Sample]) -> int:
    """Return how many tokens the prompt has beyond the depth; of a text the server's count."""
    if run.workload.n_prompt:
        return run.workload.n_prompt
    return next((sample.sent_n for sample in samples if sample.valid), 0)


def answer_tokens(run: Run, samples: Sequence[Sample]) -> int:
    """Return how many tokens are generated; of an answer to a text, which the model ends, those that came."""
    if not run.workload.text:
        return run.workload.n_gen
    return next((sample.delivered_n for sample in samples if sample.valid), 0)


def _elements(measured: Iterable[Measured]) -> Iterator[dict[str, Any]]:
    for run, samples in measured:
        depth, n_prompt, n_gen = run.workload.depth, prompt_tokens(run, samples), answer_tokens(run, samples)
        for metric, place in (
            (PP, {"n_prompt": n_prompt, "n_gen": 0, "n_depth": depth}),
            (TG, {"n_prompt": 0, "n_gen": n_gen, "n_depth": depth + n_prompt}),
        ):
            if rates := metric.known(samples):
                yield _element(run, metric, rates, place)


def _element(run: Run, metric: Metric, rates: Sequence[float], place: dict[str, int]) -> dict[str, Any]:
    count = place["n_prompt" if metric is PP else "n_gen"]
    nanoseconds = [round(count / rate * 1e9) for rate in rates]
    commit, number = build(run)
    meta = run.model.get("meta") or {}
    gpus = gpu_names(run)
    cuda = None if gpus is None else bool(gpus)
    depth = f"@pp{place['n_depth']}" if place["n_depth"] else ""
    known = {
        "build_commit": commit,
        "build_number": number,
        **dict.fromkeys(("cuda", "gpu_blas", "blas"), cuda),
        **dict.fromkeys(("vulkan", "kompute", "metal", "sycl"), False),
        "rpc": "0",
        "cpu_info": run.host.get("cpu"),
        "gpu_info": gpus,
        "model_filename": run.model.get("path"),
        "model_type": run.model.get("type") or run.model.get("name"),
        "model_size": meta.get("size", run.model.get("size")),
        "model_n_params": meta.get("n_params"),
        "n_threads": threads(run, batch=metric is PP),
        **settings(run),
        **place,
        "test_time": f"{datetime.fromisoformat(run.started_at).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "avg_ns": round(fmean(nanoseconds)),
        "stddev_ns": round(stdev(nanoseconds)) if len(rates) > 1 else 0,
        "avg_ts": fmean(rates),
        "stddev_ts": stdev(rates) if len(rates) > 1 else 0.0,
        "test": f"{'pp' if metric is PP else 'tg'}{count}{depth}",
    }
    raw = {"samples_ns": nanoseconds, "samples_ts": list(rates)}
    return {name: known[name] for name in SQL_COLUMNS} | raw


def _literal(value: object) -> str:
    """Return a SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return repr(int(value) if isinstance(value, bool) else value)
    return "'" + str(value).replace("'", "''") + "'"
