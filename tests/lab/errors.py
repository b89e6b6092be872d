"""Every error that the lab raises on purpose.

LabError               place, fault, remedy
├── MachineError       this machine can't run boxes as it is
├── MirrorError        no package mirror for a release
├── ImageError         an image could not be built; carries the log's last lines
├── BoxError           a box did not start, did not answer or has ended
└── CommandError       a command on a box failed; carries what it printed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class LabError(Exception):
    """Base of the tree: `place: fault; remedy`, and below it the last lines of what was printed.

    Args:
        place: a box, a release or this machine.
        fault: what is wrong.
        remedy: what to do; may be empty.
        last_lines: the end of what the failed program printed, oldest first.
    """

    def __init__(self, place: str, fault: str, remedy: str = "", last_lines: Sequence[str] = ()) -> None:
        super().__init__(place, fault, remedy)
        self.place = place
        self.fault = fault
        self.remedy = remedy
        self.last_lines = tuple(last_lines)

    def __str__(self) -> str:
        text = f"{self.place}: {self.fault}" + (f"; {self.remedy}" if self.remedy else "")
        return "\n".join([text, *(f"  | {line}" for line in self.last_lines)])


class MachineError(LabError):
    """This machine lacks something that boxes need: root, a program, a cgroup2 tree."""


class MirrorError(LabError):
    """The machine's mirror serves no archive of a release, or none whose signature can be checked."""


class ImageError(LabError):
    """A base or a saved box could not be built."""


class BoxError(LabError):
    """A box did not start, did not answer in time, or is not running."""


class CommandError(LabError):
    """A command on a box exited with another status than 0, or ran past its limit."""
