"""What a database driver's failure means to the person who ran the command."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from gpubox.errors import ResultsError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.exc import DBAPIError

    from gpubox.results.address import Address

KEPT = "all that was recorded before is kept"

# PostgreSQL manual, appendix A.
SHUTTING_DOWN = ("the server is shutting down", f"start it again; {KEPT}")
NOT_ALLOWED = ("you may not write there", "grant the right, or give another database with --db")
SQLSTATES = {
    "57P01": SHUTTING_DOWN,
    "57P02": SHUTTING_DOWN,
    "57P03": SHUTTING_DOWN,
    "53100": ("the server's disk is full", f"free some space there; {KEPT}"),
    "42501": NOT_ALLOWED,
    "25006": NOT_ALLOWED,
}


def not_openable(path: Path, *, must_exist: bool) -> ResultsError | None:
    """Return why a SQLite file can't be opened, as far as a look at the path tells.

    Args:
        path: the file.
        must_exist: whether it is only read.
    """
    place, folder = str(path), path.parent
    if not folder.is_dir():
        return ResultsError(place, f"there is no folder {folder}", f"make it: mkdir -p {folder}")
    if path.is_dir():
        return ResultsError(place, "is a folder", "name a file in it")
    if not path.exists():
        if must_exist:
            return ResultsError(place, "there is no such file", "measure something first, or give another --db")
    elif not os.access(path, os.R_OK if must_exist else os.R_OK | os.W_OK):
        right = "read" if must_exist else "read and write"
        return ResultsError(place, f"you may not {right} this file", f"see its owner and mode: ls -l {place}")
    if not must_exist and not os.access(folder, os.W_OK):
        return ResultsError(
            place, f"you may not write in {folder}, where its journal goes", "give a file elsewhere with --db"
        )
    return None


def in_words(error: DBAPIError, where: Address, busy_timeout_s: float) -> ResultsError | None:
    """Return the failure as place, fault and remedy, or None where it is a bug of ours.

    Args:
        error: as SQLAlchemy wraps it.
        where: the database.
        busy_timeout_s: how long a lock was waited for, seconds.
    """
    if isinstance(error.orig, sqlite3.Error):
        assert where.path is not None
        return _sqlite(error.orig, where.path, busy_timeout_s)
    told = _postgresql(error)
    return ResultsError(where.place, *told) if told else None


def _sqlite(error: sqlite3.Error, path: Path, busy_timeout_s: float) -> ResultsError | None:
    code = getattr(error, "sqlite_errorcode", 0)
    space = f"df -h {path.parent}; {KEPT}"
    match code & 0xFF:  # the low byte is the kind, the rest the detail
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            fault = f"another process has held it locked for {busy_timeout_s:g} s"
            remedy = f"wait until it is done, or see who it is: fuser -v {path}"
        case sqlite3.SQLITE_READONLY if code == sqlite3.SQLITE_READONLY_DBMOVED:
            fault, remedy = "was moved or deleted while open", f"put it back, or start again; {KEPT} in it"
        case sqlite3.SQLITE_READONLY:
            fault, remedy = "is read-only", "make it writable, or give another database with --db"
        case sqlite3.SQLITE_CANTOPEN:
            fault = f"can't be opened, or its journal can't be made in {path.parent}"
            remedy = "make both readable and writable, or give another database with --db"
        case sqlite3.SQLITE_FULL:
            fault, remedy = "the disk is full", f"free some space: {space}"
        case sqlite3.SQLITE_IOERR:
            fault, remedy = f"reading or writing failed ({error})", f"see whether the disk is full or failing: {space}"
        case sqlite3.SQLITE_NOTADB:
            fault, remedy = "is not a SQLite database", "give another file with --db"
        case sqlite3.SQLITE_CORRUPT:
            fault, remedy = "is damaged", f"save what can be read: sqlite3 {path} .recover | sqlite3 recovered.db"
        case _:
            return None
    return ResultsError(str(path), fault, remedy)


def _postgresql(error: DBAPIError) -> tuple[str, str] | None:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return SQLSTATES.get(state)
    if error.connection_invalidated:
        return "the server closed the connection", f"see its log and start it again; {KEPT}"
    # `connection failed: connection to server at "db", port 5432 failed: FATAL:  database "x" does not exist`
    said = str(error.orig).splitlines()[0].rpartition("failed: ")[2].removeprefix("FATAL:").strip()
    if said == "Connection refused":
        return "the server refused the connection", "see that PostgreSQL runs and listens there"
    return f"can't connect ({said})", "see host, user, password and database of the URL"
