"""How good an answer was, beside how fast: tokens before its first fault, and the likelihood of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

STATEMENTS = (
    "ALTER TABLE samples ADD COLUMN clean_n BIGINT",
    "ALTER TABLE samples ADD COLUMN nll DOUBLE PRECISION",
)


def upgrade(connection: Connection) -> None:
    """Add both columns; samples from before have nothing there."""
    for statement in STATEMENTS:
        connection.exec_driver_sql(statement)
