"""The store on PostgreSQL: a private cluster of the distribution's packages, thrown away afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from gpubox.errors import ResultsError
from gpubox.results.address import address
from gpubox.results.database import Database
from gpubox.results.rows import row_of_sample
from gpubox.results.store import Store
from gpubox.results.tables import samples
from results.records import a_run, a_sample, keep
from results.store_contract import StoreContract

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server of its own on the loopback interface."""

    binaries: Path
    data: Path
    port: int

    def control(self, *arguments: str) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.data} -c fsync=off"
        log = str(self.data / "log")
        self.as_postgres("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-o", options, *arguments)

    def as_postgres(self, program: str, *arguments: str) -> None:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        done = subprocess.run(
            [*command, str(self.binaries / program), *arguments],
            cwd=self.data,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout

    def url(self, database: str, user: str = "postgres", password: str = "s3cr3t") -> str:  # noqa: S107 - of a throw-away server
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        engine = create_engine(self.url("postgres").replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


def binaries() -> Path:
    """Return the folder of the newest PostgreSQL server here, which is installed where there is none."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        subprocess.run(["apt-get", "install", "-y", "-qq", "postgresql"], check=True, env=environment)
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Not in pytest's folder: the user postgres may not enter that one.
    data = Path(tempfile.mkdtemp(prefix="postgresql-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = Cluster(binaries(), data, port)
    shutil.chown(data, "postgres", "postgres")
    password = data.with_suffix(".password")
    password.write_text("s3cr3t\n", encoding="ascii")
    password.chmod(0o644)
    cluster.as_postgres("initdb", "-D", str(data), "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
    password.unlink()
    cluster.control("start")
    yield cluster
    cluster.control("stop", "-m", "immediate")
    shutil.rmtree(data)


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    name = f"gpubox_{uuid4().hex}"
    cluster.run(f"CREATE DATABASE {name}")
    yield cluster.url(name)
    cluster.run(f"DROP DATABASE {name} WITH (FORCE)")


class TestStoreOnPostgresql(StoreContract):
    """A database of its own for each test."""


def test_a_reader_writes_nothing(url: str) -> None:
    with Store.open(url) as store:
        keep(store, a_run("r1"), [a_sample(0)])
    with Store.open(url, read_only=True) as store:
        assert store.samples("r1") == [a_sample(0)]
        with pytest.raises(ResultsError) as caught:
            store.start_run(a_run("r2"))
        assert str(caught.value) == (
            f"{store.place}: you may not write there; grant the right, or give another database with --db"
        )


def test_a_wrong_password_is_said_without_showing_it(cluster: Cluster) -> None:
    with pytest.raises(ResultsError) as caught:
        Store.open(cluster.url("postgres", password="guess"))  # noqa: S106 - a wrong one
    assert str(caught.value) == (
        f"postgresql://postgres:***@127.0.0.1:{cluster.port}/postgres: can't connect (password authentication failed "
        'for user "postgres"); see host, user, password and database of the URL'
    )


def test_a_database_that_does_not_exist(cluster: Cluster) -> None:
    with pytest.raises(ResultsError) as caught:
        Store.open(cluster.url("nowhere"))
    assert str(caught.value) == (
        f"postgresql://postgres:***@127.0.0.1:{cluster.port}/nowhere: can't connect "
        '(database "nowhere" does not exist); see host, user, password and database of the URL'
    )


def test_a_database_with_tables_of_something_else(cluster: Cluster, url: str) -> None:
    engine = create_engine(url.replace("://", "+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    engine.dispose()
    with pytest.raises(ResultsError) as caught:
        Store.open(url)
    assert str(caught.value) == (
        f"postgresql://postgres:***@127.0.0.1:{cluster.port}/{url.rpartition('/')[2]}: "
        "holds tables of something else (invoices, …); give results a database of their own"
    )


def test_a_user_who_may_not_write(cluster: Cluster, url: str) -> None:
    with Store.open(url) as store:
        keep(store, a_run("r1"), [])
    database = url.rpartition("/")[2]
    cluster.run(f"CREATE ROLE {database} LOGIN PASSWORD 's3cr3t'")
    engine = create_engine(url.replace("://", "+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {database}"))
    with Store.open(cluster.url(database, database)) as store:
        assert store.run_ids() == ["r1"]
        with pytest.raises(ResultsError) as caught:
            store.start_run(a_run("r2"))
        assert str(caught.value) == (
            f"{store.place}: you may not write there; grant the right, or give another database with --db"
        )
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {database}"))
        connection.execute(text(f"DROP ROLE {database}"))
    engine.dispose()


def test_a_server_that_stops_in_the_middle_is_named_and_nothing_is_lost(cluster: Cluster, url: str) -> None:
    with Store.open(url) as store:
        store.start_run(a_run("r1"))
        store.add_sample("r1", a_sample(0))
        cluster.control("stop", "-m", "fast")
        with pytest.raises(ResultsError) as caught:
            store.add_sample("r1", a_sample(1))
        assert str(caught.value) == (
            f"{store.place}: the server refused the connection; see that PostgreSQL runs and listens there"
        )
        cluster.control("start")
        # The same store goes on: a restart between two samples costs none.
        store.add_sample("r1", a_sample(1))
        assert store.samples("r1") == [a_sample(0), a_sample(1)]


def test_a_server_that_dies_within_a_transaction_is_named_and_nothing_of_it_is_kept(cluster: Cluster, url: str) -> None:
    with Store.open(url) as store:
        store.start_run(a_run("r1"))
    database = Database(address(url), read_only=False, busy_timeout_s=5)
    with pytest.raises(ResultsError) as caught, database.writing() as connection:  # noqa: PT012 - the middle is the point
        connection.execute(samples.insert().values(row_of_sample("r1", a_sample(0))))
        cluster.control("stop", "-m", "immediate")
        connection.execute(samples.insert().values(row_of_sample("r1", a_sample(1))))
    assert str(caught.value) == (
        f"{database.place}: the server closed the connection; see its log and start it again; "
        "all that was recorded before is kept"
    )
    database.close()
    cluster.control("start")
    with Store.open(url) as store:
        assert store.run_ids() == ["r1"]
        assert store.samples("r1") == []
