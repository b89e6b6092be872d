"""The events of a switch, written by one process and followed by another."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from gpubox.switch_program.events import Events, follow

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_follower_gets_every_event_up_to_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run" / "1.jsonl"

    def tell() -> None:
        events = Events(path)
        events.step("stop", "one")
        events.progress("two: 1 of 2", 1, 2)
        events.progress("two: 2 of 2", 2, 2)
        events.end("rolled back", "one serves again", active=["one"])

    teller = threading.Timer(0.1, tell)
    teller.start()
    seen = [{**event, "elapsed_s": 0} for event in follow(path, itertools.repeat(True))]
    teller.join()
    assert seen == [
        {"event": "step", "step": "stop", "text": "one", "elapsed_s": 0},
        {"event": "progress", "text": "two: 1 of 2", "bytes": 1, "of": 2, "elapsed_s": 0},
        {"event": "progress", "text": "two: 2 of 2", "bytes": 2, "of": 2, "elapsed_s": 0},
        {"event": "end", "outcome": "rolled back", "text": "one serves again", "active": ["one"], "elapsed_s": 0},
    ]
    # The journal gets a line of progress every ten seconds.
    assert capsys.readouterr().out == "<5>stop: one\ntwo: 1 of 2\n<3>rolled back: one serves again\n"


def test_a_half_written_line_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_text('{"event": "en')
    threading.Timer(0.1, path.write_text, ['{"event": "end"}\n']).start()
    assert list(follow(path, itertools.repeat(True))) == [{"event": "end"}]
