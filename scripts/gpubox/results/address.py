"""Where the results live: from what the user wrote to what a driver needs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from gpubox.errors import ResultsError

HIDDEN = "***"


@dataclass(frozen=True)
class Address:
    """One database.

    Attributes:
        place: how errors name it: the file's path, or the URL without its password.
        path: the SQLite file, or None for a server or an empty database in memory.
        url: SQLAlchemy's, password included; empty for a file.
        default: whether nobody chose it.
    """

    place: str
    path: Path | None
    url: str = ""
    default: bool = False

    @property
    def unused(self) -> bool:
        """Whether this is the default file and nothing was ever kept in it."""
        return self.default and self.path is not None and not self.path.exists()

    def in_memory(self) -> Address:
        """Return an empty database that goes by the same name."""
        return replace(self, path=None, url="sqlite://")


def address(url: str | None) -> Address:
    """Read a path, `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/DATABASE`; None is the default file.

    Raises:
        ResultsError: for any other scheme, or a `sqlite:` URL without a file.
    """
    if url is None:
        path = default_path()
        return Address(str(path), path, default=True)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Address(url, Path(url))
    if scheme == "sqlite":
        if not rest.startswith("/") or rest == "/":
            raise ResultsError(url, "names no file", "write sqlite:///PATH, four slashes for an absolute path")
        return Address(rest[1:], Path(rest[1:]))
    if scheme in {"postgresql", "postgres", "postgresql+psycopg"}:
        return Address(without_password(url), None, f"postgresql+psycopg://{rest}")
    raise ResultsError(
        without_password(url),
        f"results can't be kept in {scheme}",
        "give a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE",
    )


def default_path() -> Path:
    """Return `$XDG_STATE_HOME/gpubox/results.db`; a relative XDG_STATE_HOME is ignored, as its standard demands."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path.home() / ".local" / "state") / "gpubox" / "results.db"


def without_password(url: str) -> str:
    """Return the URL with every password in it, before the host or in the query, as `***`."""
    url = re.sub(r"(://[^/?#:@]*):[^/?#]*@", rf"\1:{HIDDEN}@", url)
    return re.sub(r"([?&][^=&]*password=)[^&#]*", rf"\1{HIDDEN}", url)
