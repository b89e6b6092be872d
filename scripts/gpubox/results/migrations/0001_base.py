"""Runs, their samples, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

STATEMENTS = (
    """
    CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        batch TEXT NOT NULL,
        started_at TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        workload TEXT NOT NULL,
        workload_fields JSON,
        profile TEXT,
        profile_hash TEXT,
        profile_document JSON,
        argv JSON,
        engine JSON,
        model JSON,
        host JSON,
        flags JSON
    )
    """,
    """
    CREATE TABLE endings (
        run_id TEXT NOT NULL PRIMARY KEY REFERENCES runs (id),
        status TEXT NOT NULL,
        finished_at TEXT NOT NULL,
        reason TEXT NOT NULL,
        flags JSON
    )
    """,
    """
    CREATE TABLE samples (
        run_id TEXT NOT NULL REFERENCES runs (id),
        position INTEGER NOT NULL,
        kind TEXT NOT NULL,
        started_at TEXT NOT NULL,
        sent_n BIGINT NOT NULL,
        requested_n BIGINT NOT NULL,
        delivered_n BIGINT NOT NULL,
        prompt_n BIGINT,
        prompt_ms DOUBLE PRECISION,
        predicted_n BIGINT,
        predicted_ms DOUBLE PRECISION,
        predicted_steps BIGINT,
        cached_n BIGINT,
        draft_n BIGINT,
        draft_n_accepted BIGINT,
        ttft_ms DOUBLE PRECISION,
        e2e_ms DOUBLE PRECISION NOT NULL,
        rtt_ms DOUBLE PRECISION,
        answer_sha256 TEXT NOT NULL,
        faults JSON,
        flags JSON,
        arrivals_ms JSON,
        extra JSON,
        PRIMARY KEY (run_id, position)
    )
    """,
    "CREATE INDEX runs_by_profile ON runs (profile, workload, id)",
    "CREATE INDEX runs_by_batch ON runs (batch)",
)


def upgrade(connection: Connection) -> None:
    """Build the first schema in an empty database."""
    for statement in STATEMENTS:
        connection.exec_driver_sql(statement)
