"""What a profile is held against on a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

STATEMENTS = (
    """
    CREATE TABLE baselines (
        box TEXT NOT NULL,
        profile TEXT NOT NULL,
        position INTEGER NOT NULL,
        set_at TEXT NOT NULL,
        batch TEXT,
        PRIMARY KEY (box, profile, position)
    )
    """,
)


def upgrade(connection: Connection) -> None:
    """Add the table."""
    for statement in STATEMENTS:
        connection.exec_driver_sql(statement)
