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
        if not os.access(folder, os.W_OK):
            return ResultsError(place, f"the folder {folder} is read-only", "give a file elsewhere with --db")
    elif not os.access(path, os.R_OK):
        return ResultsError(place, "you may not read this file", f"see its owner and mode: ls -l {place}")
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
    return _postgresql(error, where.place)


def _sqlite(error: sqlite3.Error, path: Path, busy_timeout_s: float) -> ResultsError | None:
    place = str(path)
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return ResultsError(place, "was moved or deleted while open", f"put it back, or start again; {KEPT} in it")
    match code & 0xFF:  # the low byte is the kind, the rest the detail
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return ResultsError(
                place,
                f"another process has held it locked for {busy_timeout_s:g} s",
                f"wait until it is done, or see who it is: fuser -v {place}",
            )
        case sqlite3.SQLITE_READONLY:
            writable = os.access(path, os.W_OK)
            what = f"the folder {path.parent} is read-only, and its journal goes there" if writable else "is read-only"
            return ResultsError(place, what, "make it writable, or give another database with --db")
        case sqlite3.SQLITE_CANTOPEN:
            refusal = not_openable(path, must_exist=True)
            return refusal or ResultsError(
                place, f"a file beside it can't be made in {path.parent}", "make the folder writable"
            )
        case sqlite3.SQLITE_FULL:
            return ResultsError(place, "the disk is full", f"free some space: df -h {path.parent}; {KEPT}")
        case sqlite3.SQLITE_IOERR:
            return ResultsError(
                place,
                f"could not be read or written ({error})",
                f"see whether the disk is full or failing: df -h {path.parent}; {KEPT}",
            )
        case sqlite3.SQLITE_NOTADB:
            return ResultsError(place, "is not a SQLite database", "give another file with --db")
        case sqlite3.SQLITE_CORRUPT:
            return ResultsError(
                place, "is damaged", f"save what can be read: sqlite3 {place} .recover | sqlite3 recovered.db"
            )
    return None


def _postgresql(error: DBAPIError, place: str) -> ResultsError | None:
    said = str(error.orig).strip().splitlines()[-1].strip().removeprefix("FATAL:").strip()
    state = getattr(error.orig, "sqlstate", None)
    if state is None and error.connection_invalidated:
        return ResultsError(place, "the server closed the connection", f"see its log and start it again; {KEPT}")
    if state is None and "refused" in said:
        return ResultsError(place, "the server refused the connection", "see that PostgreSQL runs and listens there")
    if state is None:
        return ResultsError(place, f"can't connect ({said})", "see host, user, password and database of the URL")
    match state:
        case "57P01" | "57P02" | "57P03":
            return ResultsError(place, "the server is shutting down", f"start it again; {KEPT}")
        case "53100":
            return ResultsError(place, "the server's disk is full", f"free some space there; {KEPT}")
        case "42501" | "25006":
            return ResultsError(
                place, f"you may not write there ({said})", "grant the right, or give another database with --db"
            )
    return None
