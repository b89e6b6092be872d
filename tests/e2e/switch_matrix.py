"""What every test of a switch on a box needs: the end of one, checked, and the table of what came of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e2e.switching import SwitchingBox
KILL = "systemctl kill --signal=KILL --kill-whom=main 'gpubox-switch-*.service'"


class Matrix:
    """What came of each cell."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def add(self, step: str, fault: str, outcome: str, serving: list[str]) -> None:
        self.rows.append((fault, step, outcome, ", ".join(serving) or "nothing"))


def the_end(there: SwitchingBox, matrix: Matrix, step: str, fault: str) -> dict[str, Any]:
    """Wait for the end of a switch from one to two; check that what is written is what is so, and that one at most serves."""
    switch = there.await_end()
    state, serving = there.state(), there.answering()
    matrix.add(step, fault, switch["outcome"], serving)
    assert serving == sorted(state["active"])
    assert serving == {"switched": ["two"], "failed": []}.get(switch["outcome"], ["one"])
    running = there.box.run("systemctl is-active one two", check=False).stdout.split()
    assert [name for name, now in zip(("one", "two"), running, strict=True) if now == "active"] == serving
    return switch
