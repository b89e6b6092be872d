"""Append-only storage of runs and samples.

A run is committed before its first sample and each sample when it is added: whatever kills the process, at most the
sample in flight is lost. Rows hold raw measurements; every statistic is computed when read.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Literal, Self

from sqlalchemy import Column, ColumnElement, Select, case, literal, null, select

from gpubox.errors import ResultsError, UnknownRunError, nearest
from gpubox.results import migrations
from gpubox.results.address import address
from gpubox.results.database import Database
from gpubox.results.rows import SAMPLE_COLUMNS, row_of_run, row_of_sample, run_of_row, sample_of_row
from gpubox.results.tables import endings, runs, samples
from gpubox.results.writer import Writer, this_process

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    from sqlalchemy import Connection, RowMapping

    from gpubox.record import Run, RunStatus, Sample

BUSY_TIMEOUT_S = 5.0

# A run written on another machine, without an end, counts as interrupted when it started longer ago than this.
STALE = timedelta(hours=12)

# PostgreSQL takes 65,535 parameters a statement and SQLite 32,766.
IDS_AT_ONCE = 30_000


class Store:
    """An open results database; close it, or use it as a context manager.

    Any number of processes and threads may share one database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._here = this_process()

    @classmethod
    def open(cls, url: str | None = None, *, read_only: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """Open a database, make it where it does not exist, and bring an older one to the newest schema.

        Args:
            url: a path, `sqlite:///PATH` or `postgresql://USER@HOST/DATABASE`; None is the default file, made with its
                folder.
            read_only: write no row. A file must exist then, but the default one, which reads as empty when absent.
            busy_timeout_s: how long to wait for another process's lock on a SQLite file, seconds.

        Raises:
            ResultsError: it can't be opened, is not a results database, or a newer gpubox made it.
        """
        where = address(url)
        if read_only and where.unused:
            where, read_only = where.in_memory(), False
        elif where.default and where.path is not None:
            _make_folder(where.path)
        database = Database(where, read_only=read_only, busy_timeout_s=busy_timeout_s)
        try:
            with database.reading() as connection:
                outdated = migrations.version_of(connection, database.place) < migrations.head()
            if outdated:
                # A reader too: it can't read what it doesn't know, and the step is the same whoever takes it.
                writer = Database(where, read_only=False, busy_timeout_s=busy_timeout_s) if read_only else database
                with writer.migrating() as connection:
                    migrations.migrate(connection, database.place)
                if writer is not database:
                    writer.close()
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Close the connections; what was added is committed already."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def place(self) -> str:
        """The database as errors name it."""
        return self._database.place

    @property
    def database(self) -> Database:
        """The database itself, for what is kept beside runs."""
        return self._database

    def start_run(self, run: Run) -> None:
        """Write a run that starts now in this process; its id must be new."""
        with self._database.writing() as connection:
            connection.execute(runs.insert().values(row_of_run(run, self._here)))

    def add_sample(self, run_id: str, sample: Sample) -> None:
        """Write a sample; it is on the disk when this returns."""
        with self._database.writing() as connection:
            connection.execute(samples.insert().values(row_of_sample(run_id, sample)))

    def finish_run(
        self,
        run_id: str,
        status: Literal["done", "interrupted", "failed"],
        reason: str = "",
        flags: Iterable[str] = (),
    ) -> None:
        """Write how a run ended, once.

        Args:
            run_id: of a run that was started.
            status: its end.
            reason: why it failed or was interrupted.
            flags: doubts about the whole run, beside those that it started with.
        """
        row = {
            "run_id": run_id,
            "status": status,
            "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "reason": reason,
            "flags": list(flags) or None,
        }
        with self._database.writing() as connection:
            connection.execute(endings.insert().values(row))

    def add_all(self, measured: Iterable[tuple[Run, Sequence[Sample]]]) -> list[bool]:
        """Write whole runs that were measured elsewhere, all or none; return for each whether its id was new.

        A run without an end is kept as interrupted.
        """
        with self._database.writing() as connection:
            return [self._add(connection, run, samples) for run, samples in measured]

    def _add(self, connection: Connection, run: Run, measured: Sequence[Sample]) -> bool:
        if connection.scalar(select(runs.c.id).where(runs.c.id == run.id)) is not None:
            return False
        ending = {
            "run_id": run.id,
            "status": "interrupted" if run.status == "running" else run.status,
            "finished_at": run.finished_at or run.started_at,
            "reason": run.reason,
            "flags": None,
        }
        connection.execute(runs.insert().values(row_of_run(run, self._here)))
        if measured:
            connection.execute(samples.insert(), [row_of_sample(run.id, sample) for sample in measured])
        connection.execute(endings.insert().values(ending))
        return True

    def runs(
        self,
        *,
        profile: str | None = None,
        batch: str | None = None,
        workload: str | None = None,
        status: RunStatus | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """Return runs, newest first, that are equal to everything asked for.

        A run without an end whose process is gone is returned as `interrupted`.
        """
        query = _runs()
        wanted = {runs.c.profile: profile, runs.c.batch: batch, runs.c.workload: workload}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == value)
        if status in {"done", "failed"}:
            query = query.where(endings.c.status == status)
        elif status is not None:
            query = query.where(endings.c.status.is_(None) | (endings.c.status == status))
        elif limit is not None:
            query = query.limit(limit)
        with self._database.reading() as connection:
            found = (self._run(row) for row in connection.execute(query).mappings())
            return list(islice((run for run in found if status in {None, run.status}), limit))

    def run(self, reference: str = "latest") -> Run:
        """Return one run by its id, a beginning of its id that no other run has, `latest`, or `latest~1` before it.

        Raises:
            UnknownRunError: no run has that name, or several have.
        """
        name, tilde, back = reference.partition("~")
        if name == "latest" and (not tilde or back.isdecimal()):
            found = self._found(_runs().offset(int(back or 0)).limit(1))
        else:
            found = self._found(_runs().where(runs.c.id.startswith(reference, autoescape=True)).limit(2))
            found = [run for run in found if run.id == reference] or found
        if len(found) > 1:
            raise UnknownRunError(reference, f"several runs in {self.place} begin so", "write more of the id")
        if not found:
            raise UnknownRunError(reference, f"no such run in {self.place}", self.remedy_for(reference, self.run_ids()))
        return found[0]

    def remedy_for(self, name: str, known: Sequence[str]) -> str:
        """Return what to do about a name that is none of the known ones."""
        if not known:
            return "measure something first: gpubox bench PROFILE --host BOX"
        return nearest(name, known) or "list what there is: gpubox results"

    def run_ids(self) -> list[str]:
        """Return the ids of all runs, newest first."""
        with self._database.reading() as connection:
            return list(connection.scalars(select(runs.c.id).order_by(runs.c.id.desc())))

    def profiles(self) -> list[str]:
        """Return the names of all profiles that have a run, sorted."""
        return self._distinct(runs.c.profile)

    def batches(self) -> list[str]:
        """Return the ids of all batches, sorted."""
        return self._distinct(runs.c.batch)

    def samples(self, run_id: str) -> list[Sample]:
        """Return a run's samples in their order, with all that was recorded."""
        return self.samples_of([run_id], whole=True)[run_id]

    def samples_of(self, run_ids: Sequence[str], *, whole: bool = False) -> dict[str, list[Sample]]:
        """Return the samples of many runs with one query, by run id and in their order.

        Args:
            run_ids: the runs; each gets an entry.
            whole: with arrivals, extra and answer hash. Otherwise these stay in the database, but for the arrivals that
                TG has to be computed from because the server named no time.
        """
        columns: dict[str, ColumnElement[Any]] = {name: samples.c[name] for name in SAMPLE_COLUMNS}
        if not whole:
            columns["arrivals_ms"] = case((samples.c.predicted_ms.is_(None), samples.c.arrivals_ms), else_=null())
            columns |= {"answer_sha256": literal(""), "extra": null()}
        found: dict[str, list[Sample]] = {run_id: [] for run_id in run_ids}
        with self._database.reading() as connection:
            for start in range(0, len(run_ids), IDS_AT_ONCE):
                some = run_ids[start : start + IDS_AT_ONCE]
                query = select(samples.c.run_id, *columns.values()).where(samples.c.run_id.in_(some))
                for row in connection.execute(query.order_by(samples.c.run_id, samples.c.position)).all():
                    found[row[0]].append(sample_of_row(row[1:]))
        return found

    def _distinct(self, column: Column[Any]) -> list[str]:
        with self._database.reading() as connection:
            return list(connection.scalars(select(column).where(column.is_not(None)).distinct().order_by(column)))

    def _found(self, query: Select[Any]) -> list[Run]:
        with self._database.reading() as connection:
            return [self._run(row) for row in connection.execute(query).mappings()]

    def _run(self, row: RowMapping) -> Run:
        return run_of_row(row, lives=row["end_status"] is None and self._lives(row))

    def _lives(self, row: RowMapping) -> bool:
        lives = Writer(**row["writer"]).lives(self._here) if row["writer"] else None
        if lives is None:
            return datetime.now(UTC) - datetime.fromisoformat(row["started_at"]) < STALE
        return lives


def _make_folder(path: Path) -> None:
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            str(path), f"its folder can't be made ({error.strerror})", "set XDG_STATE_HOME, or give a file with --db"
        ) from error


def _runs() -> Select[Any]:
    ends = [column.label(f"end_{column.name}") for column in endings.c]
    return select(runs, *ends).outerjoin(endings, runs.c.id == endings.c.run_id).order_by(runs.c.id.desc())
