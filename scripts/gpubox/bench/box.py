"""Measure what is deployed on a box: profile after profile, each switched to, measured through a tunnel, recorded.

What served before serves again in the end, whatever the end is; where the box can't be reached any more, its note says
what has to be put back, and `--resume` or `--restore` does it.
"""

from __future__ import annotations

import getpass
import platform
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gpubox import interruption
from gpubox.bench.box_perplexity import perplexity_on_box
from gpubox.bench.box_state import BoxState, asked_by, deployed_profiles
from gpubox.bench.plan import Step, missing
from gpubox.bench.planned import planned_mib
from gpubox.bench.run_telemetry import RunTelemetry
from gpubox.bench.session import Subject, bench
from gpubox.bench.suitability import driver_doubts, image_doubts, image_labels
from gpubox.box import box_of
from gpubox.box_connection import BoxConnection
from gpubox.box_switch import ask_switch
from gpubox.endpoint import Endpoint
from gpubox.errors import BoxError, ConnectionLostError, EndpointError, GpuboxError, ResultsError
from gpubox.profile_deployment import deploy
from gpubox.profile_files import load_profile
from gpubox.telemetry.box_watch import LOCK_LEASE_S, BoxWatch
from gpubox.telemetry.judgement import not_quiet, used_gpus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.bench.plan import Plan
    from gpubox.bench.session import Watcher
    from gpubox.box_switch import OnEvent
    from gpubox.profile_files import LoadedProfile
    from gpubox.record import Workload
    from gpubox.results.store import Store
    from gpubox.switch_program.profiles import BoxProfile

RECONNECT_S = 2.0
GIVE_UP_S = 1800.0


@dataclass(frozen=True)
class Host:
    """A box to measure, and how it is switched.

    Attributes:
        name: in the inventory.
        variables: of it.
        switch_options: further words for its switches.
        on_event: told of every event of a switch.
    """

    name: str
    variables: Mapping[str, Any]
    switch_options: Sequence[str]
    on_event: OnEvent


@dataclass
class Outcome:
    """What came of a benchmark.

    Attributes:
        failed: why profiles could not be measured, by name.
        unrestored: why what served before does not serve again; empty where it does.
    """

    failed: dict[str, str] = field(default_factory=dict)
    unrestored: str = ""


class BoxBench:
    """One benchmark of one box.

    Args:
        store: where results go.
        host: the box.
        plan: what to measure.
        watcher: told of progress.
        timeout_s: longest silence of a server.
    """

    def __init__(self, store: Store, host: Host, plan: Plan, watcher: Watcher, timeout_s: float) -> None:
        self._store = store
        self._host = host
        self._plan = plan
        self._watcher = watcher
        self._timeout_s = timeout_s
        self._outcome = Outcome()
        self._lost_at: float | None = None
        self._loaded = {entry.name: _unchanged(entry.source, entry.hash) for entry in plan.entries}

    def run(self) -> Outcome:
        """Measure what is missing of the plan, over as many connections as that takes.

        Raises:
            BoxError: the box can't be reached, somebody else measures it, or a profile is not deployed there.
            ConnectionLostError: the connection broke and did not come back within half an hour.
            ResultsError: the results can't be kept.
        """
        while True:
            try:
                self._visit(wait_s=LOCK_LEASE_S if self._lost_at else 0.0)
            except BoxError as error:
                if not isinstance(error, ConnectionLostError) and self._lost_at is None:
                    raise
                self._lost_at = self._lost_at or time.monotonic()
                if time.monotonic() - self._lost_at > GIVE_UP_S:
                    raise ConnectionLostError(error.place, error.fault, _how_to_go_on(self._host.name)) from error
                self._watcher.say(f"{error.place}: {error.fault}; connecting again")
                time.sleep(RECONNECT_S)
                continue
            return self._outcome

    def _steps(self, serving: Sequence[str]) -> list[Step]:
        done = self._store.runs(batch=self._plan.batch, status="done")
        return [step for step in missing(self._plan, done, serving) if step.entry.name not in self._outcome.failed]

    def _visit(self, wait_s: float) -> None:
        """Measure over one connection, and put back what served before unless the connection breaks."""
        with (
            BoxConnection(self._host.name, self._host.variables) as connection,
            BoxWatch(connection, f"a benchmark by {asker()} (batch {self._plan.batch})", wait_s) as watch,
        ):
            profiles = deployed_profiles(connection, [entry.name for entry in self._plan.entries])
            state = self._state(connection, watch)
            state.begin()
            busy = not_quiet(watch.look_around())
            self._watcher.say(f"{self._host.name}: {'not quiet: ' + ', '.join(busy) if busy else 'quiet'}")
            try:
                for step in self._steps(state.serving):
                    interruption.check()
                    self._step(connection, watch, profiles[step.entry.name], step)
            except ConnectionLostError:
                raise
            except BaseException:
                self._watcher.say(f"{self._host.name}: putting back what served before")
                if why := state.restore():
                    self._watcher.say(f"{self._host.name}: {why}")
                raise
            self._outcome.unrestored = state.restore()

    def _state(self, connection: BoxConnection, watch: BoxWatch) -> BoxState:
        return BoxState(connection, watch, batch=self._plan.batch, who=asker(), host=self._host, say=self._watcher.say)

    def _step(self, connection: BoxConnection, watch: BoxWatch, profile: BoxProfile, step: Step) -> None:
        """Measure one profile; what fails is told and does not keep the others from being measured."""
        name = profile.name
        if self._plan.rounds > 1:
            self._watcher.say(f"{name}: round {step.round} of {self._plan.rounds}")
        words = [*self._host.switch_options, f"--by={asked_by(asker(), self._plan.batch)}"]
        end = ask_switch(connection, name, words, self._host.on_event)
        watch.check()
        if not end.good:
            self._fail(name, end.text)
            return
        self._watcher.say(f"{name}: serves after {end.seconds:.1f} s")
        try:
            self._measure(connection, watch, profile, step)
            self._lost_at = None  # the next break is waited for as long as this one
        except (ConnectionLostError, ResultsError):
            raise
        except GpuboxError as error:
            if isinstance(error, EndpointError):
                watch.compare_clocks()  # a server that failed, or a connection that broke: the box answers only then
            self._fail(name, str(error))

    def _fail(self, name: str, why: str) -> None:
        self._outcome.failed[name] = why
        self._watcher.say(f"{name}: {why}")

    def _measure(self, connection: BoxConnection, watch: BoxWatch, profile: BoxProfile, step: Step) -> None:
        loaded = self._loaded[profile.name]
        watch.follow(profile.name)
        watch.compare_clocks()
        deployed = watch.deployed(profile)
        check_argv(loaded, deployed["argv"], self._host)
        key = api_key_of(connection, profile.api_key_file) if profile.api_key_file else None
        subject = subject_of(loaded, deployed, watch.facts, f"ssh://{self._host.name}/127.0.0.1:{profile.port}")
        gpus = used_gpus(profile.gpus, watch.facts["gpus"])
        doubts = [
            *image_doubts(image_labels(connection, profile.image), watch.facts, gpus),
            *driver_doubts(self._store, profile.name, watch.facts),
        ]
        for doubt in doubts:
            self._watcher.say(f"{profile.name}: {doubt}")
        subject = replace(subject, flags=tuple(doubts))
        asked = [workload for workload in step.workloads if workload.check != "perplexity"]
        of_texts = [workload for workload in step.workloads if workload.check == "perplexity"]
        if asked:
            self._ask(connection, watch, profile, asked, subject=subject, key=key)
        if of_texts:
            perplexity_on_box(
                self._store,
                of_texts,
                subject,
                connection=connection,
                box=box_of(self._host.name, self._host.variables),
                profile=profile,
                batch=self._plan.batch,
                watcher=self._watcher,
            )

    def _ask(
        self,
        connection: BoxConnection,
        watch: BoxWatch,
        profile: BoxProfile,
        workloads: Sequence[Workload],
        *,
        subject: Subject,
        key: str | None,
    ) -> None:
        """Measure what the endpoint itself can tell, through a tunnel."""
        watch.take()
        telemetry = RunTelemetry(watch, profile)
        with (
            connection.tunnel(profile.port) as port,
            Endpoint(f"http://127.0.0.1:{port}", api_key=key, timeout_s=self._timeout_s) as endpoint,
        ):
            bench(
                self._store,
                endpoint,
                workloads,
                subject,
                batch=self._plan.batch,
                watcher=self._watcher,
                route=self._plan.route,
                leave_out=True,
                gpus=telemetry,
                telemetry=telemetry,
            )


def restore(host: Host, watcher: Watcher) -> str:
    """Let serve again what served before the last benchmark of a box, if that was interrupted.

    Returns:
        Why it does not serve; empty where it does.

    Raises:
        BoxError: the box can't be reached, or somebody measures it.
    """
    with (
        BoxConnection(host.name, host.variables) as connection,
        BoxWatch(connection, f"a restoration by {asker()}") as watch,
    ):
        state = BoxState(connection, watch, batch="", who=asker(), host=host, say=watcher.say)
        if state.adopt():
            return state.restore()
        watcher.say(f"{host.name}: no benchmark has left anything to put back")
        return ""


def subject_of(loaded: LoadedProfile, deployed: Mapping[str, Any], facts: dict[str, Any], endpoint: str) -> Subject:
    """Return what is measured, as the box tells it.

    Args:
        loaded: the profile.
        deployed: as `BoxWatch.deployed` returns it.
        facts: of the box.
        endpoint: what records call it.
    """
    files = deployed["models"]
    model: dict[str, Any] = {"path": files[0]["path"], "files": files}
    if all("size" in file for file in files):
        model["size"] = sum(file["size"] for file in files)
    if len(files) == 1 and "sha256" in files[0]:
        model["sha256"] = files[0]["sha256"]
    return Subject(
        profile=loaded,
        argv=tuple(deployed["argv"]),
        engine={key: deployed[key] for key in ("image", "image_id", "image_digest", "unit_sha256")},
        model=model,
        host=facts | ({"planned_mib": planned} if (planned := planned_mib(loaded, None, facts)) else {}),
        endpoint=endpoint,
    )


def _unchanged(source: str, known: str) -> LoadedProfile:
    loaded = load_profile(source)
    if loaded.hash != known:
        fault = "has changed since this benchmark was begun"
        raise GpuboxError(loaded.name, fault, "measure it anew, without --resume")
    return loaded


def check_argv(loaded: LoadedProfile, running: Sequence[str], host: Host) -> None:
    """Refuse to record a profile that is not what runs.

    Args:
        loaded: the profile.
        running: the command line on the box; a program may stand before it.
        host: the box.

    Raises:
        GpuboxError: they differ; says where.
    """
    wanted = deploy(loaded, box_of(host.name, host.variables)).argv
    if list(running[-len(wanted) :]) != list(wanted):
        strange = [word for word in wanted if word not in running] or [word for word in running if word not in wanted]
        fault = f"what runs on {host.name} is not what the profile says (at {' '.join(strange[:3]) or 'the order'})"
        raise GpuboxError(loaded.name, fault, "run playbooks/profiles.yml, then measure again")


def api_key_of(connection: BoxConnection, file: str) -> str:
    """Return the first API key of a file on a box.

    Raises:
        GpuboxError: it holds none.
        BoxError: it can't be read.
    """
    keys = " ".join(connection.lines(["cat", file])).split()
    if not keys:
        raise GpuboxError(f"{connection.name}: {file}", "holds no API key", "put one key on a line")
    return keys[0]


def asker() -> str:
    """Return who measures, as others are told."""
    return f"{getpass.getuser()}@{platform.node()}"


def _how_to_go_on(box: str) -> str:
    return f"go on with `gpubox bench --resume --host {box}`, or put back what served with --restore"
