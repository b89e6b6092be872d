"""Measure one endpoint with some workloads and keep every sample as it arrives."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gpubox import __version__, interruption
from gpubox.bench.identity import identify
from gpubox.bench.runner import check_fits, choose_route, run_workload
from gpubox.clock import now
from gpubox.errors import EndpointError, GpuboxError
from gpubox.record import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpubox.bench.identity import Identity
    from gpubox.bench.prompts import Route
    from gpubox.endpoint import Endpoint
    from gpubox.profile_files import LoadedProfile
    from gpubox.record import Ending, Sample, Workload
    from gpubox.results.store import Store


class Watcher(Protocol):
    """Who is told of progress."""

    def say(self, text: str) -> None:
        """Report a step that is done or begins."""

    def sample(self, run: Run, sample: Sample) -> None:
        """Report a sample that has just been recorded."""


class GpuObserver(Protocol):
    """Who watches the GPUs that serve."""

    def seen(self, sample: Sample) -> Sample:
        """Return a sample that has just ended with what the GPUs did meanwhile."""


class Telemetry(Protocol):
    """What watches the host that is measured."""

    def keep(self, store: Store, run_id: str) -> None:
        """Record what has been read since the last call as the run's; between samples, where it costs them nothing."""

    def doubts(self) -> list[str]:
        """Return the flags of the run that ends now, and forget it."""


@dataclass(frozen=True)
class Subject:
    """What is measured, as far as it is known beside the endpoint itself.

    Attributes:
        profile: the profile served, or None for a bare endpoint.
        argv: the server's command line, program first; empty when unknown.
        engine: what is known of the engine beside its own word (`version`).
        model: path, size and sha256 of the model file where it can be read.
        host: facts of the host that serves.
        endpoint: what records call it, where the URL is a tunnel's; empty for the URL itself.
        flags: doubts that are there before the first sample.
    """

    profile: LoadedProfile | None = None
    argv: tuple[str, ...] = ()
    engine: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    endpoint: str = ""
    flags: tuple[str, ...] = ()


def new_id() -> str:
    """Return an id that sorts by time, to a quarter of a millisecond, and is unique without asking anyone."""
    moment = now()
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond * 4096 // 1_000_000:03x}{secrets.randbelow(4096):03x}"


def bench(
    store: Store,
    endpoint: Endpoint,
    workloads: Sequence[Workload],
    subject: Subject,
    *,
    batch: str,
    watcher: Watcher,
    route: Route | None = None,
    leave_out: bool = False,
    telemetry: Telemetry | None = None,
    gpus: GpuObserver | None = None,
) -> list[str]:
    """Run the workloads against `endpoint` and return the ids of the recorded runs.

    Each run is recorded before its first sample and each sample as it arrives; whatever ends a run early is recorded
    as its reason.

    Args:
        store: where results go.
        endpoint: what is measured.
        workloads: what to measure.
        subject: what is known of the server.
        batch: id shared by the runs of one invocation.
        watcher: who is told of progress.
        route: `completion` or `chat`; chosen by the engine when None.
        leave_out: leave out the workloads that the context can't hold, and say so, as long as one is left.
        telemetry: watches the host; None where nothing does.
        gpus: who watches the GPUs that serve; None where they are not at hand.

    Raises:
        EndpointError: nothing usable answers, or a request failed.
        ResultsError: the results can't be kept.
    """
    identity = identify(endpoint)
    workloads = _fitting(endpoint, identity, workloads, watcher) if leave_out else workloads
    for workload in workloads:
        check_fits(endpoint, identity, workload)
    speculative = bool(subject.profile.profile.speculative) if subject.profile else None
    route = route or choose_route(endpoint, identity, speculative=speculative)
    ids = []
    for workload in workloads:
        run = describe(endpoint, identity, workload, subject, batch)
        ids.append(run.id)
        samples = run_workload(endpoint, identity, workload, route)
        record(store, run, samples, watcher=watcher, telemetry=telemetry, gpus=gpus)
    return ids


def record(
    store: Store,
    run: Run,
    samples: Iterable[Sample],
    *,
    watcher: Watcher,
    telemetry: Telemetry | None = None,
    gpus: GpuObserver | None = None,
) -> None:
    """Record a run and its samples as they arrive, and how it ended.

    Args:
        store: where results go.
        run: as it stands before its first sample.
        samples: made while they are asked for.
        watcher: who is told of each.
        telemetry: watches the host; None where nothing does.
        gpus: who watches the GPUs that serve; None where they are not at hand.

    Raises:
        GpuboxError: a sample could not be had; the run's end says why.
        ResultsError: the results can't be kept.
    """
    store.start_run(run)
    status: Ending = "failed"
    reason = ""
    try:
        for measured in samples:
            sample = gpus.seen(measured) if gpus else measured
            store.add_sample(run.id, sample)
            if telemetry:
                telemetry.keep(store, run.id)
            watcher.sample(run, sample)
            interruption.check()
        status = "done"
    except KeyboardInterrupt:
        status, reason = "interrupted", "interrupted by the user"
        raise
    except GpuboxError as error:
        reason = str(error)
        raise
    finally:
        store.finish_run(run.id, status, reason, telemetry.doubts() if telemetry else ())


def _fitting(endpoint: Endpoint, identity: Identity, workloads: Sequence[Workload], watcher: Watcher) -> list[Workload]:
    fitting = []
    for workload in workloads:
        try:
            check_fits(endpoint, identity, workload)
        except EndpointError as error:
            watcher.say(f"{workload.name} is left out: {error.fault}")
        else:
            fitting.append(workload)
    return fitting or list(workloads)


def describe(endpoint: Endpoint, identity: Identity, workload: Workload, subject: Subject, batch: str) -> Run:
    """Return the run's record as it stands before its first sample."""
    loaded = subject.profile
    engine = {"name": identity.engine, "build": identity.build, "n_ctx": identity.n_ctx, "slots": identity.slots}
    model = {"name": identity.model_name, "path": identity.model_path, "meta": identity.model_meta}
    return Run(
        id=new_id(),
        batch=batch,
        started_at=now().astimezone().isoformat(timespec="milliseconds"),
        tool_version=__version__,
        endpoint=subject.endpoint or endpoint.url,
        workload=workload,
        profile=loaded.name if loaded else None,
        profile_hash=loaded.hash if loaded else None,
        profile_document=loaded.profile.document() if loaded else {},
        argv=subject.argv,
        engine=engine | subject.engine,
        model=model | subject.model,
        host=subject.host,
        flags=subject.flags,
    )
