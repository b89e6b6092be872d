"""Numbered steps from an empty database to the schema of this gpubox.

A step is a module `NNNN_name` with `upgrade(connection)`. Once released it never changes and imports nothing of
gpubox, so that it does the same to an old database for ever.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, cast

from sqlalchemy import inspect

from gpubox import __version__
from gpubox.errors import ResultsError
from gpubox.results.tables import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Step(Protocol):
    """A module of this package."""

    def upgrade(self, connection: Connection) -> None:
        """Change the schema, and the rows where they need it; the caller commits."""


def steps() -> dict[int, str]:
    """Return the name of each step's module by its number, in order."""
    return {int(name[:4]): name for name in sorted(module.name for module in iter_modules(__path__))}


def head() -> int:
    """Return the schema version that this gpubox reads and writes."""
    return max(steps())


def version_of(connection: Connection, place: str) -> int:
    """Return the schema version of a database: 0 when it is empty.

    Args:
        connection: to the database.
        place: how errors name it.

    Raises:
        ResultsError: the tables in it are not gpubox's, or a newer gpubox made them.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return 0
    if schema.name not in tables:
        raise ResultsError(
            place, f"holds tables of something else ({tables[0]}, …)", "give results a database of their own"
        )
    newest = connection.execute(schema.select().order_by(schema.c.version.desc()).limit(1)).one_or_none()
    if newest is None:
        raise ResultsError(place, "its schema version is missing", "restore it from a copy")
    if newest.version > head():
        raise ResultsError(
            place,
            f"schema version {newest.version}, made by gpubox {newest.tool_version}; "
            f"this gpubox {__version__} knows versions up to {head()}",
            f"install gpubox {newest.tool_version} or newer",
        )
    return cast("int", newest.version)


def migrate(connection: Connection, place: str) -> None:
    """Bring a database to the newest schema.

    Call it in a transaction that excludes other writers: the version is read again inside it, so that of two processes
    that find the same old database, the second finds the work done.

    Raises:
        ResultsError: as `version_of`.
    """
    current = version_of(connection, place)
    if current == 0:
        schema.create(connection)
    for number, name in steps().items():
        if number > current:
            step = cast("Step", import_module(f"{__name__}.{name}"))
            step.upgrade(connection)
            applied_at = datetime.now(UTC).isoformat(timespec="seconds")
            row = {"version": number, "applied_at": applied_at, "tool_version": __version__}
            connection.execute(schema.insert().values(row))
