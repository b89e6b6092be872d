"""What goes wrong on purpose: `place: fault; remedy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class FetchError(Exception):
    """A fault that the operator can mend.

    Args:
        place: file, URL or field where it is.
        fault: what is wrong.
        remedy: what to do; may be empty.
    """

    def __init__(self, place: str, fault: str, remedy: str = "") -> None:
        super().__init__(f"{place}: {fault}" + (f"; {remedy}" if remedy else ""))


class SeveralFaultsError(FetchError):
    """Several faults, one a line.

    Args:
        faults: at least one.
    """

    def __init__(self, faults: Sequence[FetchError]) -> None:
        Exception.__init__(self, "\n".join(str(fault) for fault in faults))


class WrongBytesError(FetchError):
    """A file whose hash is not the expected one."""


class PassingError(Exception):
    """A fault of the network or the hub that may be gone in a moment.

    Args:
        fault: what happened.
        wait_s: how long the other side asks to wait, seconds, or None.
    """

    def __init__(self, fault: str, wait_s: float | None = None) -> None:
        super().__init__(fault)
        self.wait_s = wait_s
