"""`python -m soak --minutes 60 --seed 1`, as root: exit status 1 where something was not as it must be."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from e2e.switching import SwitchingBox
from lab.lab import Lab
from soak.soak import Soak
from soak.timeline import table


def main() -> int:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="by default the time, printed")
    parser.add_argument("--keep", type=Path, help="a file for the observer's lines")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else int(time.time())
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        there = SwitchingBox(lab, Path(folder))
        soak = Soak(there, Random(seed), lambda line: print(line, flush=True))
        begun = time.monotonic()
        try:
            soak.run(arguments.minutes * 60)
        finally:
            wrong = _report(soak, seed, time.monotonic() - begun, arguments.keep)
    return 1 if wrong else 0


def _report(soak: Soak, seed: int, seconds: float, keep: Path | None) -> list[str]:
    if keep:
        soak.there.box.get("/var/log/observer.jsonl", keep)
    print(f"\nseed {seed}, {seconds / 60:.1f} minutes, {sum(soak.outcomes.values())} switches")
    print("outcomes: " + ", ".join(f"{name} {count}" for name, count in soak.outcomes.most_common()))
    print("faults: " + ", ".join(f"{name} {count}" for name, count in soak.faults.most_common()))
    wrong = list(soak.violations)
    for name, seen in soak.timelines().items():
        print(f"{name}, {seen.lines} looks:", *table(seen), sep="\n")
        wrong += seen.faults
    print(*(f"WRONG: {fault}" for fault in wrong), sep="\n")
    print(f"{len(wrong)} violations")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
