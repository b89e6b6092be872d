"""How often a slower server is called slower, and an unchanged one: limits 95 and 5 of 100 seeded trials.

python tests/benchmarks/bench_regression.py

A trial measures A and B with the default effort (5 to 15 repetitions, until the interval is within 1 %) and judges B as
`gpubox compare A B --fail-on-regression 3` does. Repetitions vary by 1 % (a quiet box) or 2 %, and every twentieth is
5 % slow, as when something else ran.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from gpubox.bench.runner import tight  # noqa: E402  # the folder above is on the path only now
from gpubox.results.compare import compare  # noqa: E402
from gpubox.results.selection import Selection  # noqa: E402
from results.records import WORKLOAD, a_run, a_sample  # noqa: E402

if TYPE_CHECKING:
    from gpubox.record import Sample

TRIALS = 100
LIMIT_PERCENT = 3.0
SLOWER = 1 / 1.05


def measured(noise: random.Random, spread: float, speed: float) -> list[Sample]:
    """Return the repetitions of one run: as many as the benchmark would take."""
    samples: list[Sample] = []
    while len(samples) < WORKLOAD.max_reps and not tight(samples, WORKLOAD):
        disturbed = 0.95 if noise.random() < 0.05 else 1.0
        rates = [speed * disturbed * noise.gauss(1, spread) for _ in range(2)]
        samples.append(a_sample(len(samples), pp=400 * rates[0], tg=20 * rates[1], draft_n=None, draft_n_accepted=None))
    return samples


def regressed(seed: int, spread: float, speed: float) -> tuple[bool, int]:
    """Return whether B, of this speed beside A, is called a regression, and how many repetitions both took."""
    noise = random.Random(seed)
    samples = {"a": measured(noise, spread, 1.0), "b": measured(noise, spread, speed)}
    a, b = (Selection(name, (replace(a_run(name), batch=name),)) for name in samples)
    found = compare(a, b, samples)
    return bool(found.regressions(LIMIT_PERCENT)), sum(len(one) for one in samples.values())


def main() -> None:
    """Run the trials and print."""
    for spread in (0.01, 0.02):
        for what, speed in (("5 % slower", SLOWER), ("unchanged", 1.0)):
            trials = [regressed(seed, spread, speed) for seed in range(TRIALS)]
            called = sum(found for found, _ in trials)
            repetitions = sum(count for _, count in trials) / TRIALS / 2
            print(
                f"repetitions vary by {spread:.0%}, B is {what:<10}: called a regression in {called:>3} of {TRIALS} "
                f"({repetitions:.1f} repetitions a run)"
            )


if __name__ == "__main__":
    main()
