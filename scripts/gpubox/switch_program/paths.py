"""Where the program keeps what it knows on a box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The program's files.

    Attributes:
        lasting: folder that outlives a reboot: the profiles (written by the role) and the state.
        running: folder that does not: the lock and the events of switches.
    """

    lasting: Path = Path("/var/lib/gpubox")
    running: Path = Path("/run/gpubox")

    @property
    def profiles(self) -> Path:
        """The profiles of this box."""
        return self.lasting / "profiles.json"

    @property
    def state(self) -> Path:
        """What is active, and the last switch."""
        return self.lasting / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the one switch of this box."""
        return self.running / "switch.lock"

    def events(self, identity: str) -> Path:
        """What one switch has told so far, a JSON object a line."""
        return self.running / f"{identity}.jsonl"
