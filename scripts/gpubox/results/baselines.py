"""What a profile is held against on a box: a batch of its runs that somebody named once.

Rows are only added, so that what was held against what can be told later too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from gpubox.errors import UnknownRunError
from gpubox.results.tables import baselines

if TYPE_CHECKING:
    from gpubox.record import Run
    from gpubox.results.store import Store


@dataclass(frozen=True)
class Baseline:
    """One that is in force.

    Attributes:
        box: the host name of the machine that served; empty where nobody knows it.
        profile: whose.
        set_at: when it was named, ISO 8601.
        batch: whose runs it is.
    """

    box: str
    profile: str
    set_at: str
    batch: str


def box_of(run: Run) -> str:
    """Return the host name of the machine that served a run, empty where the run does not tell."""
    return str(run.host.get("hostname") or "")


def set_baseline(store: Store, run: Run) -> Baseline:
    """Hold a run's profile on its box against the run's batch from now on.

    Raises:
        UnknownRunError: the run is of no profile.
    """
    if run.profile is None:
        raise UnknownRunError(run.id, "was measured without a profile", "name a run of a profile")
    found = Baseline(box_of(run), run.profile, datetime.now(UTC).isoformat(timespec="seconds"), run.batch)
    _add(store, found.box, found.profile, found.set_at, found.batch)
    return found


def withdraw_baseline(store: Store, baseline: Baseline) -> None:
    """Hold a profile on a box against nothing any more."""
    _add(store, baseline.box, baseline.profile, datetime.now(UTC).isoformat(timespec="seconds"), None)


def baselines_in_force(store: Store, profile: str | None = None) -> list[Baseline]:
    """Return the baselines in force, by profile and box.

    Args:
        store: the results.
        profile: of this profile alone; None for all.
    """
    last = select(baselines.c.box, baselines.c.profile, func.max(baselines.c.position).label("position"))
    last_rows = last.group_by(baselines.c.box, baselines.c.profile).subquery()
    query = select(baselines).join(
        last_rows,
        (baselines.c.box == last_rows.c.box)
        & (baselines.c.profile == last_rows.c.profile)
        & (baselines.c.position == last_rows.c.position),
    )
    if profile is not None:
        query = query.where(baselines.c.profile == profile)
    query = query.where(baselines.c.batch.is_not(None)).order_by(baselines.c.profile, baselines.c.box)
    with store.database.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return [Baseline(row["box"], row["profile"], row["set_at"], row["batch"]) for row in rows]


def baseline_of(store: Store, profile: str, box: str) -> Baseline | None:
    """Return what a profile is held against on a box, or None."""
    return next((found for found in baselines_in_force(store, profile) if found.box == box), None)


def baseline_runs(store: Store, baseline: Baseline) -> list[Run]:
    """Return the runs of a baseline, newest first."""
    runs = store.runs(profile=baseline.profile, batch=baseline.batch, status="done")
    return [run for run in runs if box_of(run) == baseline.box]


def _add(store: Store, box: str, profile: str, set_at: str, batch: str | None) -> None:
    with store.database.writing() as connection:
        where = (baselines.c.box == box) & (baselines.c.profile == profile)
        last = connection.scalar(select(func.max(baselines.c.position)).where(where))
        row = {"box": box, "profile": profile, "position": (last or 0) + 1, "set_at": set_at, "batch": batch}
        connection.execute(baselines.insert().values(row))
