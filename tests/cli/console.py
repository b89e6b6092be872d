"""A user's shell for tests: an empty folder, an empty home, and the gpubox command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

GPUBOX = Path(sys.executable).with_name("gpubox")


class Console:
    """Runs gpubox as a user does.

    Args:
        folder: where it stands; also its home.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "COLUMNS": "100",
        }
        for name in ("XDG_CACHE_HOME", "GPUBOX_INVENTORY"):
            self.environment.pop(name, None)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run gpubox to its end."""
        return subprocess.run(
            [GPUBOX, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start gpubox in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            [GPUBOX, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_as_from_a_terminal,  # noqa: PLW1509  # a test has no other thread that could hold a lock
        )


def _as_from_a_terminal() -> None:
    """Listen to Ctrl-C, also where the tests themselves run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
