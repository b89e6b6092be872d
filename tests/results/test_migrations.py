"""Old databases become new ones, and nothing in them is lost."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from gpubox.results import migrations
from gpubox.results.store import Store
from results.records import a_run, a_sample, at
from results.store_contract import OPENER, child, ended_well

V1 = Path(__file__).with_name("v1.sql")


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A database as the first gpubox left it."""
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(V1.read_text(encoding="utf-8"))
    connection.close()
    return str(path)


def layout(path: str) -> list[tuple[object, ...]]:
    """Return every table's columns and every index, as SQLite itself lists them."""
    connection = sqlite3.connect(path)
    objects = connection.execute("SELECT type, name, tbl_name FROM sqlite_schema ORDER BY name").fetchall()
    columns = [
        (name, *column)
        for kind, name, _ in objects
        if kind in {"table", "index"}
        for column in connection.execute(f"PRAGMA {kind}_info('{name}')")
    ]
    connection.close()
    return objects + columns


@pytest.mark.parametrize("read_only", [True, False])
def test_a_first_database_becomes_as_a_fresh_one_whoever_opens_it(old: str, tmp_path: Path, *, read_only: bool) -> None:
    fresh = str(tmp_path / "fresh.db")
    Store.open(fresh).close()
    assert layout(old) != layout(fresh)
    Store.open(old, read_only=read_only).close()
    assert layout(old) == layout(fresh)


def test_a_first_databases_runs_and_samples_read_as_they_were_written(old: str) -> None:
    finished = replace(a_run("old-1"), status="done", finished_at=at(300), flags=("shared-box", "throttled"))
    # Nothing tells who wrote it, and it is long ago.
    given_up = replace(
        a_run("old-2", profile=None, profile_document={}),
        status="interrupted",
        reason="the process that measured it is gone",
    )
    with Store.open(old) as store:
        assert store.runs() == [given_up, finished]
        assert store.samples("old-1") == [a_sample(0, kind="warmup"), a_sample(1), a_sample(2, faults=("cached",))]
        store.start_run(a_run("new"))
        assert store.run("new") == a_run("new")


def test_processes_that_open_an_old_database_at_once_migrate_it_once(old: str) -> None:
    children = [child(OPENER, old) for _ in range(3)]
    assert [ended_well(process) for process in children] == [True] * 3
    connection = sqlite3.connect(old)
    assert connection.execute("SELECT version FROM gpubox_schema ORDER BY version").fetchall() == [
        (number,) for number in migrations.steps()
    ]
    connection.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(old: str) -> None:
    # A column of that name is in the way of step 2.
    connection = sqlite3.connect(old)
    connection.execute("ALTER TABLE runs ADD COLUMN writer TEXT")
    connection.close()
    before = Path(old).read_bytes()
    with pytest.raises(Exception, match="duplicate column name: writer"):
        Store.open(old)
    assert Path(old).read_bytes() == before


def test_steps_are_numbered_without_a_gap() -> None:
    assert list(migrations.steps()) == list(range(1, migrations.head() + 1))


def test_a_database_that_is_up_to_date_is_left_alone(old: str) -> None:
    Store.open(old).close()
    before = Path(old).read_bytes()
    engine = create_engine(f"sqlite:///{old}")
    with engine.begin() as connection:
        migrations.migrate(connection, old)
    engine.dispose()
    assert Path(old).read_bytes() == before


def test_a_workload_with_a_field_of_a_newer_gpubox_reads_without_it(old: str) -> None:
    connection = sqlite3.connect(old)
    connection.execute("UPDATE runs SET workload_fields = json_set(workload_fields, '$.unheard_of', 1)")
    connection.commit()
    connection.close()
    with Store.open(old) as store:
        assert store.run("old-1").workload == a_run().workload
