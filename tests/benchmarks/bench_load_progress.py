"""What following a load costs a box: CPU of the switch, and how late it notices that the server is ready (root).

On one box of the lab. CPU is that of the program and of all that it starts, in percent of one core, over a load of 20 s. Late
is the time from the server's own line that it listens, by the journal, to the completion that proves it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from e2e.switching import SwitchingBox  # noqa: E402  # found by the path above
from lab.lab import Lab  # noqa: E402

TIMES = 10
LOAD_S, SHORT_S = 20.0, 1.5
LIMIT_S = 0.1
TICKS = "getconf CLK_TCK"
# utime, stime, and those of children that have ended.
CPU = "cut -d' ' -f14-17 /proc/$(systemctl show -P MainPID 'gpubox-switch-*.service')/stat; date +%s.%N"


def cpu_share(there: SwitchingBox) -> float:
    """Return the CPU of a switch while its new profile loads, of one core."""
    there.reset()
    there.behave("two", load_s=LOAD_S)
    last = there.last_id()
    process = there.gpubox("switch", "two", "--host", there.box.name, "--no-prewarm", "--watch=0")
    there.await_step("load", last)
    time.sleep(2)  # the start of the container is not what is asked
    per_second = int(there.box.run(TICKS).stdout)
    seen = []
    for wait_s in (0.0, LOAD_S - 6):
        time.sleep(wait_s)
        ticks, at = there.box.run(CPU).stdout.splitlines()
        seen.append((sum(map(int, ticks.split())) / per_second, float(at)))
    process.communicate()
    (before, begun), (after, ended) = seen
    return (after - before) / (ended - begun)


def lateness(there: SwitchingBox, load_s: float) -> float:
    """Return the seconds from a server's own word that it listens to the completion that proves it."""
    there.reset()
    there.behave("two", load_s=load_s)
    said = there.program("switch", "two", "--watch=0", "--prewarm=no")
    assert said["outcome"] == "switched", said
    lines = there.box.run("journalctl --sync; journalctl -o json -u two --grep='server is listening' -n 1").stdout
    listens = int(json.loads(lines.splitlines()[-1])["__REALTIME_TIMESTAMP"]) / 1e6
    steps = dict(there.state()["switch"]["steps"])
    return datetime.fromisoformat(steps["watch"]).timestamp() - listens


def main() -> None:
    """Measure and print."""
    with Lab() as lab, tempfile.TemporaryDirectory() as name:
        there = SwitchingBox(lab, Path(name))
        late = [lateness(there, SHORT_S + 0.037 * number) for number in range(TIMES)]
        share = cpu_share(there)
    median = statistics.median(late)
    print(f"following a load: {share:.1%} of one core")
    print(f"late: median {median * 1e3:.0f} ms ({', '.join(f'{one * 1e3:.0f}' for one in sorted(late))})")
    print(f"{'within' if median <= LIMIT_S else 'beyond'} the limit of {LIMIT_S * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
