"""Where a command writes what is to be kept."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def writing_to(file: str | None) -> Iterator[TextIO]:
    """Give standard output, or a file that takes its name only when all of it is written.

    Args:
        file: its path; None for standard output.

    Raises:
        GpuboxError: the file can't be written.
    """
    if file is None:
        yield sys.stdout
        return
    part = Path(f"{file}.part")
    try:
        with part.open("w", encoding="utf-8") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except OSError as error:
        raise GpuboxError(file, f"can't be written ({error.strerror})", "name another file with --output") from error
    finally:
        with suppress(OSError):
            part.unlink()
