"""What benchmarks of boxes were asked for, so that one that was interrupted can go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from gpubox.bench.plan import Plan
from gpubox.errors import UnknownRunError
from gpubox.results.tables import batches

if TYPE_CHECKING:
    from gpubox.results.store import Store


def add_batch(store: Store, plan: Plan) -> None:
    """Write a plan before anything of it is done."""
    with store.database.writing() as connection:
        connection.execute(batches.insert().values(id=plan.batch, box=plan.box, asked=plan.as_dict()))


def batch_to_resume(store: Store, box: str, name: str = "") -> Plan:
    """Return the plan of a batch.

    Args:
        store: the results.
        box: where it was begun.
        name: its id or the beginning of one; the newest of the box when empty.

    Raises:
        UnknownRunError: there is none.
    """
    query = select(batches.c.asked).where(batches.c.box == box, batches.c.id.startswith(name, autoescape=True))
    with store.database.reading() as connection:
        asked = connection.scalar(query.order_by(batches.c.id.desc()).limit(1))
    if asked is None:
        fault = f"no benchmark of {box}{f' begins with {name}' if name else ''} in {store.place}"
        raise UnknownRunError("--resume", fault, f"begin one: gpubox bench PROFILE --host {box}")
    return Plan.of_dict(asked)
