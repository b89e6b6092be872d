"""Rounds of switches under faults on one box, each checked when all is quiet again, and an observer on it all along."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import LabError
from soak.plan import NOT_BEGUN, REBOOTS, TIMEOUT_S, WATCH_S, Plan, draw
from soak.timeline import Reader, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from e2e.switching import SwitchingBox

HERE = Path(__file__).parent
LOG = "/var/log/observer.jsonl"
UNIT = f"""
[Unit]
Description=observer of what serves
Before=one.service two.service three.service gpubox-boot.service
[Service]
ExecStart=/usr/bin/python3 -ISB /root/observer.py {LOG}
Restart=always
[Install]
WantedBy=multi-user.target
"""
# What of a switch is still under way, and what systemd and the state say.
LOOK = """
import json, subprocess
from pathlib import Path
busy = []
for file in Path("/proc").glob("[0-9]*/cmdline"):
    try:
        words = file.read_text().split("\\0")
    except OSError:
        continue
    if any(b.endswith("switch.pyz") and a in {"switch", "run", "boot"} for b, a in zip(words, words[1:])):
        busy.append(" ".join(words).strip())
listed = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "gpubox-switch-*", "gpubox-boot.service"]
for line in subprocess.run(listed, capture_output=True, text=True).stdout.splitlines():
    if line.split()[2] in {"active", "activating", "deactivating", "reloading"}:
        busy.append(line)
system = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True).stdout.strip()
active = subprocess.run(["systemctl", "is-active", "one", "two", "three"], capture_output=True, text=True).stdout.split()
state = json.loads(Path("/var/lib/gpubox/state.json").read_text())
print(json.dumps({"busy": busy, "system": system, "units": active, "state": state}))
"""
# Every session's own process; the one that runs this goes too.
RESET = """
import os, signal
from pathlib import Path
for file in Path("/proc").glob("[0-9]*/cmdline"):
    words = file.read_text().partition("\\0")[0]
    if words.startswith(("sshd-session: ", "sshd: ")) and "[listener]" not in words:
        os.kill(int(file.parent.name), signal.SIGKILL)
"""
KILL = "systemctl kill --signal=KILL --kill-whom=main 'gpubox-switch-*.service' gpubox-boot.service; true"
SETTLE_S = 150.0
ANSWER_S = 30.0


class Soak:
    """A box under faults.

    Args:
        there: the box; `one` serves on it, alone.
        random: draws the rounds.
        tell: told of every round.
    """

    def __init__(self, there: SwitchingBox, random: Random, tell: Callable[[str], None]) -> None:
        self.there = there
        self.outcomes: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self._random = random
        self._tell = tell
        self._serving = "one"
        box = there.box
        box.put(HERE / "observer.py", "/root/observer.py")
        box.run("cat > /etc/systemd/system/observer.service", stdin=UNIT.encode())
        box.run("systemctl daemon-reload && systemctl enable --quiet --now observer")
        said = there.program("switch", "three", "--watch=0", "--prewarm=no")
        assert said["outcome"] == "switched", said

    def run(self, seconds: float) -> None:
        """Go on for a while, or until something is wrong that can't be gone on from."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.round(draw(self._random, self._serving))

    def round(self, plan: Plan) -> None:
        """Switch, let the faults happen, and check what came of it."""
        begun = time.monotonic()
        old = self._serving if plan.to != self._serving else ""
        told = {f"/srv/models/{plan.to}.json": plan.behaviour, "/run/vram.json": {"lingers_s": plan.lingers_s}}
        if old:
            told[f"/srv/models/{old}.json"] = plan.old_behaviour
        self._write(told)
        last = self.there.last_id()
        options = ["--no-prewarm", f"--watch={WATCH_S:g}", f"--timeout={TIMEOUT_S:g}"]
        controller = self.there.gpubox("switch", plan.to, "--host", self.there.box.name, *options)
        for event, after in plan.events:
            time.sleep(after)
            self._happen(event, controller)
        printed = self._printed(controller)
        look = self._settle()
        switch = look["state"]["switch"]
        outcome = switch["outcome"] if switch["id"] != last else (NOT_BEGUN if old else "served already")
        faults = self._wrong(plan, look, outcome) + self._told_wrongly(controller.returncode, printed, outcome)
        self._tell(f"{begun:.1f} s, {plan}: {outcome} ({time.monotonic() - begun:.1f} s)")
        for fault in faults:
            self._tell(f"  WRONG: {fault}")
            self._tell(f"  state: {json.dumps(look)}")
        self.violations += [f"{begun:.1f} s, {plan}: {fault}" for fault in faults]
        self.outcomes[outcome] += 1
        self.faults.update(plan.faults)
        self._serving = next((name for name in ("one", "two") if name in look["state"]["active"]), "")
        if plan.old_broken or faults or not self._serving:
            self._mend(plan.to if outcome == "switched" else old or "one")

    def timelines(self) -> dict[str, Timeline]:
        """Return what the observer saw, of the profiles that exclude each other and of the one beside them."""
        lines = [json.loads(line) for line in self.there.box.run(["cat", LOG]).stdout.splitlines()]
        beside = Reader(8001, ["three"])
        first = next((at for at, line in enumerate(lines) if "8001" in line["answers"]), len(lines))
        seen = {"one or two": Reader(8000, ["one", "two"]).read(lines), "three": beside.read(lines[first:])}
        for gap in seen["three"].gaps:
            if gap.kind in {"switch", "both broken"}:
                seen["three"].faults.append(
                    f"at {gap.begun:.2f} s: a switch beside it took {gap.seconds:.2f} s of its time"
                )
        return seen

    def end(self) -> None:
        """Take the observer away."""
        self.there.box.run(
            f"systemctl disable --quiet --now observer; rm -f {LOG} /etc/systemd/system/observer.service"
        )

    def _write(self, files: dict[str, Any]) -> None:
        script = "import json, sys; [open(name, 'w').write(json.dumps(value)) for name, value in json.load(sys.stdin).items()]"
        self.there.box.run(["python3", "-ISc", script], stdin=json.dumps(files).encode())

    def _happen(self, event: str, controller: subprocess.Popen[str]) -> None:
        box = self.there.box
        if event == "program killed":
            box.run(KILL)
        elif event == "controller killed":
            controller.send_signal(signal.SIGKILL)
        elif event == "connection reset":
            box.run(["python3", "-ISc", RESET], check=False)
        elif event == "cable pulled":
            box.cut_network()
            time.sleep(self._random.choice((1.0, 2.0, 4.0, 8.0, 18.0)))
            box.restore_network()
        elif event == "clean reboot":
            box.reboot()
        else:
            box.kill()
            box.start()

    def _settle(self) -> dict[str, Any]:
        """Wait until nothing is under way any more; return what the box says then."""
        end, quiet = time.monotonic() + SETTLE_S, 0
        look: dict[str, Any] = {}
        while quiet < 2:
            try:
                look = json.loads(self.there.box.run(["python3", "-ISc", LOOK], limit_s=20).stdout)
                quiet = 0 if look["busy"] or look["system"] not in {"running", "degraded"} else quiet + 1
            except LabError:
                quiet = 0
            if time.monotonic() > end:
                self.violations.append(f"not settled within {SETTLE_S:g} s: {look}")
                break
        return look

    def _wrong(self, plan: Plan, look: dict[str, Any], outcome: str) -> list[str]:
        """Return what is not as it must be."""
        active, faults = sorted(look["state"]["active"]), []
        right = plan.allowed() if plan.to != self._serving else {"served already", NOT_BEGUN}
        if outcome not in right:
            faults.append(f"{outcome} is none of {', '.join(sorted(right))}")
        if not look["state"]["switch"]["outcome"]:
            faults.append("the state has a switch that nobody ends")
        served = [name for name in active if name != "three"]
        if "three" not in active or len(served) != (0 if outcome == "failed" else 1):
            faults.append(f"{outcome}, and {active} are active")
        # A box that starts again with a profile that is broken can't serve it; no switch was begun that could say so.
        hopeless = (
            plan.old_broken and outcome in {"refused", NOT_BEGUN} and {event for event, _ in plan.events} & REBOOTS
        )
        end = time.monotonic() + ANSWER_S
        while not hopeless and (answering := self.there.answering()) != active:
            if time.monotonic() > end:
                faults.append(f"{outcome}, {active} are active, and {answering} answer")
                break
        return faults

    def _printed(self, controller: subprocess.Popen[str]) -> str:
        """Wait for the end of `gpubox switch`; return what it printed."""
        try:
            return controller.communicate(timeout=SETTLE_S)[0]
        except subprocess.TimeoutExpired:
            controller.kill()
            return f"Traceback: it did not end. {controller.communicate()[0]}"

    def _told_wrongly(self, status: int, printed: str, outcome: str) -> list[str]:
        """Return what the operator was told wrongly."""
        if "Traceback" in printed:
            return [printed]
        good = outcome in {"switched", "served already"}
        if (status == 0) is not good and status >= 0 and outcome != NOT_BEGUN:  # a killed one has told nothing
            return [f"{outcome}, and the operator was told {status}: {printed}"]
        return []

    def _mend(self, name: str) -> None:
        """Let a profile that behaves serve again; where it must be switched to, that has to work."""
        behaves: dict[str, Any] = {f"/srv/models/{each}.json": {} for each in ("one", "two")}
        self._write({**behaves, "/run/vram.json": {}})
        said = self.there.program("switch", name, "--watch=0", "--prewarm=no")
        if said["outcome"] != "switched":
            self.violations.append(f"{name} can't be mended: {said}")
            self._tell(f"  WRONG: {self.violations[-1]}")
        self.outcomes["mended"] += 1
        self._serving = name
