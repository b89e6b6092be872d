"""Runs and samples as rows of the tables, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from gpubox.record import Run, Sample, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from gpubox.results.writer import Writer

# The columns of a sample, in the order of its fields; `index` is a reserved word.
SAMPLE_COLUMNS = tuple("position" if field.name == "index" else field.name for field in fields(Sample))

# JSON is not in the schema's version: a newer gpubox may have written more fields than this one knows.
KNOWN = tuple(field.name for field in fields(Workload))


def row_of_run(run: Run, writer: Writer) -> dict[str, Any]:
    """Return the row that is written when a run starts; how it ends is another table's business."""
    row = {
        field.name: getattr(run, field.name)
        for field in fields(run)
        if field.name not in {"workload", "status", "finished_at", "reason"}
    }
    return _without_empty(row) | {
        "workload": run.workload.name,
        "workload_fields": asdict(run.workload),
        "writer": asdict(writer),
    }


def run_of_row(row: RowMapping, *, lives: bool) -> Run:
    """Return the run of a row of `runs` joined with `endings`.

    Args:
        row: the columns; those of `endings` are prefixed by `end_` and None where there is no ending.
        lives: whether the writer of a run without an ending still works on it; otherwise the run reads as interrupted.
    """
    ending: dict[str, Any]
    if row["end_status"] is not None:
        ending = {"status": row["end_status"], "finished_at": row["end_finished_at"], "reason": row["end_reason"]}
    elif lives:
        ending = {"status": "running"}
    else:
        ending = {"status": "interrupted", "reason": "the process that measured it is gone"}
    return Run(
        id=row["id"],
        batch=row["batch"],
        started_at=row["started_at"],
        tool_version=row["tool_version"],
        endpoint=row["endpoint"],
        workload=Workload(**{name: row["workload_fields"][name] for name in KNOWN if name in row["workload_fields"]}),
        profile=row["profile"],
        profile_hash=row["profile_hash"],
        profile_document=row["profile_document"] or {},
        argv=tuple(row["argv"] or ()),
        engine=row["engine"] or {},
        model=row["model"] or {},
        host=row["host"] or {},
        # In order, each once.
        flags=tuple(dict.fromkeys((row["flags"] or []) + (row["end_flags"] or []))),
        **ending,
    )


def row_of_sample(run_id: str, sample: Sample) -> dict[str, Any]:
    """Return the row of a sample."""
    row = {field.name: getattr(sample, field.name) for field in fields(sample)}
    row["position"] = row.pop("index")
    return {"run_id": run_id} | _without_empty(row)


def sample_of_row(row: Sequence[Any]) -> Sample:
    """Return the sample of the columns `SAMPLE_COLUMNS`, in that order; by position, for there may be a million."""
    arrivals, answer, faults, flags, extra = row[-5:]
    may_be_empty: tuple[Any, ...] = (
        tuple(arrivals or ()),
        answer,
        tuple(faults or ()),
        tuple(flags or ()),
        extra or {},
    )
    return Sample(*row[:-5], *may_be_empty)


def _without_empty(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value in ((), {}) else value for name, value in row.items()}
