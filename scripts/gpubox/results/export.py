"""Results for other programs: JSON lines (lossless), CSV (one sample a line), llama-bench's JSON."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gpubox.errors import DocumentError, Fault
from gpubox.record import Run, Sample, Workload
from gpubox.results.metrics import PP, TG
from gpubox.results.serial import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gpubox.results.metrics import Metric

    Measured = tuple[Run, Sequence[Sample]]

RUN_COLUMNS = ("run", "batch", "profile", "workload", "status")
COMPUTED_COLUMNS = ("valid", "pp_tps", "tg_tps", "draft_acceptance")

# llama-bench's names of what a profile's `server` map calls as the servers do.
LLAMA_BENCH_SERVER = {
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


def jsonl(measured: Iterable[Measured]) -> Iterator[str]:
    """Give one line per run: the fields of `Run`, and `samples` with the fields of `Sample`; nothing is left out."""
    for run, samples in measured:
        yield dumps(asdict(run) | {"samples": [asdict(sample) for sample in samples]}) + "\n"


def read_jsonl(lines: Iterable[str], file: str) -> Iterator[tuple[Run, list[Sample]]]:
    """Read what `jsonl` wrote; empty lines are skipped.

    Args:
        lines: of the file.
        file: its name, for errors.

    Raises:
        DocumentError: a line that is not a run.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                entry = json.loads(line)
                samples = [Sample(**_tuples(sample, Sample)) for sample in entry.pop("samples")]
                yield Run(workload=Workload(**entry.pop("workload")), **_tuples(entry, Run)), samples
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                what = f"not a run as `gpubox export --format jsonl` writes it ({type(error).__name__}: {error})"
                raise DocumentError([Fault(file, f"line {number}", what)]) from error


def samples_csv(measured: Iterable[Measured]) -> Iterator[str]:
    """Give a header and one line per sample, warm-ups and invalid ones included; lists are JSON, unknown is empty."""
    names = [field.name for field in fields(Sample)]
    yield _csv([*RUN_COLUMNS, *names, *COMPUTED_COLUMNS])
    for run, samples in measured:
        start = [run.id, run.batch, run.profile, run.workload.name, run.status]
        for sample in samples:
            raw = (getattr(sample, name) for name in names)
            computed = (getattr(sample, name) for name in COMPUTED_COLUMNS)
            yield _csv([*start, *(dumps(v) if isinstance(v, tuple | dict) else v for v in raw), *computed])


def llama_bench(measured: Iterable[Measured]) -> Iterator[str]:
    """Give a JSON array with llama-bench's field names: per run one element for PP and one for TG.

    TG is measured after the prompt, so its element has `n_prompt` 0 and the prompt as `n_depth`, as `llama-bench -d`
    writes it. What is not known is null; a run without a valid sample has no element.
    """
    elements = [
        element
        for run, samples in measured
        for metric, n in ((PP, run.workload.n_prompt), (TG, run.workload.n_gen))
        if (element := _llama_bench(run, metric, metric.known(samples), n)) is not None
    ]
    yield json.dumps(elements, indent=2) + "\n"


FORMATS: dict[str, Callable[[Iterable[Measured]], Iterator[str]]] = {
    "jsonl": jsonl,
    "csv": samples_csv,
    "llama-bench": llama_bench,
}


def _llama_bench(run: Run, metric: Metric, rates: Sequence[float], n: int) -> dict[str, Any] | None:
    if not rates:
        return None
    nanoseconds = [round(n / rate * 1e9) for rate in rates]
    server = run.profile_document.get("server", {})
    prompt = metric is PP
    return {
        "build_commit": run.engine.get("commit", run.engine.get("build")),
        "build_number": run.engine.get("version"),
        "cpu_info": run.host.get("cpu"),
        "gpu_info": run.host.get("gpus"),
        "model_filename": run.model.get("path"),
        "model_type": run.model.get("type"),
        "model_size": run.model.get("size"),
        "model_n_params": run.model.get("n_params"),
        **{theirs: server.get(ours) for theirs, ours in LLAMA_BENCH_SERVER.items()},
        "override_tensor": run.profile_document.get("override_tensor"),
        "n_prompt": n if prompt else 0,
        "n_gen": 0 if prompt else n,
        "n_depth": 0 if prompt else run.workload.n_prompt,
        "test_time": run.started_at,
        "avg_ns": round(fmean(nanoseconds)),
        "stddev_ns": round(stdev(nanoseconds)) if len(rates) > 1 else 0,
        "avg_ts": fmean(rates),
        "stddev_ts": stdev(rates) if len(rates) > 1 else 0.0,
        "samples_ns": nanoseconds,
        "samples_ts": list(rates),
    }


def _tuples(entry: dict[str, Any], kind: type[Run | Sample]) -> dict[str, Any]:
    lists = {field.name for field in fields(kind) if str(field.type).startswith("tuple")}
    return {name: tuple(value) if name in lists else value for name, value in entry.items()}


def _csv(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
