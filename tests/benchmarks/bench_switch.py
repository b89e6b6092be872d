"""How long a switch takes beyond the load itself, beside other ways to do it, on one box of the lab (root).

Each way replaces profile one by two, whose engine takes T seconds from the start of its process until it serves. The first
good completion of two is what a prober on the box sees within 5 ms, and `told` is when the way itself says that two is
ready. Both count from the start of the command: of `gpubox` on this machine, of all others on the box, so that the login is
no part of them; machine and box share one clock. The ways take turns; medians are shown, less T.

- systemctl: `systemctl stop one; systemctl start two`, the least that any way can take; it tells nothing
- each second: the same, and a look at /health once a second as long as it is not ready, as llama-swap does (it is not on
  the registries that the tests may use)
- podman: `podman rm --force one; podman run two`, and a look at /health each 0.2 s
- llama-mdl: `mdl stop one; mdl run two` of llama-mdl 0.14.0 from PyPI, without containers
- on the box: the box's own program, as switch.yml calls it
- gpubox: `gpubox switch` on this machine
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from e2e.switching import PROGRAM, SwitchingBox  # noqa: E402  # found by the path above
from lab.lab import Lab  # noqa: E402

TIMES = 5
LOAD_S = 2.0
LIMIT_S = 0.7
# As long as the old engine answers it looks now and then, so as not to slow down what it measures.
PROBER = """
import http.client, json, time
while True:
    pause = 0.005
    try:
        connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=0.3)
        connection.request("POST", "/completion", "{}")
        answer = json.loads(connection.getresponse().read())
        now = time.time()
        if answer.get("model") == "two":
            print(now)
            break
        if answer.get("model") == "one":
            pause = 0.1
    except (OSError, ValueError, http.client.HTTPException):
        pass
    time.sleep(pause)
"""
HEALTHY = "until curl -sf -m 1 http://127.0.0.1:8000/health; do sleep %s; done; echo; date +%%s.%%N"
MDL = "llama-mdl==0.14.0"
ENGINE = """#!/bin/sh
exec /usr/bin/python3 -ISB /root/stand_in_engine.py "$@"
"""
MDL_CONFIG = """
llama_server = "/usr/local/bin/llama-server"
[one]
model = "/srv/models/one.gguf"
port = 8000
args = ["--alias", "one"]
[two]
model = "/srv/models/two.gguf"
port = 8000
args = ["--alias", "two"]
"""
# Returns when it began and when it said that it was done, both as time.time().
Act = Callable[[], tuple[float, float]]


def measured(there: SwitchingBox, act: Act) -> tuple[float, float]:
    """Return the seconds from an act to the first good completion of two, and to when the act says that it serves."""
    found: list[float] = []
    prober = threading.Thread(
        target=lambda: found.append(float(there.box.run("python3 -IS -", stdin=PROBER.encode()).stdout))
    )
    prober.start()
    time.sleep(0.5)  # the prober's own login is not part of it
    begun, told = act()
    prober.join()
    return found[0] - begun - LOAD_S, told - begun - LOAD_S


class Ways:
    """The ways from one to two.

    Args:
        there: the box.
        folder: for files.
    """

    def __init__(self, there: SwitchingBox, folder: Path) -> None:
        self.there = there
        self.with_mdl = self._install_mdl(folder)

    def all(self) -> dict[str, tuple[Act, Act]]:
        """Return of each way what makes ready for it, and itself."""
        options = ["--watch=0", "--prewarm=no"]
        ways = {
            "systemctl": (self._nothing, lambda: self._on_box("systemctl stop one; systemctl start two; echo nan")),
            "each second": (
                self._nothing,
                lambda: self._on_box(f"systemctl stop one; systemctl start two; {HEALTHY % 1}"),
            ),
            "podman": (
                lambda: self._on_box(f"systemctl stop one; {self._run('one')}; {HEALTHY % 0.2}"),
                lambda: self._on_box(f"podman rm --force --time 3 plain-one; {self._run('two')}; {HEALTHY % 0.2}"),
            ),
            "on the box": (
                self._nothing,
                lambda: self._ours(
                    lambda: self._on_box(f"python3 -ISB {PROGRAM} switch two {' '.join(options)} >&2; echo nan")
                ),
            ),
            "gpubox": (self._nothing, lambda: self._ours(self._from_here)),
        }
        if self.with_mdl:
            ways["llama-mdl"] = (
                lambda: self._on_box("systemctl stop one; mdl run one >&2; date +%s.%N"),
                lambda: self._on_box("mdl stop one >&2; mdl run two >&2; date +%s.%N"),
            )
        return ways

    def clear(self) -> None:
        """Take away what the ways have left."""
        self.there.box.run("mdl stop --all >/dev/null 2>&1; podman rm --force --ignore plain-one plain-two")
        self.there.reset()

    def _install_mdl(self, folder: Path) -> bool:
        target = folder / "mdl"
        got = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", f"--target={target}", MDL], check=False
        )
        if got.returncode:
            return False
        box = self.there.box
        box.put(target, "/opt/mdl")
        box.run("mkdir -p /root/.config/mdl && cat > /root/.config/mdl/models.toml", stdin=MDL_CONFIG.encode())
        box.run("cat > /usr/local/bin/llama-server; chmod 755 /usr/local/bin/llama-server", stdin=ENGINE.encode())
        program = b'#!/bin/sh\nexec python3 /opt/mdl/mdl.py "$@"\n'
        box.run("cat > /usr/local/bin/mdl; chmod 755 /usr/local/bin/mdl", stdin=program)
        return True

    def _run(self, profile: str) -> str:
        """Return how Podman runs a profile's engine by itself."""
        return (
            f"podman run --detach --name plain-{profile} --publish 127.0.0.1:8000:8000 --volume /srv/models:/models:ro"
            f" localhost/{profile}:e2e --model /models/{profile}.gguf --alias {profile} --port 8000 >&2"
        )

    def _on_box(self, script: str) -> tuple[float, float]:
        """Run a script on the box, whose last line says when it was done."""
        lines = self.there.box.run(f"date +%s.%N; {script}").stdout.splitlines()
        return float(lines[0]), float(lines[-1])

    def _from_here(self) -> tuple[float, float]:
        begun = time.time()
        self.there.gpubox("switch", "two", "--host", self.there.box.name, "--no-prewarm").communicate()
        return begun, time.time()

    def _ours(self, act: Act) -> tuple[float, float]:
        """Take from the state when two was told to serve: the command goes on and watches it."""
        begun, _ = act()
        steps = dict(self.there.state()["switch"]["steps"])
        return begun, datetime.fromisoformat(steps["watch"]).timestamp()

    @staticmethod
    def _nothing() -> tuple[float, float]:
        return 0.0, 0.0


def main() -> None:
    """Measure and print."""
    with Lab() as lab, tempfile.TemporaryDirectory() as name:
        there = SwitchingBox(lab, Path(name))
        ways = Ways(there, Path(name))
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways.all()}
        idle: list[float] = []
        there.switch("one")  # what is done once, by the first command after an installation, is no part of it
        for _ in range(TIMES):
            for way, (prepare, act) in ways.all().items():
                ways.clear()
                prepare()
                there.behave("two", load_s=LOAD_S)
                taken[way].append(measured(there, act))
            ways.clear()
            begun = time.monotonic()
            there.gpubox("switch", "one", "--host", there.box.name).communicate()
            idle.append(time.monotonic() - begun)
    if not ways.with_mdl:
        print(f"{MDL} can't be had here")
    print(f"T = {LOAD_S:g} s; seconds beyond T, median (all): first good completion; told that it serves")
    ours = statistics.median(first for first, _ in taken["on the box"])
    for way, pairs in taken.items():
        first, told = ([pair[at] for pair in pairs] for at in (0, 1))
        said = "none" if math.isnan(told[0]) else f"{statistics.median(told):.2f}"
        print(
            f"{way:12} {statistics.median(first):6.2f}  ({', '.join(f'{second:.2f}' for second in first)})"
            f"  {statistics.median(first) / ours:5.1f} x ours; told {said:>6}"
        )
        if way in {"on the box", "gpubox"}:
            verdict = "within" if statistics.median(first) <= LIMIT_S else "beyond"
            print(f"{'':12} {verdict} the limit of {LIMIT_S:g} s")
    print(f"gpubox switch to what serves already: {statistics.median(idle):.2f} s")


if __name__ == "__main__":
    main()
