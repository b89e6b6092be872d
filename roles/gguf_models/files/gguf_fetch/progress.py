"""How far a run is, in one line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RATE_OVER_S = 20.0


class Progress:
    """Turns byte counts into lines, and hands each to `emit`.

    Args:
        emit: called with a line twice a second while bytes come, and with every event.
        clock: monotonic, seconds.
    """

    def __init__(self, emit: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say = emit
        self._clock = clock
        self._size = 0
        self._points: list[tuple[float, int]] = []

    def begin(self, size: int, done: int) -> None:
        """Say what lies ahead.

        Args:
            size: bytes of all files together.
            done: bytes of them that are there.
        """
        self._size = size
        self._points = [(self._clock(), done)]
        kept = f", {in_gb(done)} GB of them are there" if done else ""
        self.say(f"fetches {in_gb(size)} GB{kept}")

    def tick(self, done: int, trouble: str) -> None:
        """Say how far it is; the rate is that of the last 20 seconds."""
        now = self._clock()
        self._points = [point for point in self._points if now - point[0] <= RATE_OVER_S] or self._points[-1:]
        since, before = self._points[0]
        self._points.append((now, done))
        rate = (done - before) / (now - since) if now > since else 0.0
        parts = [f"{done * 100 // max(self._size, 1)} %", f"{in_gb(done)} of {in_gb(self._size)} GB"]
        if rate > 0:
            parts.append(f"{rate / 1e6:.0f} MB/s")
            if done < self._size:
                parts.append(f"{_in_words((self._size - done) / rate)} left")
        if trouble:
            parts.append(trouble)
        self.say(", ".join(parts))


def in_gb(count: int) -> str:
    """Write bytes as gigabytes (10^9), with three decimals below ten."""
    return f"{count / 1e9:.3f}" if count < 10e9 else f"{count / 1e9:.1f}"


def _in_words(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
