"""Start the stand-in server as a process of its own, so that its clock is not ours."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("llama_standin.py")


@contextmanager
def standin(*options: str) -> Iterator[str]:
    """Give the URL of a stand-in server started with `options`; it ends with the block."""
    command = [sys.executable, str(PROGRAM), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()
