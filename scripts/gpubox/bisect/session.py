"""A bisection of a box: what `decision` asks for is built, served, measured and recorded, until it knows the end.

What served before serves again in the end, whatever the end is; where the box can't be reached any more, its note says
what has to be put back, as with any benchmark.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpubox import interruption
from gpubox.bench.box import GIVE_UP_S, RECONNECT_S, api_key_of, asker, check_argv, subject_of
from gpubox.bench.box_state import BoxState, deployed_profiles
from gpubox.bench.run_telemetry import RunTelemetry
from gpubox.bench.session import bench
from gpubox.bench.suitability import image_doubts, image_labels
from gpubox.bisect.decision import Ending, Facts, Measure, Round, decide
from gpubox.bisect.image import build_image, built_image
from gpubox.bisect.served import Served
from gpubox.box import box_of
from gpubox.box_connection import BoxConnection
from gpubox.endpoint import Endpoint
from gpubox.errors import BoxError, ConnectionLostError, EndpointError, GpuboxError, UnusableCommitError
from gpubox.profile import profile_hash
from gpubox.telemetry.box_watch import LOCK_LEASE_S, BoxWatch
from gpubox.telemetry.judgement import not_quiet, used_gpus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpubox.bench.box import Host
    from gpubox.bench.prompts import Route
    from gpubox.bench.session import Watcher
    from gpubox.bisect.decision import Rules
    from gpubox.bisect.history import Commit
    from gpubox.bisect.remembered import Remembered, RememberedFile
    from gpubox.profile_files import LoadedProfile
    from gpubox.record import Run, Workload
    from gpubox.results.store import Store
    from gpubox.switch_program.profiles import BoxProfile

CONFIRM_REPS = 8


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes:
        host: the box.
        inventory: the folder of the inventory, for the playbook that builds.
        loaded: the profile.
        commits: the line, oldest first, both ends included.
        rules: how it is judged.
        route: of the requests; chosen by the engine when None.
        timeout_s: longest silence of a server.
    """

    host: Host
    inventory: Path
    loaded: LoadedProfile
    commits: Sequence[Commit]
    rules: Rules
    route: Route | None
    timeout_s: float


@dataclass
class Result:
    """What came of it: the ending, and why what served before does not serve again; empty where it does."""

    ending: Ending
    unrestored: str = ""


class BoxBisect:
    """One bisection of one box.

    Args:
        store: where results go.
        asked: for what.
        remembered: what is known of it.
        file: where.
        watcher: told of progress.
    """

    def __init__(
        self, store: Store, asked: Asked, remembered: Remembered, file: RememberedFile, watcher: Watcher
    ) -> None:
        self._store = store
        self._asked = asked
        self._remembered = remembered
        self._file = file
        self._watcher = watcher
        self._box = asked.host.name
        self._images: dict[int, str] = {}
        self._lost_at: float | None = None
        self._positions = {record_name(asked.loaded, commit): position for position, commit in enumerate(asked.commits)}

    def run(self) -> Result:
        """Go on until the end, over as many connections as that takes.

        Raises:
            BoxError: the box can't be reached, somebody else measures it, or the profile is not deployed there.
            ConnectionLostError: the connection broke and did not come back within half an hour.
            ImageError: images can't be built, whatever the commit.
            ResultsError: the results can't be kept.
        """
        while True:
            try:
                result = self._visit(wait_s=LOCK_LEASE_S if self._lost_at else 0.0)
            except BoxError as error:
                if not isinstance(error, ConnectionLostError) and self._lost_at is None:
                    raise
                self._lost_at = self._lost_at or time.monotonic()
                if time.monotonic() - self._lost_at > GIVE_UP_S:
                    remedy = (
                        f"the same command goes on; `gpubox bench --restore --host {self._box}` puts back what served"
                    )
                    raise ConnectionLostError(error.place, error.fault, remedy) from error
                self._watcher.say(f"{error.place}: {error.fault}; connecting again")
                time.sleep(RECONNECT_S)
                continue
            self._file.remove()
            return result

    def facts(self) -> Facts:
        """Return what the records and the file tell."""
        line = {commit.hash: position for position, commit in enumerate(self._asked.commits)}
        unusable = {line[commit]: why for commit, why in self._remembered.unusable.items()}
        return Facts(self._rounds(self._remembered.batch), self._rounds(self._remembered.turns), unusable)

    def _rounds(self, batch: str) -> dict[int, list[Round]]:
        found: dict[int, list[Round]] = {}
        for run in reversed(self._store.runs(batch=batch, status="done")):
            samples = [sample for sample in self._store.samples(run.id) if sample.valid]
            told = Round(
                tuple(sample.pp_tps for sample in samples if sample.pp_tps is not None),
                tuple(sample.tg_tps for sample in samples if sample.tg_tps is not None),
            )
            found.setdefault(self._positions[run.profile or ""], []).append(told)
        return found

    def _decide(self, serving: int | None = None) -> Measure | Ending:
        return decide(len(self._asked.commits), self.facts(), self._asked.rules, serving)

    def _visit(self, wait_s: float) -> Result:
        """Go on over one connection, and put back what served before unless the connection breaks."""
        with (
            BoxConnection(self._box, self._asked.host.variables) as connection,
            BoxWatch(connection, f"a bisection by {asker()} (batch {self._remembered.batch})", wait_s) as watch,
        ):
            self._deployed(connection)
            state = BoxState(
                connection,
                watch,
                batch=self._remembered.batch,
                who=asker(),
                host=self._asked.host,
                say=self._watcher.say,
            )
            state.begin()
            busy = not_quiet(watch.look_around())
            self._watcher.say(f"{self._box}: {'not quiet: ' + ', '.join(busy) if busy else 'quiet'}")
            try:
                self._build_ends(connection)
                while isinstance(told := self._decide(), Measure):
                    interruption.check()
                    self._step(connection, watch, told)
            except ConnectionLostError:
                raise
            except BaseException:
                self._watcher.say(f"{self._box}: putting back what served before")
                if why := state.restore():
                    self._watcher.say(f"{self._box}: {why}")
                raise
            return Result(told, state.restore())

    def _step(self, connection: BoxConnection, watch: BoxWatch, asked: Measure) -> None:
        """Build, serve and measure one commit, as often as it is asked for in a row."""
        commit = self._asked.commits[asked.position]
        left = f"; about {asked.left} more to measure after it" if asked.left else ""
        self._watcher.say(f"{_what(asked)}: {commit}{left}")
        try:
            image = self._image(connection, asked.position)
            watch.check()
            profile = self._deployed(connection)
            box = box_of(self._box, self._asked.host.variables)
            who = f"{asker()} (batch {self._remembered.batch})"
            with Served(connection, box, self._asked.loaded, profile, image=image, who=who) as served:
                self._watcher.say(f"{commit.short}: serves after {served.seconds:.1f} s")
                self._measure_in_a_row(connection, watch, served, asked)
        except UnusableCommitError as error:
            if asked.purpose != "search" and self.facts().rounds.get(asked.position):
                raise GpuboxError(f"{self._box}: {commit.short}", f"was measured before, and now: {error}") from error
            self._leave_out(commit, error)

    def _leave_out(self, commit: Commit, why: UnusableCommitError) -> None:
        self._remembered.unusable[commit.hash] = str(why)
        self._file.write(self._remembered)
        self._watcher.say(f"{commit.short}: is left out: {why}")

    def _deployed(self, connection: BoxConnection) -> BoxProfile:
        """Return the profile as the box knows it, which is as the inventory says.

        Raises:
            GpuboxError: the box has none of that name, or another one.
        """
        loaded = self._asked.loaded
        profile = deployed_profiles(connection, [loaded.name])[loaded.name]
        if profile.hash != loaded.hash:
            fault = f"what is deployed on {self._box} is not what the profile says"
            raise GpuboxError(loaded.name, fault, "run playbooks/profiles.yml, then bisect")
        return profile

    def _build_ends(self, connection: BoxConnection) -> None:
        """Build both ends before anything stops for the first of them: without one of them there is nothing to do."""
        rounds = self.facts().rounds
        for position in (0, len(self._asked.commits) - 1):
            commit = self._asked.commits[position]
            if position in rounds or commit.hash in self._remembered.unusable:
                continue
            interruption.check()
            try:
                self._image(connection, position)
            except UnusableCommitError as error:
                self._leave_out(commit, error)
                return

    def _image(self, connection: BoxConnection, position: int) -> str:
        if position not in self._images:
            commit, begun = self._asked.commits[position], time.monotonic()
            self._watcher.say(f"{commit.short}: building its image, or finding it")
            build_image(self._box, self._asked.host.variables, self._asked.inventory, commit.hash)
            self._images[position] = built_image(connection)
            self._watcher.say(f"{commit.short}: has its image after {time.monotonic() - begun:.0f} s")
        return self._images[position]

    def _measure_in_a_row(self, connection: BoxConnection, watch: BoxWatch, served: Served, first: Measure) -> None:
        told: Measure | Ending = first
        while isinstance(told, Measure) and (told.position, told.purpose) == (first.position, first.purpose):
            interruption.check()
            if told is not first:
                self._watcher.say(f"{self._asked.commits[first.position].short}: not certain yet, measuring again")
            try:
                self._measure(connection, watch, served, told)
                self._lost_at = None  # the next break is waited for as long as this one
            except EndpointError as error:
                watch.compare_clocks()  # a server that failed, or a connection that broke: the box answers only then
                served.check()
                raise UnusableCommitError(self._box, str(error)) from error
            told = self._decide(first.position)

    def _measure(self, connection: BoxConnection, watch: BoxWatch, served: Served, asked: Measure) -> None:
        """Record one run of what serves."""
        profile, commit = served.profile, self._asked.commits[asked.position]
        watch.follow(profile.name)
        watch.compare_clocks()
        deployed = watch.deployed(profile)
        check_argv(self._asked.loaded, deployed["argv"], self._asked.host)
        loaded = candidate(self._asked.loaded, commit)
        subject = subject_of(loaded, deployed, watch.facts, f"ssh://{self._box}/127.0.0.1:{profile.port}")
        doubts = image_doubts(
            image_labels(connection, profile.image), watch.facts, used_gpus(profile.gpus, watch.facts["gpus"])
        )
        subject = replace(subject, engine=subject.engine | {"commit": commit.hash}, flags=tuple(doubts))
        key = api_key_of(connection, profile.api_key_file) if profile.api_key_file else None
        watch.take()
        telemetry = RunTelemetry(watch, profile)
        with (
            connection.tunnel(profile.port) as port,
            Endpoint(f"http://127.0.0.1:{port}", api_key=key, timeout_s=self._asked.timeout_s) as endpoint,
        ):
            bench(
                self._store,
                endpoint,
                [workload_of(self._remembered.workload, asked)],
                subject,
                batch=self._remembered.turns if asked.purpose == "confirm" else self._remembered.batch,
                watcher=self._watcher,
                route=self._asked.route,
                gpus=telemetry,
                telemetry=telemetry,
            )


def record_name(loaded: LoadedProfile, commit: Commit) -> str:
    """Return what records call a profile served by a commit."""
    return f"{loaded.name}@{commit.short}"


def candidate(loaded: LoadedProfile, commit: Commit) -> LoadedProfile:
    """Return a profile as it would be with a commit of the engine, for the record."""
    engine = loaded.profile.engine.model_copy(update={"commit": commit.hash, "image": None})
    profile = loaded.profile.model_copy(update={"engine": engine})
    return replace(loaded, name=record_name(loaded, commit), profile=profile, hash=profile_hash(profile))


def workload_of(workload: Workload, asked: Measure) -> Workload:
    """Return what one run measures: other prompts each time, the same ones for every commit.

    In turns the number of repetitions is fixed, so that they make pairs.
    """
    workload = replace(workload, seed=workload.seed + asked.round)
    if asked.purpose != "confirm":
        return workload
    reps = min(CONFIRM_REPS, workload.max_reps)
    return replace(workload, min_reps=reps, max_reps=reps)


def runs_of(store: Store, remembered: Remembered) -> list[Run]:
    """Return the finished runs of a bisection, oldest first."""
    return [
        run
        for batch in (remembered.batch, remembered.turns)
        for run in reversed(store.runs(batch=batch, status="done"))
    ]


def unusable_of(remembered: Remembered, commits: Sequence[Commit]) -> Mapping[int, str]:
    """Return why commits can't be measured, by position."""
    return {
        position: remembered.unusable[commit.hash]
        for position, commit in enumerate(commits)
        if commit.hash in remembered.unusable
    }


def _what(asked: Measure) -> str:
    if asked.purpose == "end":
        return "the good end" if asked.position == 0 else "the bad end"
    return "in between" if asked.purpose == "search" else f"in turns, round {asked.round + 1}"
