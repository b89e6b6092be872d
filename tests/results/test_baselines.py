"""What a profile is held against on its box."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gpubox.bench.suitability import driver_doubts
from gpubox.cli import main
from gpubox.errors import UnknownRunError
from gpubox.results.baselines import baseline_of, baseline_runs, baselines_in_force, set_baseline, withdraw_baseline
from gpubox.results.selection import select
from gpubox.results.store import Store
from results.records import a_run, keep, series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "r.db")


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    """A profile on two boxes: three batches on box1, one on box2."""
    with Store.open(place) as opened:
        for number, (batch, host, tg, driver) in enumerate(
            [
                ("a", "box1", 20.0, "580.1"),
                ("b", "box1", 20.1, "580.1"),
                ("z", "box2", 40.0, "580.9"),
                ("c", "box1", 15.0, "580.2"),
            ]
        ):
            run = a_run(f"run-{number}", profile="glm", batch=batch, host={"hostname": host, "driver": driver})
            keep(opened, run, series([tg, tg * 1.001, tg * 0.999, tg, tg]))
        yield opened


def test_each_box_has_its_own_and_the_last_one_counts(store: Store) -> None:
    first, second = store.run("run-0"), store.run("run-1")
    set_baseline(store, first)
    set_baseline(store, store.run("run-2"))
    set_baseline(store, second)
    assert [(one.box, one.batch) for one in baselines_in_force(store, "glm")] == [("box1", "b"), ("box2", "z")]
    found = baseline_of(store, "glm", "box1")
    assert found is not None
    assert [run.id for run in baseline_runs(store, found)] == ["run-1"]
    withdraw_baseline(store, found)
    assert [one.box for one in baselines_in_force(store)] == ["box2"]
    set_baseline(store, first)
    assert baseline_of(store, "glm", "box1") is not None


def test_a_name_stands_for_the_baseline_on_the_box_of_the_latest_run(store: Store) -> None:
    with pytest.raises(UnknownRunError, match="held against nothing on box1; gpubox baseline glm names its runs"):
        select(store, "glm@baseline")
    set_baseline(store, store.run("run-0"))
    set_baseline(store, store.run("run-2"))
    assert [run.id for run in select(store, "glm@baseline").runs] == ["run-0"]


def test_a_driver_is_held_against_the_baselines(store: Store) -> None:
    now = {"hostname": "box1", "driver": "580.1"}
    assert driver_doubts(store, "glm", now) == ["driver-changed: 580.2 in run run-3, 580.1 now"]
    set_baseline(store, store.run("run-1"))
    assert driver_doubts(store, "glm", now) == []
    assert driver_doubts(store, "glm", now | {"driver": "580.2"}) == ["driver-changed: 580.1 in run run-1, 580.2 now"]


def test_a_profile_is_set_compared_and_cleared_by_name(
    store: Store, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "glm", "--db", place]) == 1
    assert "is held against nothing on box1" in capsys.readouterr().err
    assert main(["baseline", "glm@a", "--db", place]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["glm", "box1", "a"]
    assert main(["compare", "glm", "--db", place, "--fail-on-regression", "3"]) == 1
    told = capsys.readouterr().out
    assert "REGRESSION" in told
    assert "host.driver" in told  # which input differs
    assert main(["baseline", "--json", "--db", place]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["profile"], listed["box"], listed["batch"]) == ("glm", "box1", "a")
    assert main(["baseline", "glm", "--clear", "--db", place]) == 0
    assert "no profile is held against anything" in capsys.readouterr().out
    assert main(["baseline", "glm", "--clear", "--db", place]) == 1
    assert main(["baseline", "--clear", "--db", place]) == 1
    assert [run.id for run in store.runs()] == ["run-3", "run-2", "run-1", "run-0"]


def test_a_list_of_an_empty_database_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["baseline"]) == 0
    assert "name runs: gpubox baseline PROFILE" in capsys.readouterr().out
