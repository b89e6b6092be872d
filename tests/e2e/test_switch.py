"""A switch survives what happens to it: in every step, whatever the fault, one profile serves in the end and the state is true.

The matrix of steps and faults is printed at the end. Its whole is `make e2e-switch`; of the steps times faults, `make e2e`
takes those that differ most.
"""

from __future__ import annotations

import re
import signal
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from e2e.switching import SwitchingBox
from soak.plan import Plan
from soak.soak import Soak

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from lab.lab import Lab

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
KILL = "systemctl kill --signal=KILL --kill-whom=main 'gpubox-switch-*.service'"


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


class Matrix:
    """What came of each cell."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def add(self, step: str, fault: str, outcome: str, serving: list[str]) -> None:
        self.rows.append((fault, step, outcome, ", ".join(serving) or "nothing"))


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[Matrix]:
    made = Matrix()
    yield made
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    assert reporter
    reporter.write_line("")
    for row in [("FAULT", "STEP", "OUTCOME", "SERVES"), *made.rows]:
        reporter.write_line(f"{row[0]:34} {row[1]:10} {row[2]:12} {row[3]}")


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchingBox]:
    made = SwitchingBox(lab, tmp_path_factory.mktemp("operator"))
    yield made
    lab.remove(made.box)


@pytest.fixture
def there(box: SwitchingBox) -> SwitchingBox:
    """The box, on which `one` serves."""
    box.reset()
    return box


def the_end(there: SwitchingBox, matrix: Matrix, step: str, fault: str) -> dict[str, Any]:
    """Wait for the end of a switch from one to two; check that what is written is what is so, and that one at most serves."""
    switch = there.await_end()
    state, serving = there.state(), there.answering()
    matrix.add(step, fault, switch["outcome"], serving)
    assert serving == sorted(state["active"])
    assert serving == {"switched": ["two"], "failed": []}.get(switch["outcome"], ["one"])
    running = there.box.run("systemctl is-active one two", check=False).stdout.split()
    assert [name for name, now in zip(("one", "two"), running, strict=True) if now == "active"] == serving
    return switch


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


@pytest.mark.parametrize(
    ("fault", "behaviour", "options", "reason"),
    [
        (
            "new crashes in its load",
            {"crashes": True, "lines": ["error: unknown argument: --muge"], "status": 1},
            [],
            "two: the server knows no flag --muge",
        ),
        ("new hangs in its load", {"hangs": True}, ["--timeout=3"], "two: it did not answer within 3 s; 32.7 MB of 32.7 MB read"),
        ("new fails completions", {"refuses": True}, [], "the first completion failed (HTTP 500"),
        (
            "new finds no GPU",
            {"warns": ["ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected"]},
            [],
            "two: it answers from the CPU: CUDA finds no GPU; does nvidia-smi list it? If it does, the container is not given it: ",
        ),
        ("new dies 5 s after its first answer", {"dies_s": 5}, [], "two: it ended with exit status 1"),
    ],
)  # fmt: skip  # a row a fault
def test_a_profile_that_does_not_serve_is_taken_back_and_the_reason_told(
    there: SwitchingBox, matrix: Matrix, *, fault: str, behaviour: dict[str, Any], options: list[str], reason: str
) -> None:
    there.behave("two", **behaviour)
    status, printed = there.switch("two", "--no-prewarm", *options)
    switch = the_end(there, matrix, "watch" if "dies" in fault or "GPU" in fault else "load", fault)
    assert (status, switch["outcome"]) == (1, "rolled back"), printed
    assert f"{there.box.name}: one serves again, because two does not: " in printed
    assert reason in printed


def test_a_profile_that_holds_no_memory_of_its_gpu_does_not_serve(there: SwitchingBox, matrix: Matrix) -> None:
    there.vram(without=["two"])
    status, printed = there.switch("two", "--no-prewarm")
    assert (status, the_end(there, matrix, "watch", "new holds no VRAM")["outcome"]) == (1, "rolled back"), printed
    assert (
        "two: it answers from the CPU: it holds no memory of GPU 0 (GPU-00000000-aaaa-bbbb-cccc-000000000000); "
        "its journal tells on which devices it put its buffers; see also nvidia-smi\n"
    ) in printed


def test_an_old_profile_that_serves_again_from_the_cpu_is_better_than_nothing_and_told(
    there: SwitchingBox, matrix: Matrix
) -> None:
    warning = "ggml_cuda_init: failed to initialize CUDA: unknown error"
    for name in ("one", "two"):
        there.behave(name, warns=[warning])
    status, printed = there.switch("two", "--no-prewarm")
    assert (status, the_end(there, matrix, "roll back", "no GPU for both")["outcome"]) == (1, "rolled back"), printed
    for name in ("one", "two"):
        assert f"{name}: it answers from the CPU: CUDA can't start: unknown error; does nvidia-smi show" in printed


def test_the_old_profile_waits_for_memory_that_the_new_one_gives_back_late(there: SwitchingBox, matrix: Matrix) -> None:
    there.behave("two", hangs=True)
    there.vram(lingers_s=4)
    last = there.last_id()
    controller = there.gpubox("switch", "two", "--host", there.box.name, "--no-prewarm", "--timeout=3")
    there.await_step("load", last)
    there.box.run(
        "for i in $(seq 10); do nvidia-smi --query-compute-apps=gpu_uuid,pid,process_name,used_memory; sleep 0.2; done"
    )
    printed, _ = controller.communicate(timeout=120)
    assert the_end(there, matrix, "roll back", "memory comes late")["outcome"] == "rolled back", printed
    assert re.search(r"roll back: waiting: .* in use by no process that is seen", printed), printed


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


def test_a_profile_that_ignores_its_stop_is_killed(there: SwitchingBox, matrix: Matrix) -> None:
    there.behave_now("one", stubborn=True)
    status, printed = there.switch("two", "--no-prewarm", "--watch=0")
    assert (status, the_end(there, matrix, "stop", "old ignores its stop")["outcome"]) == (0, "switched"), printed


def test_nothing_serves_only_where_both_are_broken_and_a_reboot_tries_the_old_one_again(
    there: SwitchingBox, matrix: Matrix
) -> None:
    for name in ("one", "two"):
        there.behave(name, crashes=True, status=3)
    status, printed = there.switch("two", "--no-prewarm")
    switch = the_end(there, matrix, "roll back", "old does not come back")
    assert (status, switch["outcome"]) == (1, "failed"), printed
    assert "NOTHING SERVES in place of one: two: it ended with exit status 3" in printed
    assert "and the old profile does not serve again either: one: it ended with exit status 3" in printed
    there.behave("one")
    there.box.reboot()
    assert the_end(there, matrix, "roll back", "reboot with the old one mended")["outcome"] == "rolled back"


BROKEN = {
    "unit missing": (
        "mv /etc/containers/systemd/two.container /root",
        "mv /root/two.container /etc/containers/systemd/",
        "/etc/containers/systemd/two.container: is missing; run playbooks/profiles.yml",
    ),
    "image missing": (
        "podman untag localhost/two:e2e localhost/two:e2e",
        "podman tag localhost/engine:e2e localhost/two:e2e",
        "localhost/two:e2e: the image is not on the box; run playbooks/image.yml, or podman pull it",
    ),
    "model missing": (
        "mv /srv/models/two.gguf /root",
        "mv /root/two.gguf /srv/models/",
        "/srv/models/two.gguf: can't be read: No such file or directory; run playbooks/models.yml",
    ),
    "model truncated": (
        "cp /srv/models/two.gguf /root && truncate -s 1000000 /srv/models/two.gguf",
        "mv /root/two.gguf /srv/models/",
        "/srv/models/two.gguf: has 1000000 bytes and had 32674400 when it was last known to be right;",
    ),
    "VRAM held by a stranger": (
        (
            "systemd-run --quiet --unit=stranger sleep 600"
            ' && echo "{\\"holds\\": {\\"$(systemctl show -P MainPID stranger)\\": 0}}" > /run/vram.json'
        ),
        "systemctl stop stranger",
        "sleep (pid PID, stranger) holds 40000 MiB of GPU-00000000-aaaa-bbbb-cccc-000000000000; end that process,",
    ),
    "disk full": (
        (
            "cp -a /var/lib/gpubox /root/kept && mount -t tmpfs -o size=64k tmpfs /var/lib/gpubox"
            " && cp /root/kept/profiles.json /root/kept/state.json /var/lib/gpubox/"
            " && ! dd if=/dev/zero of=/var/lib/gpubox/full 2>/dev/null"
        ),
        "umount /var/lib/gpubox && rm -r /root/kept",
        "/var/lib/gpubox/state.json: can't be written: No space left on device; free space on its disk",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_can_be_known_before_is_refused_before_anything_stops(
    there: SwitchingBox, matrix: Matrix, fault: str
) -> None:
    if "32674400" in BROKEN[fault][2]:  # the size is that of when it last served
        there.switch("two", "--no-prewarm", "--watch=0")
        there.program("switch", "one", "--watch=0", "--prewarm=no")
    since = there.box.run("systemctl show -P ActiveEnterTimestampMonotonic one").stdout
    break_it, mend_it, message = BROKEN[fault]
    there.box.run(break_it)
    try:
        status, printed = there.switch("two", "--no-prewarm")
    finally:
        there.box.run(mend_it + "; systemctl daemon-reload")
    assert status == 1
    assert message in re.sub(r"pid \d+", "pid PID", printed)
    assert f"gpubox: {there.box.name}: " in printed
    assert there.box.run("systemctl show -P ActiveEnterTimestampMonotonic one").stdout == since
    matrix.add("preflight", fault, "refused", there.answering())
    assert there.answering() == ["one"]


def test_a_disk_that_fills_up_during_a_switch_does_not_make_the_state_lie(there: SwitchingBox, matrix: Matrix) -> None:
    there.behave("two", load_s=3)
    last = there.last_id()
    there.box.run(
        "cp -a /var/lib/gpubox /root/kept && mount -t tmpfs -o size=96k tmpfs /var/lib/gpubox"
        " && cp /root/kept/profiles.json /root/kept/state.json /var/lib/gpubox/"
    )
    try:
        controller = there.gpubox("switch", "two", "--host", there.box.name, "--no-prewarm", "--watch=0")
        there.await_step("load", last)
        there.box.run("! dd if=/dev/zero of=/var/lib/gpubox/full 2>/dev/null")
        printed, _ = controller.communicate(timeout=60)
        assert the_end(there, matrix, "load", "disk fills up")["outcome"] == "switched", printed
    finally:
        there.box.run(
            "cp /var/lib/gpubox/state.json /root/kept/; umount /var/lib/gpubox; mv /root/kept/state.json /var/lib/gpubox/; rm -r /root/kept"
        )


def test_a_switch_to_what_serves_changes_nothing(there: SwitchingBox) -> None:
    before = there.box.run("cat /var/lib/gpubox/state.json; systemctl show -P InvocationID one").stdout
    status, printed = there.switch("one")
    assert status == 0
    assert f"{there.box.name}: one serves already, since " in printed
    assert there.box.run("cat /var/lib/gpubox/state.json; systemctl show -P InvocationID one").stdout == before


def test_a_profile_that_crashed_again_and_again_is_started_once_it_is_mended(there: SwitchingBox) -> None:
    there.behave("one", crashes=True)
    waits = "[ $(systemctl show --value --property=SubState one) = auto-restart ]"
    there.box.run(f"systemctl restart --no-block one; until {waits}; do sleep 0.05; done")
    there.behave("one")
    said = there.program("switch", "one", "--watch=0", "--prewarm=no")
    assert (said["outcome"], there.answering()) == ("switched", ["one"]), said


def test_a_dry_run_prints_the_plan_and_touches_nothing(there: SwitchingBox) -> None:
    before = there.box.run("cat /var/lib/gpubox/state.json; systemctl show -P InvocationID one").stdout
    status, printed = there.switch("two", "--dry-run")
    image = there.box.run("podman image inspect --format '{{.Id}}' localhost/two:e2e").stdout[:12]
    assert (status, printed.splitlines()[1:]) == (
        0,
        [
            "stop one.service",
            "wait until GPU 0 (GPU-00000000-aaaa-bbbb-cccc-000000000000) is free",
            f"start two.service, image {image}",
            "wait for a completion from http://127.0.0.1:8000, at most 30 s",
            "if that fails, start one.service again",
        ],
    )
    assert there.box.run("cat /var/lib/gpubox/state.json; systemctl show -P InvocationID one").stdout == before


def test_a_second_switch_is_told_who_holds_the_box(there: SwitchingBox, matrix: Matrix) -> None:
    there.behave("two", load_s=3)
    last = there.last_id()
    first = there.gpubox("switch", "two", "--host", there.box.name, "--no-prewarm", "--watch=0")
    there.await_step("load", last)
    status, printed = there.switch("three")
    assert status == 1
    assert re.search(r"this box: a switch to two by \S+@\S+ \(pid \d+\) is under way; wait until it has ended", printed)
    first.communicate(timeout=60)
    assert the_end(there, matrix, "load", "a second switch")["outcome"] == "switched"


def test_a_profile_with_gpu_and_port_of_its_own_serves_beside_the_other(there: SwitchingBox) -> None:
    status, printed = there.switch("three", "--no-prewarm", "--watch=0")
    assert status == 0, printed
    assert there.answering() == ["one", "three"]
    status, printed = there.switch("two", "--no-prewarm", "--watch=0")
    assert status == 0, printed
    assert (there.answering(), sorted(there.state()["active"])) == (["three", "two"], ["three", "two"])
    there.box.reboot()
    there.await_answers(["three", "two"])


def test_without_rollback_nothing_serves_after_a_failure(there: SwitchingBox, matrix: Matrix) -> None:
    there.behave("two", crashes=True)
    status, printed = there.switch("two", "--no-prewarm", "--no-rollback")
    assert (status, the_end(there, matrix, "load", "crash with --no-rollback")["outcome"]) == (1, "failed"), printed
    assert "nothing serves in its place, as was asked for" in printed


def test_the_playbook_switches_by_the_same_program(there: SwitchingBox) -> None:
    there.operator.play("switch.yml", "-e", "model_profiles_switch_to=two", "-e", "model_profiles_switch_watch=0")
    assert (there.answering(), list(there.state()["active"])) == (["two"], ["two"])
    there.behave("one", crashes=True, lines=["CUDA error: out of memory"])
    printed = there.operator.play("switch.yml", "-e", "model_profiles_switch_to=one", fails=True)
    assert f"{there.box.name}: two serves again, because one does not: one: CUDA is out of memory" in printed


def test_the_status_tells_what_serves_and_what_is_not_as_deployed(there: SwitchingBox) -> None:
    status, printed = there.run("status")
    assert status == 0, printed
    row = printed.splitlines()[1].split()
    assert row[:2] == [there.box.name, "one"]
    assert "40004/97887, 4/97887" in printed
    there.box.run(
        "echo '# mine' >> /etc/containers/systemd/one.container; podman tag localhost/base:e2e localhost/one:e2e"
    )
    try:
        status, printed = there.run("status", there.box.name)
    finally:
        there.box.run(
            "sed -i '$d' /etc/containers/systemd/one.container; podman tag localhost/engine:e2e localhost/one:e2e"
        )
    assert status == 1
    name = there.box.name
    assert f"{name}: /etc/containers/systemd/one.container was changed by hand; run playbooks/profiles.yml\n" in printed
    assert re.search(rf"{name}: one runs image \w{{12}}, and localhost/one:e2e is \w{{12}} now\n", printed)


def test_a_box_that_does_not_answer_is_told_beside_the_others(there: SwitchingBox) -> None:
    path = there.operator.folder / "gone.yml"
    path.write_text("others: {hosts: {gone: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    try:
        status, printed = there.run("status")
    finally:
        path.unlink()
    assert status == 1
    found = {line.split()[0]: line.split(maxsplit=1)[1] for line in printed.splitlines()[1:3]}
    assert found["gone"].startswith("can't be reached: ")
    assert found[there.box.name].startswith("one ")


def test_the_endpoint_of_what_is_active_is_told(there: SwitchingBox) -> None:
    status, printed = there.run("endpoint", "--host", there.box.name)
    assert status == 0
    assert printed.startswith(
        "one: http://127.0.0.1:8000/v1, model one, 2048 tokens\n\n# tunnel\nssh -N -L 8000:127.0.0.1:8000 "
    )


def test_a_model_is_read_ahead_while_the_other_serves(there: SwitchingBox) -> None:
    status, printed = there.run("prewarm", "two", "--host", there.box.name)
    assert (status, there.answering()) == (0, ["one"])
    assert f"{there.box.name}: 32.7 MB of two read into memory in " in printed


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
