"""How long nothing serves during a switch to a model that the page cache does not have, without and with prewarming (root).

    python tests/benchmarks/bench_prewarm.py [GIB]

On one box of the lab: the stand-in engine reads its model from end to end at its start, and is ready then. Before each switch
the page cache forgets the model. Told are the seconds from the stop of the old profile to the first completion of the new one,
and those of the whole switch, medians of three.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from e2e.switching import SwitchingBox  # noqa: E402  # found by the path above
from lab.lab import Lab  # noqa: E402

TIMES = 3
MODEL = "/srv/models/two.gguf"


def switched(there: SwitchingBox, prewarm: str) -> tuple[float, float]:
    """Return the seconds of a switch to two in which nothing served, and all of it."""
    there.reset()
    there.box.run("sync")
    there.forget_model("two")
    begun = time.monotonic()
    said = there.program("switch", "two", "--watch=0", f"--prewarm={prewarm}", "--prewarm-rate=10000")
    whole = time.monotonic() - begun
    assert said["outcome"] == "switched", said
    steps = {name: datetime.fromisoformat(at).timestamp() for name, at in there.state()["switch"]["steps"]}
    return steps["watch"] - steps["stop"], whole


def main() -> None:
    """Measure and print."""
    gib = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with Lab() as lab, tempfile.TemporaryDirectory() as name:
        there = SwitchingBox(lab, Path(name))
        fill = f"head -c {int(gib * 2**30)} /dev/urandom >> {MODEL}; sync"
        there.box.run(fill, limit_s=300)
        taken: dict[str, list[tuple[float, float]]] = {"no": [], "yes": []}
        for _ in range(TIMES):
            for prewarm, found in taken.items():
                found.append(switched(there, prewarm))
    gap = {prewarm: statistics.median(gap for gap, _ in found) for prewarm, found in taken.items()}
    for prewarm, found in taken.items():
        print(
            f"prewarm {prewarm:3}  nothing serves {gap[prewarm]:5.2f} s"
            f"  ({', '.join(f'{one:.2f}' for one, _ in found)}), whole {statistics.median(all_ for _, all_ in found):5.2f} s"
        )
    print(f"a model of {gib:g} GiB: without, nothing serves {gap['no'] / gap['yes']:.1f} x as long")


if __name__ == "__main__":
    main()
