"""How long a switch takes beyond the load itself, beside other ways to do it, on one box of the lab (root).

Each way replaces profile one by two, whose engine takes T seconds to load. What counts is the first good completion of
two, which a prober on the box sees within 20 ms; machine and box share one clock. The ways take turns; medians are shown.

- systemctl: `systemctl stop one; systemctl start two`, the least that any way can take
- each second: the same, and a look at /health once a second as long as it is not ready, as tools do that poll so
- on the box: the box's own program, as switch.yml calls it
- gpubox: `gpubox switch` on this machine, from the command on
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[:0] = [str(Path(__file__).parents[1])]

from e2e.switching import SwitchingBox  # noqa: E402  # found by the path above
from lab.lab import Lab  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 3
LOAD_S = 2.0
LIMIT_S = 0.7
PROBER = """
import http.client, json, time
while True:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=0.3)
        connection.request("POST", "/completion", "{}")
        answer = json.loads(connection.getresponse().read())
        now = time.time()
        if answer.get("model") == "two":
            print(now)
            break
    except (OSError, ValueError, http.client.HTTPException):
        pass
    time.sleep(0.02)
"""
EACH_SECOND = "until curl -sf -m 1 http://127.0.0.1:8000/health; do sleep 1; done; curl -s -d '{}' http://127.0.0.1:8000/completion; echo; date +%s.%N"


def first_completion(there: SwitchingBox, act: Callable[[], object]) -> float:
    """Return the seconds from an act to the first good completion of two."""
    found: list[float] = []
    prober = threading.Thread(
        target=lambda: found.append(float(there.box.run("python3 -IS -", stdin=PROBER.encode()).stdout))
    )
    prober.start()
    time.sleep(0.5)  # the prober's own login is not part of it
    begun = time.time()
    act()
    prober.join()
    return found[0] - begun


def main() -> None:
    """Measure and print."""
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        there = SwitchingBox(lab, Path(folder))
        options = ["--watch=0", "--prewarm=no"]

        def each_second() -> float:
            begun = time.time()
            said = there.box.run(f"systemctl stop one; systemctl start two; {EACH_SECOND}").stdout
            return float(said.splitlines()[-1]) - begun

        ways: dict[str, Callable[[], float]] = {
            "systemctl": lambda: first_completion(
                there, lambda: there.box.run("systemctl stop one; systemctl start --no-block two")
            ),
            "each second": each_second,
            "on the box": lambda: first_completion(there, lambda: there.program("switch", "two", *options)),
            "gpubox": lambda: first_completion(
                there, lambda: there.gpubox("switch", "two", "--host", there.box.name, "--no-prewarm").communicate()
            ),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        idle: list[float] = []
        for _ in range(TIMES):
            for way, measure in ways.items():
                there.reset()
                there.behave("two", load_s=LOAD_S)
                taken[way].append(measure() - LOAD_S)
            there.reset()
            begun = time.monotonic()
            there.gpubox("switch", "one", "--host", there.box.name).communicate()
            idle.append(time.monotonic() - begun)
    print(f"T = {LOAD_S:g} s; seconds beyond T to the first good completion, median (all)")
    for way, seconds in taken.items():
        print(f"{way:12} {statistics.median(seconds):6.2f}  ({', '.join(f'{second:.2f}' for second in seconds)})")
    print(f"gpubox switch to what serves already: {statistics.median(idle):.2f} s")
    limit = "within" if statistics.median(taken["on the box"]) <= LIMIT_S else "beyond"
    print(f"on the box: {limit} the limit of {LIMIT_S:g} s")


if __name__ == "__main__":
    main()
