"""Results as llama-bench writes them, JSON or SQL, for the programs that read its output."""

from __future__ import annotations

import json
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gpubox.results.metrics import PP, TG

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.metrics import Metric

    Measured = tuple[Run, Sequence[Sample]]

# llama-bench's names of what a profile's `server` map calls as the servers do.
SERVER_FIELDS = {
    "n_batch": "batch_size",
    "n_ubatch": "ubatch_size",
    "n_threads": "threads",
    "type_k": "cache_type_k",
    "type_v": "cache_type_v",
    "n_gpu_layers": "n_gpu_layers",
    "split_mode": "split_mode",
    "mla_attn": "mla_use",
    "attn_max_batch": "attention_max_batch",
    "tensor_split": "tensor_split",
}

# The columns of its SQL and their types, as it gives them.
SQL_COLUMNS = {
    "build_commit": "TEXT", "build_number": "INTEGER", "cpu_info": "TEXT", "gpu_info": "TEXT",
    "model_filename": "TEXT", "model_type": "TEXT", "model_size": "INTEGER", "model_n_params": "INTEGER",
    "n_batch": "INTEGER", "n_ubatch": "INTEGER", "n_threads": "INTEGER", "type_k": "TEXT", "type_v": "TEXT",
    "n_gpu_layers": "INTEGER", "split_mode": "TEXT", "mla_attn": "INTEGER", "attn_max_batch": "INTEGER",
    "tensor_split": "TEXT", "override_tensor": "TEXT", "n_prompt": "INTEGER", "n_gen": "INTEGER", "n_depth": "INTEGER",
    "test_time": "TEXT", "avg_ns": "INTEGER", "stddev_ns": "INTEGER", "avg_ts": "REAL", "stddev_ts": "REAL",
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
    nanoseconds = [round(place["n_prompt" if metric is PP else "n_gen"] / rate * 1e9) for rate in rates]
    server = run.profile_document.get("server", {})
    return {
        "build_commit": run.engine.get("commit", run.engine.get("build")),
        "build_number": run.engine.get("version"),
        "cpu_info": run.host.get("cpu"),
        "gpu_info": run.host.get("gpus"),
        "model_filename": run.model.get("path"),
        "model_type": run.model.get("type"),
        "model_size": run.model.get("size"),
        "model_n_params": run.model.get("n_params"),
        **{theirs: server.get(ours) for theirs, ours in SERVER_FIELDS.items()},
        "override_tensor": run.profile_document.get("override_tensor"),
        **place,
        "test_time": run.started_at,
        "avg_ns": round(fmean(nanoseconds)),
        "stddev_ns": round(stdev(nanoseconds)) if len(rates) > 1 else 0,
        "avg_ts": fmean(rates),
        "stddev_ts": stdev(rates) if len(rates) > 1 else 0.0,
        "samples_ns": nanoseconds,
        "samples_ts": list(rates),
    }


def _literal(value: object) -> str:
    """Return a SQL literal; lists are text, as llama-bench joins them."""
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return repr(value)
    text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    return "'" + text.replace("'", "''") + "'"
