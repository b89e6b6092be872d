"""What a switch tells: to the journal as lines, to whoever follows it as JSON, one object a line."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL_S = 0.03
TICK_S = 2.0
JOURNAL_S = 10.0  # between two lines of progress in the journal
ERROR, NOTICE = "<3>", "<5>"  # priorities that systemd reads off a line's start


class Events:
    """The events of one switch.

    Args:
        path: file that followers read; its folder is in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun = time.monotonic()
        self._journalled = -JOURNAL_S

    def step(self, step: str, text: str) -> None:
        """Tell that a step begins, or what came of it."""
        self._emit({"event": "step", "step": step, "text": text})
        _print(f"{NOTICE}{step}: {text}")

    def progress(self, text: str, done: int, total: int) -> None:
        """Tell how far a step is, both in bytes; the journal gets a line now and then."""
        self._emit({"event": "progress", "text": text, "bytes": done, "of": total})
        if time.monotonic() - self._journalled >= JOURNAL_S:
            self._journalled = time.monotonic()
            _print(text)

    def end(self, outcome: str, text: str, **more: Any) -> None:  # noqa: ANN401  # JSON
        """Tell the end; nothing follows it."""
        _print(f"{NOTICE if outcome == 'switched' else ERROR}{outcome}: {text}")
        self._emit({"event": "end", "outcome": outcome, "text": text, **more})

    def _emit(self, event: dict[str, Any]) -> None:
        line = json.dumps({**event, "elapsed_s": round(time.monotonic() - self._begun, 3)})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:  # nobody can follow it then, but the switch is what counts
            _print(f"{ERROR}{self._path}: {error.strerror}")


def follow(path: Path, alive: Iterator[bool]) -> Iterator[dict[str, Any]]:
    """Yield the events of a switch as they come, the end as the last; a tick where there is nothing else to tell.

    Args:
        path: the events' file, which may not be there yet.
        alive: says, each time it is asked, whether an end can still come; asked about every two seconds.
    """
    position, quiet_since, last_look = 0, time.monotonic(), False
    while True:
        lines, position = _new_lines(path, position)
        for line in lines:
            event = json.loads(line)
            yield event
            if event["event"] == "end":
                return
        if lines:
            quiet_since, last_look = time.monotonic(), False
        elif last_look:
            return
        elif time.monotonic() - quiet_since >= TICK_S:
            quiet_since = time.monotonic()
            yield {"event": "tick"}
            last_look = not next(alive)
        time.sleep(POLL_S)


def _new_lines(path: Path, position: int) -> tuple[list[bytes], int]:
    try:
        with path.open("rb") as file:
            file.seek(position)
            text = file.read()
    except OSError:
        return [], position
    whole = text[: text.rfind(b"\n") + 1]
    return whole.splitlines(), position + len(whole)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
