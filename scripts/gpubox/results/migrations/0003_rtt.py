"""The shortest empty round trip to the server, which TTFT holds too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Add the column; samples from before have none."""
    connection.exec_driver_sql("ALTER TABLE samples ADD COLUMN rtt_ms DOUBLE PRECISION")
