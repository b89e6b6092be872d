"""A switch survives what happens to it: in every step, whatever the fault, one profile serves in the end and the state is true.

The matrix of steps and faults is printed at the end. Its whole is `make e2e-switch`; of the steps times faults, `make e2e`
takes those that differ most.
"""

from __future__ import annotations

import re
import signal
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from e2e.switch_matrix import KILL, Matrix, the_end
from soak.plan import Plan
from soak.soak import Soak

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from e2e.switching import SwitchingBox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


STEPS = ("preflight", "prewarm", "stop", "free", "load", "watch", "roll back")


def as_it_is(_: SwitchingBox) -> None:
    """Tell the box nothing."""


def crash_and_come_back_slowly(there: SwitchingBox) -> None:
    there.behave("two", crashes=True)
    there.behave("one", load_s=5)


# How each step is made to take some seconds: what to tell the box before, and options of the switch.
SLOW: dict[str, tuple[Callable[[SwitchingBox], None], list[str]]] = {
    "preflight": (lambda there: there.vram(takes_s=3), ["--no-prewarm", "--watch=2"]),
    "prewarm": (lambda there: there.forget_model("two"), ["--prewarm", "--rate=4", "--watch=2"]),
    "stop": (lambda there: there.behave_now("one", stubborn=True), ["--no-prewarm", "--watch=2"]),
    "free": (lambda there: there.vram(lingers_s=8), ["--no-prewarm", "--watch=2"]),
    "load": (lambda there: there.behave("two", load_s=6), ["--no-prewarm", "--watch=2"]),
    "watch": (as_it_is, ["--no-prewarm", "--watch=6"]),
    "roll back": (crash_and_come_back_slowly, ["--no-prewarm"]),
}


def kill_program(there: SwitchingBox, _: subprocess.Popen[str]) -> None:
    there.box.run(KILL)


def kill_controller(_: SwitchingBox, controller: subprocess.Popen[str]) -> None:
    controller.send_signal(signal.SIGKILL)


def cut_ssh(there: SwitchingBox, _: subprocess.Popen[str]) -> None:
    there.box.cut_network()
    time.sleep(18)  # longer than the controller bears silence
    there.box.restore_network()


def reboot(there: SwitchingBox, _: subprocess.Popen[str]) -> None:
    there.box.reboot()


def lose_power(there: SwitchingBox, _: subprocess.Popen[str]) -> None:
    there.box.kill()
    there.box.start()


FAULTS = {
    "program killed": kill_program,
    "controller killed": kill_controller,
    "SSH cut": cut_ssh,
    "reboot": reboot,
    "power lost": lose_power,
}


HARMLESS = {"controller killed", "SSH cut"}


# Each fault, each step, and both ways back from a loss of power; the others are in `make e2e-switch`.
CORE = {
    ("load", "program killed"),
    ("stop", "program killed"),
    ("watch", "program killed"),
    ("load", "controller killed"),
    ("free", "reboot"),
    ("prewarm", "power lost"),
    ("load", "power lost"),
    ("watch", "power lost"),
    ("roll back", "program killed"),
}


CELLS = [
    pytest.param(step, fault, id=f"{step}-{fault}", marks=[] if (step, fault) in CORE else [pytest.mark.matrix])
    for fault in FAULTS
    for step in STEPS
]


def expected(step: str, fault: str) -> str:
    """The outcome of a switch to two that a fault meets in a step."""
    if step != "roll back" and (fault in HARMLESS or step == "watch"):
        return "switched"
    return "refused" if step in {"preflight", "prewarm"} else "rolled back"


@pytest.mark.parametrize(("step", "fault"), CELLS)
def test_whatever_happens_in_a_step_one_profile_serves_in_the_end(
    there: SwitchingBox, matrix: Matrix, step: str, fault: str
) -> None:
    prepare, options = SLOW[step]
    prepare(there)
    last = there.last_id()
    controller = there.gpubox("switch", "two", "--host", there.box.name, *options)
    there.await_step(step, last)
    FAULTS[fault](there, controller)
    printed, _ = controller.communicate(timeout=120)
    switch = the_end(there, matrix, step, fault)
    # A slow machine may have been hit a step later; what counts then is what is right for that step.
    steps = [name for name, _ in switch["steps"] if name != "roll back"]
    hit = step if fault in HARMLESS or step == "roll back" else steps[-1]
    assert switch["outcome"] == expected(hit, fault), printed
    if fault != "controller killed":
        assert controller.returncode == (0 if expected(hit, fault) == "switched" else 1), printed
    assert "Traceback" not in printed


def test_an_interrupted_switch_ends_with_the_new_profile_where_the_old_one_is_broken(
    there: SwitchingBox, matrix: Matrix
) -> None:
    there.behave("two", load_s=4)
    there.behave("one", crashes=True, status=3)
    last = there.last_id()
    controller = there.gpubox("switch", "two", "--host", there.box.name, "--no-prewarm", "--watch=1")
    there.await_step("load", last)
    kill_program(there, controller)
    printed, _ = controller.communicate(timeout=120)
    assert the_end(there, matrix, "load", "killed, old does not come back")["outcome"] == "switched", printed
    assert "it was interrupted in the step load" in printed
    assert "the old profile does not serve again either: one: it ended with exit status 3" in printed


def test_after_a_kill_the_old_profile_waits_for_that_memory_too(there: SwitchingBox, matrix: Matrix) -> None:
    there.behave("two", load_s=20)
    there.vram(lingers_s=4)
    last = there.last_id()
    controller = there.gpubox("switch", "two", "--host", there.box.name, "--no-prewarm")
    there.await_step("load", last)
    look = "nvidia-smi --query-compute-apps=gpu_uuid,pid,process_name,used_memory"
    there.box.run(f"until {look} | grep -q python3; do sleep 0.1; done; {KILL}")
    printed, _ = controller.communicate(timeout=120)
    assert the_end(there, matrix, "load", "killed, memory comes late")["outcome"] == "rolled back", printed
    assert re.search(r"roll back: waiting: .* in use by no process that is seen", printed), printed


@pytest.mark.parametrize(("crashes", "outcome"), [(False, "switched"), (True, "rolled back")])
def test_a_switch_under_way_does_without_its_program(there: SwitchingBox, crashes: bool, outcome: str) -> None:  # noqa: FBT001  # a parameter
    folder = "/usr/local/lib/gpubox"
    there.behave("two", crashes=crashes)
    there.forget_model("two")
    last = there.last_id()
    controller = there.gpubox("switch", "two", "--host", there.box.name, "--prewarm", "--rate=8", "--watch=1")
    there.await_step("prewarm", last)
    there.box.run(f"mv {folder} {folder}.away && mkdir {folder}")  # a deployment replaces all of it
    try:
        printed, _ = controller.communicate(timeout=120)
    finally:
        there.box.run(f"rmdir {folder} && mv {folder}.away {folder}")
    assert (there.await_end()["outcome"], there.answering()) == (outcome, ["one" if crashes else "two"]), printed


def test_an_observer_on_the_box_sees_nothing_wrong_while_it_loses_power(there: SwitchingBox) -> None:
    told: list[str] = []
    soak = Soak(there, Random(1), told.append)
    try:
        soak.round(Plan("two", events=(("power lost", 1.0),)))
        seen = soak.timelines()
    finally:
        soak.end()
    assert [soak.violations, *(timeline.faults for timeline in seen.values())] == [[], [], []], told
    assert [gap.kind for gap in seen["three"].gaps] == ["reboot"]
    assert "reboot" in {gap.kind for gap in seen["one or two"].gaps}
