"""The names that a user gives for runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.errors import UnknownRunError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpubox.record import Run
    from gpubox.results.store import Store


@dataclass(frozen=True)
class Selection:
    """What a name stands for.

    Attributes:
        name: as the user wrote it.
        runs: one per workload, by workload name.
    """

    name: str
    runs: tuple[Run, ...]


def select(store: Store, name: str) -> Selection:
    """Find the runs that a name stands for.

    Tried in this order: `latest` and `latest~N`, a profile (its latest finished run of each workload),
    `PROFILE@BATCH`, a run (id or beginning of it), a batch (id or beginning of it) with runs of one profile only.

    Raises:
        UnknownRunError: nothing has that name, or it stands for several profiles.
    """
    if name.partition("~")[0] == "latest":
        return Selection(name, (store.run(name),))
    if found := store.runs(profile=name, status="done"):
        return Selection(name, latest_of_each(found))
    profile, at, batch = name.rpartition("@")
    if at and (found := [run for run in _of_batch(store, batch) if run.profile == profile]):
        return Selection(name, latest_of_each(found))
    ids = store.run_ids()
    if [run_id for run_id in ids if run_id.startswith(name)]:
        return Selection(name, (store.run(name),))
    if found := _of_batch(store, name):
        profiles = sorted({run.profile or run.endpoint for run in found})
        if len(profiles) > 1:
            choices = " or ".join(f"{profile}@{name}" for profile in profiles)
            raise UnknownRunError(name, f"this batch holds {len(profiles)} profiles", f"name one: {choices}")
        return Selection(name, latest_of_each(found))
    profiles = store.profiles()
    if name in profiles:
        raise UnknownRunError(name, "this profile has no finished run", f"name a run: gpubox results --profile {name}")
    remedy = store.remedy_for(name, [*profiles, *ids, *store.batches()])
    raise UnknownRunError(name, f"no such run, profile or batch in {store.place}", remedy)


def latest_of_each(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return the latest of the runs of each workload, by workload name.

    Args:
        runs: newest first.
    """
    latest: dict[str, Run] = {}
    for run in runs:
        latest.setdefault(run.workload.name, run)
    return tuple(latest[workload] for workload in sorted(latest))


def _of_batch(store: Store, name: str) -> list[Run]:
    batches = [batch for batch in store.batches() if name and batch.startswith(name)]
    if name in batches:
        batches = [name]
    if len(batches) > 1:
        raise UnknownRunError(name, f"several batches in {store.place} begin so", "write more of the id")
    return store.runs(batch=batches[0]) if batches else []
