"""The tables as the newest migration leaves them; a test compares the two.

Rows are only ever inserted. The end of a run is a row of its own, so that nothing written is touched again. What is
asked for by value is a column, the rest is JSON; empty JSON is stored as NULL.
"""

from __future__ import annotations

from sqlalchemy import DOUBLE_PRECISION, JSON, BigInteger, Column, ForeignKey, Index, Integer, MetaData, Table, Text

metadata = MetaData()


def _json(name: str) -> Column[object]:
    return Column(name, JSON(none_as_null=True))


schema = Table(
    "gpubox_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", Text, nullable=False),
    Column("tool_version", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("batch", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("tool_version", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("workload", Text, nullable=False),
    _json("workload_fields"),
    Column("profile", Text),
    Column("profile_hash", Text),
    _json("profile_document"),
    _json("argv"),
    _json("engine"),
    _json("model"),
    _json("host"),
    _json("flags"),
    _json("writer"),
    Index("runs_by_profile", "profile", "workload", "id"),
    Index("runs_by_batch", "batch"),
)

endings = Table(
    "endings",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("status", Text, nullable=False),
    Column("finished_at", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _json("flags"),
)

samples = Table(
    "samples",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("sent_n", BigInteger, nullable=False),
    Column("requested_n", BigInteger, nullable=False),
    Column("delivered_n", BigInteger, nullable=False),
    Column("prompt_n", BigInteger),
    Column("prompt_ms", DOUBLE_PRECISION),
    Column("predicted_n", BigInteger),
    Column("predicted_ms", DOUBLE_PRECISION),
    Column("predicted_steps", BigInteger),
    Column("cached_n", BigInteger),
    Column("draft_n", BigInteger),
    Column("draft_n_accepted", BigInteger),
    Column("ttft_ms", DOUBLE_PRECISION),
    Column("e2e_ms", DOUBLE_PRECISION, nullable=False),
    Column("rtt_ms", DOUBLE_PRECISION),
    Column("answer_sha256", Text, nullable=False),
    _json("faults"),
    _json("flags"),
    # Long ones last: SQLite has to read through a row's overflow pages for whatever comes after them.
    _json("arrivals_ms"),
    _json("extra"),
    # Added later, so they stand behind; where they are NULL, which costs nothing, nobody reads through to them.
    Column("clean_n", BigInteger),
    Column("nll", DOUBLE_PRECISION),
)

# One row for each invocation on a box: all that is needed to go on with it.
batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("box", Text, nullable=False),
    _json("asked"),
    Index("batches_by_box", "box", "id"),
)

# One row a second while a run is measured; samples belong to those of their time.
telemetry = Table(
    "telemetry",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("at", DOUBLE_PRECISION, primary_key=True),
    _json("reading"),
)

# One row whenever somebody says what a profile is held against on a box; the last one counts, and is none without a batch.
baselines = Table(
    "baselines",
    metadata,
    Column("box", Text, primary_key=True),
    Column("profile", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("set_at", Text, nullable=False),
    Column("batch", Text),
)
