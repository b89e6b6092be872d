"""How long to go on asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .errors import FetchError, PassingError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

MAX_WAIT_S = 60.0
MAX_ASKED_WAIT_S = 600.0  # of a hub that names its wait: rate limits of the hub end within five minutes
T = TypeVar("T")


class Patience:
    """Counts failures in a row, and waits after each: twice as long as the time before, or what the other side asks.

    Args:
        place: what is being asked for.
        attempts: failures in a row that end it.
        wait_s: the first wait, seconds.
        stopped: ends a wait early.
        tell: called with each failure, and with an empty text when things go well again.
    """

    def __init__(
        self, place: str, attempts: int, wait_s: float, stopped: threading.Event, tell: Callable[[str], None]
    ) -> None:
        self._place = place
        self._attempts = attempts
        self._wait_s = wait_s
        self._stopped = stopped
        self._tell = tell
        self._failures = 0

    def failed(self, fault: PassingError) -> None:
        """Wait for the next attempt.

        Raises:
            FetchError: there is no next attempt.
        """
        self._failures += 1
        if self._failures >= self._attempts:
            remedy = "what is there is kept; run again to go on"
            times = "" if self._failures == 1 else f", {self._failures} times in a row"
            raise FetchError(self._place, f"{fault}{times}", remedy)
        wait_s = min(self._wait_s * 2 ** (self._failures - 1), MAX_WAIT_S)
        if fault.wait_s is not None:
            wait_s = min(max(wait_s, fault.wait_s), MAX_ASKED_WAIT_S)
        self._tell(f"{self._place}: {fault}; attempt {self._failures + 1} of {self._attempts} in {wait_s:.3g} s")
        self._stopped.wait(wait_s)

    def gained(self) -> None:
        """Forget the failures: something came."""
        if self._failures:
            self._failures = 0
            self._tell("")

    def insist(self, ask: Callable[[], T]) -> T:
        """Call until it works.

        Raises:
            FetchError: it does not.
        """
        while True:
            try:
                return ask()
            except PassingError as fault:
                self.failed(fault)
