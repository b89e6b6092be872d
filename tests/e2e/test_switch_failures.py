"""A profile that does not serve is taken back, and the old one serves again; the reason is told in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from e2e.switch_matrix import Matrix, the_end

if TYPE_CHECKING:
    from e2e.switching import SwitchingBox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


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


def test_without_rollback_nothing_serves_after_a_failure(there: SwitchingBox, matrix: Matrix) -> None:
    there.behave("two", crashes=True)
    status, printed = there.switch("two", "--no-prewarm", "--no-rollback")
    assert (status, the_end(there, matrix, "load", "crash with --no-rollback")["outcome"]) == (1, "failed"), printed
    assert "nothing serves in its place, as was asked for" in printed


def test_a_profile_that_crashed_again_and_again_is_started_once_it_is_mended(there: SwitchingBox) -> None:
    there.behave("one", crashes=True)
    waits = "[ $(systemctl show --value --property=SubState one) = auto-restart ]"
    there.box.run(f"systemctl restart --no-block one; until {waits}; do sleep 0.05; done")
    there.behave("one")
    said = there.program("switch", "one", "--watch=0", "--prewarm=no")
    assert (said["outcome"], there.answering()) == ("switched", ["one"]), said


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


def test_what_a_killed_conmon_leaves_is_taken_away_and_the_other_profile_serves(there: SwitchingBox) -> None:
    there.box.run("kill -9 $(systemctl show --property=MainPID --value one)")
    there.box.run("while podman container exists one || test -e /run/one.cid; do sleep 0.1; done", limit_s=8)
    status, printed = there.switch("two", "--no-prewarm", "--watch=0")
    assert (status, there.answering()) == (0, ["two"]), printed


def test_a_box_that_goes_down_between_stop_and_start_starts_nothing_more(there: SwitchingBox) -> None:
    there.behave_now("one", stubborn=True)
    begun = there.box.run("date +%s").stdout.strip()
    there.box.run("systemctl stop --no-block one; systemctl start --no-block two")
    there.box.reboot()
    log = there.box.run(f"journalctl -b -1 --since=@{begun} --output=cat _PID=1").stdout
    assert "Stopped one.service" in log
    assert not re.search("Starting two.service|ordering cycle", log), log
    there.await_answers(["one"])
