"""Progress on standard error: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpubox.record import Run, Sample

_CLEAR = "\r\x1b[K"


class Progress:
    """Tells a person how far a benchmark is; a `Watcher` of `gpubox.bench.session`.

    Args:
        quiet: say nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._open_line = False
        self._valid: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Print a step on a line of its own."""
        if self._quiet:
            return
        self._end_line()
        print(text, file=sys.stderr, flush=True)

    def sample(self, run: Run, sample: Sample) -> None:
        """Show the newest sample of a run."""
        if self._quiet:
            return
        self._valid[run.id] = self._valid.get(run.id, 0) + sample.valid
        who = run.profile or run.endpoint
        if sample.nll is not None:
            self._show(f"{who}: {run.workload.name}  piece {sample.index + 1}  perplexity {math.exp(sample.nll):8.3f}")
            return
        if sample.kind == "warmup":
            count = "warm-up"
        elif sample.faults:
            count = f"invalid: {', '.join(sample.faults)}"
        else:
            count = f"{self._valid[run.id]} of {run.workload.min_reps} to {run.workload.max_reps}"
        speeds = f"PP {_rate(sample.pp_tps)}  TG {_rate(sample.tg_tps)}"
        if sample.draft_acceptance is not None:
            speeds += f"  acceptance {sample.draft_acceptance:.2f}"
        if sample.clean_n is not None:
            speeds += f"  {sample.clean_n} tokens without a fault"
        self._show(f"{who}: {run.workload.name}  {count:>10}  {speeds}")

    def _show(self, line: str) -> None:
        if self._live:
            print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)
            self._open_line = True
        else:
            print(line, file=sys.stderr, flush=True)

    def _end_line(self) -> None:
        if self._open_line:
            print(file=sys.stderr)
            self._open_line = False

    def close(self) -> None:
        """End a live line, so that what follows starts on its own."""
        self._end_line()


def _rate(value: float | None) -> str:
    return "     - t/s" if value is None else f"{value:8.1f} t/s"
