"""What a store does on every database; each database's tests inherit it and say where it is.

The children are real processes: they share nothing with the test but the database.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import IntegrityError

from gpubox.errors import UnknownRunError
from gpubox.record import Sample
from gpubox.results.address import address
from gpubox.results.baselines import baselines_in_force, set_baseline, withdraw_baseline
from gpubox.results.store import Store
from gpubox.results.tables import metadata
from results.records import WORKLOAD, a_run, a_sample, at, keep, series

KILLS = 20

# For each name in turn, a process that writes runs until it is killed, a moment after the first, and says so after each
# commit, into a file of its own: what it said must be there afterwards. They are forked because starting a Python each
# time would take most of the test.
WRITERS = """
import os
import signal
import sys
import time
from pathlib import Path
from random import Random
from results.records import a_run, a_sample
from gpubox.results.store import Store

def write(url, name, said):
    def say(*words):
        os.write(said, (" ".join(words) + "\\n").encode())
    with Store.open(url) as store:
        for number in range(10_000):
            run = a_run(f"{name}-{number:05}", batch=name)
            store.start_run(run)
            say("run", run.id)
            for index in range(4):
                store.add_sample(run.id, a_sample(index))
                say("sample", run.id, str(index))
            store.finish_run(run.id, "done")
            say("end", run.id)

url, folder, *names = sys.argv[1:]
random = Random(1)
for name in names:
    path = Path(folder, name)
    path.touch()
    pid = os.fork()
    if pid == 0:
        write(url, name, os.open(path, os.O_WRONLY | os.O_APPEND))
        os._exit(0)
    while b"\\n" not in path.read_bytes() and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.05))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if status != signal.SIGKILL:
        sys.exit(f"the writer of {name} ended before it was killed: {status}")
"""

# Writes the given number of samples into a run of its own.
SHORT_WRITER = """
import sys
from results.records import a_run, a_sample
from gpubox.results.store import Store

url, name, samples = sys.argv[1:]
with Store.open(url) as store:
    store.start_run(a_run(name))
    for index in range(int(samples)):
        store.add_sample(name, a_sample(index))
    store.finish_run(name, "done")
"""

# Starts a run and does not go on.
WAITER = """
import sys
import time
from results.records import a_run, a_sample
from gpubox.results.store import Store

with Store.open(sys.argv[1]) as store:
    store.start_run(a_run(sys.argv[2], flags=()))
    store.add_sample(sys.argv[2], a_sample(0))
    print("written", flush=True)
    time.sleep(600)
"""

OPENER = """
import sys
from gpubox.results.store import Store

Store.open(sys.argv[1]).close()
"""


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python process that can import what the tests can."""
    path = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    return subprocess.Popen(
        [sys.executable, "-c", path + code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended_well(process: subprocess.Popen[str]) -> bool:
    """Wait for a child; what it complained of is the assertion's message."""
    _, stderr = process.communicate(timeout=60)
    assert stderr == ""
    return process.returncode == 0


class StoreContract:
    """The facts; a subclass gives the fixture `url`, an empty database."""

    def test_a_run_and_its_samples_read_back_as_they_were_written(self, url: str) -> None:
        run = a_run()
        bare = Sample(1, "warmup", at(1), 1, 1, 0, None, None, None, None, None, None, None, None, None, 3.5)
        faulty = a_sample(2, faults=("cached", "short"), flags=("clocks-disagree",))
        exact = a_sample(
            3, e2e_ms=0.1 + 0.2, arrivals_ms=(1 / 3, 2 / 3, 1e-9), extra={"text": "a\x00b\ud800 é", "n": None}
        )
        with Store.open(url) as store:
            store.start_run(run)
            assert store.run(run.id) == run
            for sample in (a_sample(0), bare, faulty, exact):
                store.add_sample(run.id, sample)
        with Store.open(url, read_only=True) as store:
            assert store.run(run.id) == run
            assert store.samples(run.id) == [a_sample(0), bare, faulty, exact]

    def test_a_bare_endpoints_run_reads_back_with_its_empty_fields(self, url: str) -> None:
        run = a_run(
            profile=None, profile_hash=None, profile_document={}, argv=(), engine={}, model={}, host={}, flags=()
        )
        with Store.open(url) as store:
            store.start_run(run)
            assert store.run(run.id) == run

    def test_the_end_of_a_run_adds_status_reason_and_flags(self, url: str) -> None:
        run = a_run(flags=("shared-box",))
        with Store.open(url) as store:
            store.start_run(run)
            store.finish_run(run.id, "failed", "the server exited with 1", ["throttled", "shared-box"])
            ended = store.run(run.id)
        assert ended.finished_at is not None
        assert ended == replace(
            run,
            status="failed",
            reason="the server exited with 1",
            flags=("shared-box", "throttled"),
            finished_at=ended.finished_at,
        )

    def test_what_was_written_is_never_written_over(self, url: str) -> None:
        run = a_run()
        with Store.open(url) as store:
            keep(store, run, [a_sample(0)])
            with pytest.raises(IntegrityError):
                store.start_run(run)
            with pytest.raises(IntegrityError):
                store.add_sample(run.id, a_sample(0, tg=99))
            with pytest.raises(IntegrityError):
                store.finish_run(run.id, "failed")
            with pytest.raises(IntegrityError):
                store.add_sample("unknown", a_sample(0))
            assert store.samples(run.id) == [a_sample(0)]
            assert store.run(run.id).status == "done"

    def test_runs_of_elsewhere_are_taken_in_once_and_all_or_none(self, url: str) -> None:
        one, other = (a_run(name, status="done", finished_at=at(9)) for name in ("r1", "r2"))
        with Store.open(url) as store:
            assert store.add_all([(one, [a_sample(0)]), (one, [])]) == [True, False]
            twice = [a_sample(0), a_sample(0)]  # what no database takes
            with pytest.raises(IntegrityError):
                store.add_all([(replace(other, id="r3"), []), (other, twice)])
            assert store.run_ids() == ["r1"]
            assert store.add_all([(one, []), (other, [])]) == [False, True]
            assert store.samples("r1") == [a_sample(0)]

    def test_runs_are_found_newest_first_by_what_is_asked_for(self, url: str) -> None:
        other = replace(WORKLOAD, name="pp8192+tg128")
        with Store.open(url) as store:
            keep(store, a_run("r1", profile="a", batch="x"), [])
            keep(store, a_run("r2", profile="b", batch="x"), [])
            keep(store, a_run("r3", profile="a", batch="y", workload=other), [])
            store.start_run(a_run("r4", profile="a", batch="y"))

            def ids(**wanted: str | int) -> list[str]:
                return [run.id for run in store.runs(**wanted)]  # type: ignore[arg-type]  # one dict for all filters

            assert ids() == ["r4", "r3", "r2", "r1"]
            assert ids(limit=2) == ["r4", "r3"]
            assert ids(profile="a") == ["r4", "r3", "r1"]
            assert ids(batch="x") == ["r2", "r1"]
            assert ids(workload="pp8192+tg128") == ["r3"]
            assert ids(status="done", profile="a", limit=1) == ["r3"]
            assert ids(status="running") == ["r4"]
            assert ids(status="interrupted") == []
            assert store.run_ids() == ["r4", "r3", "r2", "r1"]
            assert store.profiles() == ["a", "b"]
            assert store.batches() == ["x", "y"]

    def test_a_run_is_named_by_its_id_its_beginning_or_its_age(self, url: str) -> None:
        with Store.open(url) as store:
            for run_id in ("2026-01", "2026-02", "2026-02-b", "50%_x"):
                store.start_run(a_run(run_id))
            assert store.run("2026-01").id == "2026-01"
            assert store.run("2026-02").id == "2026-02"
            assert store.run("5").id == "50%_x"
            assert store.run().id == "50%_x"
            assert store.run("latest~1").id == "2026-02-b"

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("2026", "2026: several runs in {place} begin so; write more of the id"),
            ("2026-20", "2026-20: no such run in {place}; did you mean 2026-02?"),
            ("_", "_: no such run in {place}; list what there is: gpubox results"),
            ("latest~7", "latest~7: no such run in {place}; list what there is: gpubox results"),
        ],
    )
    def test_a_name_of_no_run_or_of_several_is_refused(self, url: str, reference: str, message: str) -> None:
        with Store.open(url) as store:
            for run_id in ("2026-01", "2026-02"):
                store.start_run(a_run(run_id))
            with pytest.raises(UnknownRunError) as caught:
                store.run(reference)
            assert str(caught.value) == message.format(place=store.place)

    def test_the_samples_of_many_runs_come_without_what_rates_do_not_need(self, url: str) -> None:
        timeless = a_sample(1, predicted_ms=None)
        with Store.open(url) as store:
            keep(store, a_run("r1"), [a_sample(0), timeless])
            keep(store, a_run("r2"), series([20, 21]))
            light = store.samples_of(["r2", "r1", "unknown"])
            assert {run_id: [s.tg_tps for s in found] for run_id, found in light.items()} == {
                "r2": [s.tg_tps for s in series([20, 21])],
                "r1": [a_sample(0).tg_tps, timeless.tg_tps],
                "unknown": [],
            }
            assert light["r1"][0] == replace(a_sample(0), arrivals_ms=(), answer_sha256="", extra={})
            assert store.samples_of(["r1"], whole=True) == {"r1": [a_sample(0), timeless]}

    def test_a_fresh_database_has_the_tables_that_the_code_reads(self, url: str) -> None:
        Store.open(url).close()
        engine = create_engine(address(url).url or f"sqlite:///{url}")
        seen = inspect(engine)
        assert sorted(seen.get_table_names()) == sorted(metadata.tables)
        for table in metadata.tables.values():
            columns = seen.get_columns(table.name)
            assert [column["name"] for column in columns] == [column.name for column in table.columns]
            # SQLite's inspector calls a DOUBLE PRECISION by its affinity.
            types = [column["type"].compile(engine.dialect) for column in columns]
            assert ["DOUBLE PRECISION" if name == "REAL" else name for name in types] == [
                column.type.compile(engine.dialect) for column in table.columns
            ]
            assert [column["nullable"] for column in columns] == [column.nullable for column in table.columns]
            assert {index["name"] for index in seen.get_indexes(table.name)} == {index.name for index in table.indexes}
            assert seen.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
        engine.dispose()

    def test_processes_that_open_a_fresh_database_at_once_all_find_it_built(self, url: str) -> None:
        children = [child(OPENER, url) for _ in range(4)]
        assert [ended_well(process) for process in children] == [True] * len(children)
        with Store.open(url) as store:
            assert store.runs() == []

    def test_two_processes_write_at_once_and_lose_nothing(self, url: str) -> None:
        children = [child(SHORT_WRITER, url, name, "25") for name in ("left", "right")]
        assert [ended_well(process) for process in children] == [True] * len(children)
        with Store.open(url) as store:
            for name in ("left", "right"):
                assert store.samples(name) == [a_sample(index) for index in range(25)]
                assert store.run(name).status == "done"

    def test_a_killed_writer_loses_nothing_that_it_said_is_kept(
        self, url: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("said")
        Store.open(url).close()
        names = [f"kill{number:02}" for number in range(KILLS)]
        assert ended_well(child(WRITERS, url, str(folder), *names))
        with Store.open(url, read_only=True) as store:
            for name in names:
                # A line without its end was not said.
                said = [line.split() for line in (folder / name).read_text().splitlines(keepends=True) if "\n" in line]
                runs = {run.id: run for run in store.runs(batch=name)}
                kept = [["run", run_id] for run_id in runs]
                kept += [["end", run_id] for run_id, run in runs.items() if run.status == "done"]
                for run_id in runs:
                    samples = store.samples(run_id)
                    assert samples == [a_sample(index) for index in range(len(samples))]
                    kept += [["sample", run_id, str(sample.index)] for sample in samples]
                # What was said, or one step more: the one that was on the disk before it could be said.
                assert said != []
                assert [words for words in said if words not in kept] == []
                assert len(kept) - len(said) in {0, 1}

    def test_a_run_whose_process_was_killed_reads_as_interrupted(self, url: str) -> None:
        process = child(WAITER, url, "gone")
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        with Store.open(url) as store:
            started = a_run("gone", flags=())
            assert store.runs(status="running") == [started]
            process.kill()
            process.communicate()
            ended = replace(started, status="interrupted", reason="the process that measured it is gone")
            assert store.run("gone") == ended
            assert store.runs(status="interrupted") == [ended]
            assert store.runs(status="running") == []
            assert store.samples("gone") == [a_sample(0)]

    def test_the_last_baseline_of_a_profile_on_a_box_counts(self, url: str) -> None:
        with Store.open(url) as store:
            for batch in ("a", "b"):
                keep(store, a_run(f"run-{batch}", profile="glm", batch=batch, host={"hostname": "box1"}), [a_sample(0)])
                set_baseline(store, store.run(f"run-{batch}"))
            (found,) = baselines_in_force(store)
            assert (found.box, found.profile, found.batch) == ("box1", "glm", "b")
            withdraw_baseline(store, found)
            assert baselines_in_force(store) == []
