"""One thing that a command line, a model or a box has about it, told so that a reader learns from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpubox.catalogue.check import Level


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        level: `error` where the server will not start or not fit, `warning` where it does not do what it says, else
            `note`.
        where: the flag, device or file.
        what: what is found.
        why: how the engine comes to it, with the place in its source.
        instead: what to write; may be empty.
        index: of the flag in the argv; None where it is about no single flag.
    """

    level: Level
    where: str
    what: str
    why: str = ""
    instead: str = ""
    index: int | None = None

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        instead = f"; {self.instead}" if self.instead else ""
        return f"{self.level}: {self.where}: {self.what}{why}{instead}"

    def as_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {"level": self.level, "where": self.where, "what": self.what, "why": self.why, "instead": self.instead}
