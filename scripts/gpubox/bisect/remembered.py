"""What a bisection has to remember beside its records, so that one that was interrupted goes on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpubox.errors import GpuboxError
from gpubox.record import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.bisect.history import Commit

VERSION = 1


@dataclass
class Remembered:
    """One bisection.

    Attributes:
        box: where.
        profile: its name.
        profile_hash: of it when the bisection was begun.
        line: hashes of the commits, oldest first, both ends included.
        workload: what is measured.
        batch: of the runs of the search.
        turns: batch of those that confirm.
        unusable: why commits can't be measured, by hash.
    """

    box: str
    profile: str
    profile_hash: str
    line: list[str]
    workload: Workload
    batch: str
    turns: str
    unusable: dict[str, str] = field(default_factory=dict)

    def same_as(self, other: Remembered) -> bool:
        """Whether both ask the same question."""
        return _asked(self) == _asked(other)


class RememberedFile:
    """The file of a box's and profile's bisection; it is there as long as that has not ended.

    Args:
        box: where.
        profile: its name.
        folder: of such files; by default below `$XDG_STATE_HOME`.
    """

    def __init__(self, box: str, profile: str, folder: Path | None = None) -> None:
        self.path = (folder or _folder()) / f"{box}-{profile}.json"

    def read(self) -> Remembered | None:
        """Return what was begun and has not ended; None where there is nothing, or nothing that can be read."""
        try:
            value: dict[str, Any] = json.loads(self.path.read_text("utf-8"))
            if value.pop("version") != VERSION:
                return None
            return Remembered(**{**value, "workload": Workload(**value["workload"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, remembered: Remembered) -> None:
        """Replace the file, as a whole.

        Raises:
            GpuboxError: it can't be written.
        """
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="utf-8") as file:
                json.dump({"version": VERSION, **asdict(remembered)}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except OSError as error:
            raise GpuboxError(
                str(self.path), f"can't be written ({error.strerror})", "free space on its disk"
            ) from error

    def remove(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)


def begin_or_go_on(file: RememberedFile, wanted: Remembered, *, anew: bool) -> tuple[Remembered, Remembered | None]:
    """Return the bisection to do, which is the one that was begun if that asks the same, and the one that was begun.

    Args:
        file: where it is remembered.
        wanted: the question, with new batches.
        anew: forget what was begun.

    Raises:
        GpuboxError: the file can't be written.
    """
    begun = file.read()
    if begun is not None and begun.same_as(wanted) and not anew:
        return begun, begun
    file.write(wanted)
    return wanted, begun


def hashes(commits: Sequence[Commit]) -> list[str]:
    """Return the hashes of commits."""
    return [commit.hash for commit in commits]


def _asked(remembered: Remembered) -> tuple[object, ...]:
    return (
        remembered.box,
        remembered.profile,
        remembered.profile_hash,
        remembered.line,
        remembered.workload,
    )


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "gpubox" / "bisect"
