"""One switch at a time on a box: a lock that names its holder and ends with it."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def only_one(path: Path, doing: str) -> Iterator[None]:
    """Hold the box's lock.

    Args:
        path: the lock's file.
        doing: what a second one is told, `a switch to glm by ann@desk`.

    Raises:
        GpuboxError: somebody holds it; says who.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            remedy = "wait until it has ended, then ask again"
            raise GpuboxError("this box", f"{holder(path) or 'another switch'} is under way", remedy) from None
        file.truncate(0)
        file.write(f"{doing} (pid {os.getpid()})")
        file.flush()
        yield
        file.truncate(0)


def holder(path: Path) -> str:
    """Return what the holder of a lock is doing; empty where it is free."""
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read()
    except OSError:
        return ""
    return ""
