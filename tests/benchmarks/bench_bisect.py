"""How often a bisection names the right commit, of 60 seeded histories each, and how many measurements that takes.

python tests/benchmarks/bench_bisect.py

Lines have 20 to 200 commits and one slow step at a random place. Repetitions vary by 0.5 %, five a run; loads of a model, and so
all repetitions of a run, vary by a share of their own.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bisection.world import World, falling  # noqa: E402  # the folder above is on the path only now
from gpubox.bisect.decision import Outcome  # noqa: E402

TRIALS = 60
LOADS = (0.0, 0.005, 0.01, 0.02)
LOSSES = (4, 6, 10)


def trial(world: World, culprit: int) -> str:
    """Return what is said of a line whose first slow commit is `culprit`."""
    ending = world.run()
    assert ending is not None
    if ending.outcome is not Outcome.FOUND:
        return str(ending.outcome.value)
    return "right" if ending.low < culprit <= ending.high else "wrong"


def main() -> None:
    """Run the trials and print; exit with 1 where loads that are alike ever give a wrong name."""
    wrong = 0
    for load in LOADS:
        for loss in LOSSES:
            chance, said, asked = random.Random(1), Counter[str](), 0
            for seed in range(TRIALS):
                length = chance.randint(20, 200)
                culprit = chance.randint(1, length - 1)
                world = World(length, falling(culprit, loss), noise=0.005, load_noise=load, seed=seed)
                said[trial(world, culprit)] += 1
                asked += len(world.asked)
            told = ", ".join(f"{word} {count}" for word, count in said.most_common())
            print(f"loads vary by {load:.1%}, loss {loss:2} %: {told} of {TRIALS}; {asked / TRIALS:.1f} measurements")
            wrong += said["wrong"] if not load else 0
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
