"""What a box remembers of its switches: one small file, replaced as a whole.

A full disk must not make it lie. So the file is as long as whole blocks, and the next one is laid out on disk before it
is needed: writing it takes no room that is not already its own.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 16 * 1024  # bytes; a multiple of every usual block size
VERSION = 1
# In this order; the old profile is stopped in `stop`, and the new one has answered when `watch` begins.
STEPS = ("preflight", "prewarm", "stop", "free", "load", "watch")
ROLL_BACK = "roll back"
SWITCHED, ROLLED_BACK, FAILED, REFUSED = "switched", "rolled back", "failed", "refused"


@dataclass
class Switch:
    """One switch, under way or over.

    Attributes:
        id: unique.
        to: the profile to serve.
        stops: the profiles that served and had to stop for it.
        by: who asked.
        rollback: whether the old profiles come back when it fails.
        watch_s: seconds for which the new profile is watched.
        cards: of each GPU that must be free, index, uuid, MiB that may stay in use, and MiB in all.
        to_failed: whether the new profile was at fault, rather than whoever interrupted the switch.
        step: the last one that was begun, of `STEPS` or `roll back`.
        steps: all of them, each `[name, time]`.
        began: ISO 8601.
        ended: ISO 8601; empty while it is under way.
        outcome: `switched`, `rolled back`, `failed` (neither serves) or `refused` (nothing was touched); empty before.
        reason: why it was not `switched`, or is being rolled back.
    """

    id: str
    to: str
    stops: list[str] = field(default_factory=list)
    by: str = ""
    rollback: bool = True
    watch_s: float = 10.0
    cards: list[list[int | str]] = field(default_factory=list)
    to_failed: bool = False
    step: str = STEPS[0]
    steps: list[list[str]] = field(default_factory=list)
    began: str = ""
    ended: str = ""
    outcome: str = ""
    reason: str = ""

    @property
    def touched(self) -> bool:
        """Whether a service may have been stopped or started."""
        return self.step in {*STEPS[STEPS.index("stop") :], ROLL_BACK}

    @property
    def proven(self) -> bool:
        """Whether the new profile had answered a completion."""
        return self.step == "watch"

    @property
    def summary(self) -> str:
        """Its end in words."""
        old = ", ".join(self.stops)
        if self.outcome == SWITCHED:
            return f"{self.to} serves" + (f" ({self.reason})" if self.reason else "")
        if self.outcome == ROLLED_BACK:
            return f"{old} serves again, because {self.to} does not: {self.reason}"
        if self.outcome == REFUSED:
            return f"nothing was changed: {self.reason}"
        return f"NOTHING SERVES in place of {old or self.to}: {self.reason}"


@dataclass
class State:
    """What should serve on this box, and how it came so.

    Attributes:
        active: the profiles that serve and start with the box, each with the time since when.
        switch: the last switch, or None.
        sizes: bytes of model files that nobody has hashed, by path, as they were when they last served.
    """

    active: dict[str, str] = field(default_factory=dict)
    switch: Switch | None = None
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def interrupted(self) -> Switch | None:
        """The switch that nobody ended; only the holder of the lock may ask."""
        return self.switch if self.switch and not self.switch.outcome else None


def now() -> str:
    """Return the time as ISO 8601 with zone, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class StateFile:
    """The file.

    Args:
        path: its path; `PATH.next` is beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = path.with_name(f"{path.name}.next")

    def read(self) -> State:
        """Return the state; an empty one where there is none yet.

        Raises:
            GpuboxError: the file is damaged, or from a newer gpubox.
        """
        try:
            document = json.loads(self.path.read_text("utf-8"))
            if document["version"] > VERSION:
                raise GpuboxError(
                    str(self.path), "is from a newer gpubox", "run playbooks/profiles.yml of that version"
                )
            switch = document["switch"]
            return State(document["active"], Switch(**switch) if switch else None, document["sizes"])
        except FileNotFoundError:
            return State()
        except (ValueError, KeyError, TypeError) as error:
            remedy = "remove it and run playbooks/profiles.yml"
            raise GpuboxError(str(self.path), f"is damaged ({error})", remedy) from error

    def write(self, state: State) -> None:
        """Replace the file; after a loss of power it is the old one or the new one, whole.

        Raises:
            GpuboxError: the disk is full or read-only; the old file is untouched.
        """
        text = json.dumps(_document(state), indent=1)
        while len(text) >= SIZE and state.switch and state.switch.reason:  # words are what can be long
            state.switch.reason = state.switch.reason[: len(state.switch.reason) // 2]
            text = json.dumps(_document(state), indent=1)
        try:
            descriptor = self._laid_out()
            try:
                os.pwrite(descriptor, text.encode().ljust(SIZE - 1) + b"\n", 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._next.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise GpuboxError(
                str(self.path), f"can't be written: {error.strerror}", "free space on its disk"
            ) from error
        with suppress(OSError):  # the next write tries again, and says so
            os.close(self._laid_out())

    def _laid_out(self) -> int:
        descriptor = os.open(self._next, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, SIZE)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _document(state: State) -> dict[str, Any]:
    return {"version": VERSION, **asdict(state)}
