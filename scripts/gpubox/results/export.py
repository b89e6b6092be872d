"""Results for other programs: JSON lines (lossless), CSV (one sample a line), and the formats of other benchmarks."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from gpubox.errors import DocumentError, Fault
from gpubox.record import Run, Sample, Workload
from gpubox.results.llama_bench import llama_bench, llama_bench_sql
from gpubox.results.prometheus import prometheus
from gpubox.results.serial import dumps
from gpubox.results.sweep_bench import sweep_bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Measured = tuple[Run, Sequence[Sample]]

RUN_COLUMNS = ("run", "batch", "profile", "workload", "status")
COMPUTED_COLUMNS = ("valid", "pp_tps", "tg_tps", "draft_acceptance")


def jsonl(measured: Iterable[Measured]) -> Iterator[str]:
    """Give one line per run: the fields of `Run`, and `samples` with the fields of `Sample`; nothing is left out."""
    for run, samples in measured:
        yield dumps(asdict(run) | {"samples": [asdict(sample) for sample in samples]}) + "\n"


def read_jsonl(lines: Iterable[str], file: str, remedy: str = "") -> Iterator[tuple[Run, list[Sample]]]:
    """Read what `jsonl` wrote; empty lines are skipped.

    Args:
        lines: of the file.
        file: its name, for errors.
        remedy: what to do about a line that is none.

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
                raise DocumentError([Fault(file, f"line {number}", what, remedy=remedy)]) from error


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


FORMATS: dict[str, Callable[[Iterable[Measured]], Iterator[str]]] = {
    "jsonl": jsonl,
    "csv": samples_csv,
    "llama-bench": llama_bench,
    "llama-bench-sql": llama_bench_sql,
    "sweep-bench": sweep_bench,
    "prometheus": prometheus,
}


def _tuples(entry: dict[str, Any], kind: type[Run | Sample]) -> dict[str, Any]:
    lists = {field.name for field in fields(kind) if str(field.type).startswith("tuple")}
    return {name: tuple(value) if name in lists else value for name, value in entry.items()}


def _csv(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
