"""Which process writes a run, so that a reader can tell a run in progress from one that was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Add the column; runs from before have no writer and are judged by their age."""
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN writer JSON")
