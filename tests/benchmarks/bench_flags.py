"""How often a quiet run is flagged, and a planted trend or noise: limits 3 and 90 of 100.

python tests/benchmarks/bench_flags.py

A run takes as many repetitions as the default effort does (5 to 15, until the interval is within 1 %). Quiet ones vary by 1 %
or 2 % about one speed; planted ones also rise or fall along a line over ten repetitions, or vary by 10 %.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from gpubox.bench.runner import tight  # noqa: E402  # the folder above is on the path only now
from gpubox.results.summary import summarise  # noqa: E402
from results.records import WORKLOAD, a_run, a_sample  # noqa: E402

if TYPE_CHECKING:
    from gpubox.record import Sample

RUNS = 1000
FALSE, FOUND = 0.03, 0.9
# What is planted: its name, the spread, the change of TG over ten repetitions, and the flag that has to tell it.
PLANTED = (
    ("quiet, 1 %", 0.01, 0.0, ""),
    ("quiet, 2 %", 0.02, 0.0, ""),
    ("rises by 6 %, varies by 1 %", 0.01, 0.06, "warming-up"),
    ("falls by 6 %, varies by 1 %", 0.01, -0.06, "drift"),
    ("rises by 6 %, varies by 2 %", 0.02, 0.06, "warming-up"),
    ("falls by 6 %, varies by 2 %", 0.02, -0.06, "drift"),
    ("varies by 10 %", 0.10, 0.0, "high-variance"),
)


def measured(noise: random.Random, spread: float, change: float) -> list[Sample]:
    """Return the repetitions of one run: as many as the benchmark would take."""
    samples: list[Sample] = []
    while len(samples) < WORKLOAD.max_reps and not tight(samples, WORKLOAD):
        along = 1 + change * len(samples) / 9
        pp, tg = (noise.gauss(1, spread) for _ in range(2))
        samples.append(a_sample(len(samples), pp=400 * pp, tg=20 * tg * along, draft_n=None, draft_n_accepted=None))
    return samples


def flags_of(seed: int, spread: float, change: float) -> list[str]:
    """Return the names of a run's flags."""
    run = a_run(status="done", flags=())
    return [flag.partition(":")[0] for flag in summarise(run, measured(random.Random(seed), spread, change)).flags]


def main() -> None:
    """Count and print."""
    good = True
    for name, spread, change, wanted in PLANTED:
        found = [flags_of(seed, spread, change) for seed in range(RUNS)]
        told = sum(bool(flags) if not wanted else wanted in flags for flags in found)
        good &= told / RUNS >= FOUND if wanted else told / RUNS <= FALSE
        what = f"flagged as {wanted}" if wanted else "flagged"
        print(f"{name:<30} {what:<24} {told / RUNS:6.1%}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
