"""Every error that gpubox raises on purpose.

    GpuboxError                   place, fault, remedy; exit status 1
    ├── DocumentError             a profile, inventory or workload file: all its faults at once
    ├── ArgumentError             an argument of an argv that a unit file can't carry
    ├── ModelFileError            a GGUF that is missing, truncated or not a GGUF
    ├── ServerError               a server that gpubox started
    │   ├── PortInUseError        somebody else has the port
    │   ├── ServerExitedError     it ended; carries its last lines
    │   └── ServerNotReadyError   it did not answer within its time limit
    ├── ImageError                a container image that can't be built, shared or run; carries the last lines
    ├── UnusableCommitError       a commit of the engine that doesn't build, start or answer, whatever the box does
    ├── BoxError                  a box that can't be reached, or whose program does not answer
    │   └── ConnectionLostError   the connection broke; what was begun on the box goes on
    ├── EndpointError             an HTTP endpoint that is not answering as llama.cpp's family does
    ├── ResultsError              the results database: locked, read-only, full, newer
    └── UnknownRunError           a run, profile or batch that the results do not hold

A user's mistake is always one of these and never shows a traceback; anything else is a bug of ours (exit status 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Fault:
    """One fault of a document, in the order that a reader needs: where, what, what was found, what to do.

    Attributes:
        file: the file's path as the user wrote it.
        field: dotted path inside the document (`server.ctx_size`, `experts[0].layers`); empty for the whole document.
        fault: what is wrong, without the value.
        got: the offending value as text, or None where there is none to show.
        remedy: what to do about it; may be empty when the fault says it.
    """

    file: str
    field: str
    fault: str
    got: str | None = None
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.field}" if self.field else self.file
        found = f" (got {self.got})" if self.got is not None else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}: {self.fault}{found}{remedy}"


class GpuboxError(Exception):
    """Base of the tree: `place: fault; remedy`.

    Args:
        place: a file, host, URL or option: where the fault is.
        fault: what is wrong.
        remedy: what the user can do; may be empty.
    """

    exit_code = 1

    def __init__(self, place: str, fault: str, remedy: str = "") -> None:
        super().__init__(place, fault, remedy)
        self.place = place
        self.fault = fault
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}" + (f"; {self.remedy}" if self.remedy else "")


class DocumentError(GpuboxError):
    """A document with one or more faults; its text is one fault a line.

    Args:
        faults: at least one fault, in document order.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(first.file, first.fault, first.remedy)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class ArgumentError(GpuboxError):
    """An argument that the asked-for unit format can't carry unchanged."""


class ModelFileError(GpuboxError):
    """A model file that is missing, unreadable, truncated or not a GGUF."""


class ServerError(GpuboxError):
    """A server that gpubox started and that does not serve."""


class PortInUseError(ServerError):
    """The address to serve on is taken."""


class ServerExitedError(ServerError):
    """The server ended by itself.

    Args:
        place: the profile or command.
        fault: how it ended.
        remedy: what to try.
        last_lines: the end of what it printed, oldest first.
    """

    def __init__(self, place: str, fault: str, remedy: str = "", last_lines: Sequence[str] = ()) -> None:
        super().__init__(place, fault, remedy)
        self.last_lines = tuple(last_lines)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  | {line}" for line in self.last_lines)])


class ServerNotReadyError(ServerExitedError):
    """The server runs but did not become ready within its time limit; carries its last lines too."""


class ImageError(GpuboxError):
    """A container image that can't be built, shared or run.

    Args:
        place: the box, and what was tried there.
        fault: why it failed.
        remedy: what to try.
        last_lines: the end of what git, cmake or podman printed, oldest first.
    """

    def __init__(self, place: str, fault: str, remedy: str = "", last_lines: Sequence[str] = ()) -> None:
        super().__init__(place, fault, remedy)
        self.last_lines = tuple(last_lines)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  | {line}" for line in self.last_lines)])


class UnusableCommitError(GpuboxError):
    """A commit of the engine that does not build, or whose server does not start, or not answer.

    Args:
        place: the box, and what was tried there.
        fault: how it failed.
        line: of what was printed, the one that tells most; may be empty.
    """

    def __init__(self, place: str, fault: str, line: str = "") -> None:
        super().__init__(place, fault)
        self.line = line

    def __str__(self) -> str:
        return f"{self.fault}: {self.line}" if self.line else self.fault


class BoxError(GpuboxError):
    """A box that can't be reached, lets nobody in, or has nothing of gpubox on it."""


class ConnectionLostError(BoxError):
    """The connection to a box broke; what was begun there goes on."""


class EndpointError(GpuboxError):
    """An endpoint that can't be reached, is not of llama.cpp's family, or failed a request."""


class ResultsError(GpuboxError):
    """The results database can't be used: locked, read-only, full, damaged or from a newer gpubox."""


class UnknownRunError(GpuboxError):
    """A name that stands for no run of the results, or for several where one is needed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean X?` for the known name nearest to `name`, or an empty string where none is near."""
    from difflib import get_close_matches  # noqa: PLC0415  # most commands make no mistake

    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {matches[0]}?" if matches else ""
