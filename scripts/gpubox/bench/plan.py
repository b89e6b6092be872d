"""What a benchmark of a box is to measure, and what of it is still missing."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gpubox.errors import EndpointError, GpuboxError
from gpubox.record import Workload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gpubox.bench.prompts import Route
    from gpubox.profile_files import LoadedProfile
    from gpubox.record import Run


@dataclass(frozen=True)
class Entry:
    """A profile to measure.

    Attributes:
        name: of the profile, on the box too.
        source: the name or path that the user gave.
        hash: of the profile when the benchmark was asked for.
        workloads: those that its context can hold.
    """

    name: str
    source: str
    hash: str
    workloads: tuple[Workload, ...]


@dataclass(frozen=True)
class Plan:
    """A benchmark of one box.

    Attributes:
        batch: id of all its runs.
        box: as in the inventory.
        entries: in this order.
        rounds: how often all of them are measured, one after the other.
        route: `completion` or `chat`; chosen by the engine when None.
    """

    batch: str
    box: str
    entries: tuple[Entry, ...]
    rounds: int = 1
    route: Route | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return asdict(self)

    @classmethod
    def of_dict(cls, value: dict[str, Any]) -> Plan:
        """Return the plan of an `as_dict`."""
        entries = tuple(
            Entry(**{**told, "workloads": tuple(Workload(**one) for one in told["workloads"])})
            for told in value["entries"]
        )
        return cls(**{**value, "entries": entries})


@dataclass(frozen=True)
class Step:
    """One profile in one round: what of it is still to be measured, without another switch between."""

    entry: Entry
    round: int
    workloads: tuple[Workload, ...]


def make_plan(
    batch: str,
    box: str,
    asked: Sequence[tuple[str, LoadedProfile, Sequence[Workload]]],
    *,
    rounds: int = 1,
    route: Route | None = None,
) -> tuple[Plan, list[str]]:
    """Return a plan, and what is left out of it, in words.

    Args:
        batch: a new id.
        box: where.
        asked: what the user named, the profile, and what to measure of it.
        rounds: how often.
        route: of the requests.

    Raises:
        GpuboxError: a profile is named twice.
        EndpointError: the context of a profile can hold no workload at all.
    """
    entries: list[Entry] = []
    left_out: list[str] = []
    for source, loaded, workloads in asked:
        if loaded.name in {entry.name for entry in entries}:
            raise GpuboxError(loaded.name, "is named twice", "to measure in turns, add --interleave")
        server = loaded.profile.server
        slot = server.ctx_size // (server.parallel or 1) if server.ctx_size else None
        fitting = [workload for workload in workloads if slot is None or _length(workload) <= slot]
        if not fitting:
            fault = f"no workload fits its context of {slot} tokens"
            raise EndpointError(loaded.name, fault, "ask for fewer tokens, or raise ctx_size in the profile")
        left_out += [
            f"{loaded.name}: {workload.name} is left out: {_length(workload)} tokens exceed its context of {slot}"
            for workload in workloads
            if workload not in fitting
        ]
        entries.append(Entry(loaded.name, source, loaded.hash, tuple(fitting)))
    return Plan(batch, box, tuple(entries), rounds, route), left_out


def missing(plan: Plan, done: Iterable[Run], serving: Collection[str] = ()) -> list[Step]:
    """Return the steps of a plan that its finished runs leave, in order.

    A run is measured whole or anew: samples from before and after another load of the model are not mixed.

    Args:
        plan: what was asked for.
        done: the runs of its batch that ended well.
        serving: profiles that serve already and come first, so that nothing is loaded for them; a load takes minutes.
    """
    measured = Counter((run.profile, run.workload.name) for run in done)
    steps = []
    for number in range(1, plan.rounds + 1):
        for entry in sorted(plan.entries, key=lambda entry: entry.name not in serving):
            left = [one for one in entry.workloads if measured[entry.name, one.name] < number]
            if left:
                steps.append(Step(entry, number, tuple(left)))
    return steps


def _length(workload: Workload) -> int:
    return workload.depth + workload.n_prompt + workload.n_gen
