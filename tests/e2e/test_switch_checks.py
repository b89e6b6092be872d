"""What is checked before anything stops, and what is no reason to stop anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from e2e.switch_matrix import Matrix, the_end

if TYPE_CHECKING:
    from e2e.switching import SwitchingBox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


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


def test_a_switch_to_what_serves_changes_nothing(there: SwitchingBox) -> None:
    before = there.box.run("cat /var/lib/gpubox/state.json; systemctl show -P InvocationID one").stdout
    status, printed = there.switch("one")
    assert status == 0
    assert f"{there.box.name}: one serves already, since " in printed
    assert there.box.run("cat /var/lib/gpubox/state.json; systemctl show -P InvocationID one").stdout == before


def test_a_profile_that_somebody_started_by_hand_is_made_active(there: SwitchingBox) -> None:
    there.box.run("systemctl stop one; systemctl start two")
    there.await_answers(["two"])
    status, printed = there.switch("two", "--no-prewarm", "--watch=0")
    assert (status, there.answering(), list(there.state()["active"])) == (0, ["two"], ["two"]), printed


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
    there.behave("two", load_s=12)  # longer than the other takes to ask, on a busy machine too
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


def test_the_playbook_switches_by_the_same_program(there: SwitchingBox) -> None:
    there.operator.play("switch.yml", "-e", "model_profiles_switch_to=two", "-e", "model_profiles_switch_watch=0")
    assert (there.answering(), list(there.state()["active"])) == (["two"], ["two"])
    there.behave("one", crashes=True, lines=["CUDA error: out of memory"])
    printed = there.operator.play("switch.yml", "-e", "model_profiles_switch_to=one", fails=True)
    assert f"{there.box.name}: two serves again, because one does not: one: CUDA is out of memory" in printed


def test_a_model_is_read_ahead_while_the_other_serves(there: SwitchingBox) -> None:
    status, printed = there.run("prewarm", "two", "--host", there.box.name)
    assert (status, there.answering()) == (0, ["one"])
    assert f"{there.box.name}: 32.7 MB of two read into memory in " in printed
