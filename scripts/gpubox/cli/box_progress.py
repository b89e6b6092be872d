"""How boxes come along, on standard error: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLEAR = "\r\x1b[K"
PLAIN_S = 10.0  # between two lines of progress where there is no terminal


class BoxProgress:
    """Tells a person what boxes do; safe to be told by several threads, as each event is one write.

    Args:
        several: whether more than one box is spoken of at a time, so that a live line would be everybody's.
    """

    def __init__(self, *, several: bool = False) -> None:
        self._live = sys.stderr.isatty() and not several
        self._open_line = False
        self._told: dict[str, float] = {}

    def event(self, box: str, event: Mapping[str, Any]) -> None:
        """Show an event of a box."""
        text = str(event.get("text", "")).partition("\n")[0]
        if event["event"] == "step":
            self.say(f"{box}: {event['step']}: {text}")
        elif event["event"] == "lost":
            self.say(f"{box}: {text}")
        elif event["event"] == "progress" and self._live:
            sys.stderr.write(f"{_CLEAR}{box}: {text}")
            sys.stderr.flush()
            self._open_line = True
        elif event["event"] == "progress" and time.monotonic() - self._told.get(box, -PLAIN_S) >= PLAIN_S:
            self._told[box] = time.monotonic()
            self.say(f"{box}: {text}")

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self.close()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End a live line, so that what follows starts on its own."""
        if self._open_line:
            sys.stderr.write("\n")
            self._open_line = False
