"""What boxes did during runs, kept beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.results.tables import telemetry
from gpubox.telemetry.readings import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.results.store import Store


def add_readings(store: Store, run_id: str, readings: Sequence[Reading]) -> None:
    """Write readings of a run; they are on the disk when this returns."""
    if readings:
        rows = [{"run_id": run_id, "at": one.at, "reading": one.as_dict()} for one in readings]
        with store.database.writing() as connection:
            connection.execute(telemetry.insert(), rows)


def readings_of(store: Store, run_id: str) -> list[Reading]:
    """Return the readings of a run, oldest first; none of a run whose box was not watched."""
    query = telemetry.select().where(telemetry.c.run_id == run_id).order_by(telemetry.c.at)
    with store.database.reading() as connection:
        return [Reading.of_dict(row.reading) for row in connection.execute(query)]
