"""One database, SQLite or PostgreSQL: how it is opened, and how a transaction on it begins and fails.

SQLite keeps the rollback journal and `synchronous=EXTRA`: a commit is on the disk, the directory entry of its journal
included, before it returns, and between commits the results are one file that can be copied, mounted read-only or
served over NFS. WAL would buy readers that never wait for a writer, but a benchmark writes for milliseconds every few
seconds and a reader here fetches everything at once; its price, two more files that a copy must not forget and that a
reader must be able to create, is higher.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import QueuePool, StaticPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from gpubox.errors import ResultsError
from gpubox.results.faults import in_words, not_openable
from gpubox.results.serial import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from gpubox.results.address import Address

MIGRATION_LOCK = 0x67707562_6F78  # "gpubox": any number, as long as every gpubox takes the same
CONNECT_TIMEOUT_S = 5


class Database:
    """Transactions on one database; every failure of the driver comes out as a ResultsError.

    Args:
        where: the database.
        read_only: never write a row; an existing file is needed then.
        busy_timeout_s: how long to wait for another process's lock, seconds.

    Raises:
        ResultsError: PostgreSQL's driver is not installed, or a file's folder or the file is not there.
    """

    def __init__(self, where: Address, *, read_only: bool, busy_timeout_s: float) -> None:
        self.place = where.place
        self._where = where
        self._read_only = read_only
        self._busy_timeout_s = busy_timeout_s
        self._engine = self._postgresql() if where.url.startswith("postgresql") else self._sqlite()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection in a transaction that sees one state of the database."""
        with self._worded(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction that holds the right to write; committed when the block ends well."""
        with self._worded(), self._engine.connect() as plain:
            connection = plain.execution_options(gpubox_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Give a writing connection that no other migration runs beside."""
        with self.writing() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            worded = in_words(error, self._where, self._busy_timeout_s)
            if worded is None:
                raise
            raise worded from error

    def _sqlite(self) -> Engine:
        if self._where.path is None:
            engine = create_engine(
                self._where.url, poolclass=StaticPool, json_serializer=dumps, json_deserializer=loads
            )
        else:
            refusal = not_openable(self._where.path, must_exist=self._read_only)
            if refusal is not None:
                raise refusal
            engine = create_engine(
                "sqlite://", creator=self._connect, poolclass=QueuePool, json_serializer=dumps, json_deserializer=loads
            )
        event.listen(engine, "begin", _begin)
        return engine

    def _connect(self) -> sqlite3.Connection:
        # A reader opens for writing too where it may: only so can it roll back what a killed writer left half done.
        assert self._where.path is not None
        mode = "rw" if self._read_only else "rwc"
        connection = sqlite3.connect(
            f"file:{quote(str(self._where.path))}?mode={mode}",
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,  # transactions begin where `_begin` says, not where the module guesses
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = EXTRA")
        if self._read_only:
            connection.execute("PRAGMA query_only = ON")
        return connection

    def _postgresql(self) -> Engine:
        try:
            engine = create_engine(
                self._where.url,
                pool_pre_ping=True,  # a server that was restarted between two samples costs no sample
                connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "gpubox"},
                json_serializer=dumps,
                json_deserializer=loads,
            )
        except ModuleNotFoundError as error:
            raise ResultsError(
                self.place,
                "the PostgreSQL driver is not installed",
                "install it: pip install 'gpubox[postgresql]'",
            ) from error
        return engine.execution_options(postgresql_readonly=True) if self._read_only else engine


def _begin(connection: Connection) -> None:
    # A deferred transaction that first reads and then writes fails at once where another one wrote in between.
    writes = connection.get_execution_options().get("gpubox_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
