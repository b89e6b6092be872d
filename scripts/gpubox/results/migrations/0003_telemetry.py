"""What a benchmark of a box was asked for, so that it can be resumed, and what the box did during each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

STATEMENTS = (
    """
    CREATE TABLE batches (
        id TEXT NOT NULL PRIMARY KEY,
        box TEXT NOT NULL,
        asked JSON
    )
    """,
    "CREATE INDEX batches_by_box ON batches (box, id)",
    """
    CREATE TABLE telemetry (
        run_id TEXT NOT NULL REFERENCES runs (id),
        at DOUBLE PRECISION NOT NULL,
        reading JSON,
        PRIMARY KEY (run_id, at)
    )
    """,
)


def upgrade(connection: Connection) -> None:
    """Add both tables; runs from before have no row there."""
    for statement in STATEMENTS:
        connection.exec_driver_sql(statement)
