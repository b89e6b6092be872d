"""The names that a user gives for runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.errors import UnknownRunError
from gpubox.results.baselines import baseline_of, baseline_runs, box_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.store import Store


BASELINE = "baseline"


@dataclass(frozen=True)
class Selection:
    """What a name stands for.

    Attributes:
        name: as the user wrote it.
        runs: one per workload, by workload name.
        earlier: of the batches of `runs`, the same profile's earlier rounds, oldest first; their samples count too.
    """

    name: str
    runs: tuple[Run, ...]
    earlier: tuple[Run, ...] = ()

    @property
    def every(self) -> tuple[Run, ...]:
        """All runs whose samples count."""
        return (*self.earlier, *self.runs)

    def samples_of(self, run: Run, samples: Mapping[str, Sequence[Sample]]) -> list[Sample]:
        """Return the samples of a run and of its earlier rounds, in order.

        Args:
            run: one of `runs`.
            samples: of `every`, by run id.
        """
        rounds = [one.id for one in self.earlier if _same(one, run)]
        return [sample for run_id in (*rounds, run.id) for sample in samples[run_id]]


def select(store: Store, name: str) -> Selection:
    """Find the runs that a name stands for.

    Tried in this order: `latest` and `latest~N`, a profile (its latest finished run of each workload),
    `PROFILE@baseline` (what the profile is held against on the box of its latest run), `PROFILE@BATCH`, a run (id or
    beginning of it), a batch (id or beginning of it) with runs of one profile only.

    Raises:
        UnknownRunError: nothing has that name, or it stands for several profiles.
    """
    if name.partition("~")[0] == "latest":
        return Selection(name, (store.run(name),))
    if found := store.runs(profile=name, status="done"):
        return selection_of(name, found)
    profile, at, batch = name.rpartition("@")
    if at and batch == BASELINE:
        return selection_of(name, _baseline(store, profile))
    if at and (found := [run for run in _of_batch(store, batch) if run.profile == profile]):
        return selection_of(name, found)
    ids = store.run_ids()
    if [run_id for run_id in ids if run_id.startswith(name)]:
        return Selection(name, (store.run(name),))
    if found := _of_batch(store, name):
        profiles = sorted({run.profile or run.endpoint for run in found})
        if len(profiles) > 1:
            choices = " or ".join(f"{profile}@{name}" for profile in profiles)
            raise UnknownRunError(name, f"this batch holds {len(profiles)} profiles", f"name one: {choices}")
        return selection_of(name, found)
    profiles = store.profiles()
    if name in profiles:
        raise UnknownRunError(name, "this profile has no finished run", f"name a run: gpubox results --profile {name}")
    remedy = store.remedy_for(name, [*profiles, *ids, *store.batches()])
    raise UnknownRunError(name, f"no such run, profile or batch in {store.place}", remedy)


def _baseline(store: Store, profile: str) -> list[Run]:
    finished = store.runs(profile=profile, status="done", limit=1)
    found = baseline_of(store, profile, box_of(finished[0])) if finished else None
    if found is None:
        where = f" on {box_of(finished[0]) or 'its box'}" if finished else ""
        raise UnknownRunError(profile, f"is held against nothing{where}", f"gpubox baseline {profile} names its runs")
    return baseline_runs(store, found)


def latest_of_each(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return the latest of the runs of each workload, by workload name.

    Args:
        runs: newest first.
    """
    latest: dict[str, Run] = {}
    for run in runs:
        latest.setdefault(run.workload.name, run)
    return tuple(latest[workload] for workload in sorted(latest))


def selection_of(name: str, runs: Sequence[Run]) -> Selection:
    """Return the latest run of each workload, with the earlier rounds of its batch.

    Args:
        name: what they are called.
        runs: newest first.
    """
    latest = latest_of_each(runs)
    earlier = [
        run for run in runs if run.status == "done" and any(_same(run, one) and run is not one for one in latest)
    ]
    return Selection(name, latest, tuple(reversed(earlier)))


def _same(a: Run, b: Run) -> bool:
    return (a.batch, a.profile, a.workload.name) == (b.batch, b.profile, b.workload.name)


def _of_batch(store: Store, name: str) -> list[Run]:
    batches = [batch for batch in store.batches() if name and batch.startswith(name)]
    if name in batches:
        batches = [name]
    if len(batches) > 1:
        raise UnknownRunError(name, f"several batches in {store.place} begin so", "write more of the id")
    return store.runs(batch=batches[0]) if batches else []
