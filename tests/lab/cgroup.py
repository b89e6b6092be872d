"""A box's processes as one cgroup2 group, so that they can be ended all at once, whatever they have become.

Each box needs a group of its own also because systemd-nspawn keeps its sub-groups in the one it was started in.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from .errors import MachineError

_TREES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_END_LIMIT_S = 10.0


def tree() -> Path:
    """Return where the cgroup2 tree is mounted: alone, or beside the v1 hierarchies.

    Raises:
        MachineError: there is none.
    """
    for path in _TREES:
        if (path / "cgroup.controllers").exists():
            return path
    places = " or ".join(map(str, _TREES))
    raise MachineError("this machine", f"no cgroup2 tree at {places}", "boot with cgroup2 (the default since 2021)")


def controllers() -> frozenset[str]:
    """Return the controllers that cgroup2 has here: none where the v1 hierarchies hold them."""
    return frozenset((tree() / "cgroup.controllers").read_text(encoding="utf-8").split())


class Cgroup:
    """One box's group.

    Args:
        name: unique on this machine.
    """

    def __init__(self, name: str) -> None:
        self.path = tree() / f"gpubox-lab-{name}"

    def wrap(self, part: str, argv: list[str]) -> list[str]:
        """Return an argv that runs another one inside a sub-group, which is made if need be."""
        group = self.path / part
        group.mkdir(parents=True, exist_ok=True)
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *argv]

    def end(self) -> None:
        """Kill every process of the group and take the group away. Nothing is done where there is no group."""
        with suppress(FileNotFoundError):
            (self.path / "cgroup.kill").write_text("1", encoding="utf-8")
        end = time.monotonic() + _END_LIMIT_S
        while self.path.exists():
            # A killed process leaves its group only when it is gone, so the first tries may find it busy.
            deepest_first = sorted(self.path.rglob("**/"), key=lambda path: -len(path.parts))
            for group in [*deepest_first, self.path]:
                with suppress(OSError):
                    group.rmdir()
            if time.monotonic() > end:
                raise MachineError(str(self.path), "has processes that do not end", "see its cgroup.procs")
            time.sleep(0.01)
