"""Facts about the boxes that the other end-to-end tests stand on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.errors import CommandError
from lab.lab import NOBLE_PODMAN, with_podman
from lab.record import Record
from lab.release import BOOKWORM

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.box import Box
    from lab.lab import Lab, Saved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

_DEMO_UNIT = """\
[Container]
Image=localhost/demo:1
Pull=never
PublishPort=127.0.0.1:8000:8000
Volume=/srv/demo:/srv/demo:ro
Exec=python3 -m http.server --directory /srv/demo 8000

[Install]
WantedBy=multi-user.target
"""
# Another run's process: makes a box, says where, and waits to be killed.
_OTHER_RUN = """\
from lab.lab import Lab
import signal
lab = Lab()
print(lab.box().record.folder, flush=True)
signal.pause()
"""
_GONE_LIMIT_S = 20.0


def _serve_demo(box: Box, image_tar: Path, tmp_path: Path) -> None:
    unit = tmp_path / "demo.container"
    unit.write_text(_DEMO_UNIT, encoding="utf-8")
    box.put(image_tar, "/root/image.tar")
    box.run("podman import --quiet /root/image.tar localhost/demo:1")
    box.run("mkdir -p /srv/demo /etc/containers/systemd && echo served > /srv/demo/page")
    box.put(unit, "/etc/containers/systemd/demo.container")
    box.run("systemctl daemon-reload && systemctl start demo")


def _page(box: Box) -> str:
    """Return the demo's page through a tunnel; a published port accepts before the server in the container does."""
    with box.tunnel(8000) as port:
        end = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=5) as answer:
                    return str(answer.read().decode())
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


def test_a_box_boots_systemd_without_a_failed_unit(box: Box) -> None:
    assert box.run("systemctl is-system-running", check=False).stdout == "running\n"
    assert box.run("ps -o comm= -p 1").stdout == "systemd\n"
    assert box.run("findmnt -n -o FSTYPE /sys/fs/cgroup").stdout == "cgroup2\n"


def test_a_box_lets_its_user_become_root(box: Box) -> None:
    assert box.run("id -un; sudo -n id -un", user="lab").stdout == "lab\nroot\n"


def test_a_box_is_fresh_whatever_another_test_did_to_its_own(boxes: Callable[..., list[Box]], lab: Lab) -> None:
    (dirty,) = boxes(1)
    identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    before = dirty.run(identity).stdout
    dirty.run("rm -rf /etc/ssh/sshd_config.d /usr/bin/python3; touch /root/left; useradd somebody; systemctl mask cron")
    dirty.kill()
    (fresh,) = boxes(1)
    found = fresh.run("ls -A /root; ls /usr/bin/python3 /etc/ssh/sshd_config.d; id somebody", check=False)
    assert found.stdout == ".bashrc\n.profile\n.ssh\n/usr/bin/python3\n\n/etc/ssh/sshd_config.d:\n10-key-only.conf\n"
    assert found.stderr.strip() == "id: ‘somebody’: no such user"
    assert fresh.run(identity).stdout != before
    assert {dirty.name, fresh.name} <= {record.name for record in lab.records()}


def test_a_reboot_brings_a_box_back_with_its_disk(box: Box) -> None:
    box.run("echo kept > /var/lib/kept; echo lost > /run/lost")
    boots = box.run("cat /proc/sys/kernel/random/boot_id").stdout
    box.reboot()
    assert box.run("cat /proc/sys/kernel/random/boot_id").stdout != boots
    assert box.run("cat /var/lib/kept; ls /run/lost", check=False).stdout == "kept\n"


def test_a_box_whose_plug_was_pulled_starts_again_with_its_disk(box: Box) -> None:
    box.run("echo kept > /var/lib/kept && sync")
    box.kill()
    assert not box.answers(2)
    box.start()
    assert box.run("cat /var/lib/kept").stdout == "kept\n"


def test_a_cut_network_stops_ssh_until_it_is_restored(box: Box) -> None:
    box.cut_network()
    with pytest.raises(CommandError) as cut:
        box.run("true", limit_s=1)
    assert str(cut.value) == f"{box.name}: `true` did not end within 1 s"
    box.restore_network()
    assert box.run("echo back").stdout == "back\n"


def test_boxes_have_addresses_names_and_identities_of_their_own(boxes: Callable[..., list[Box]]) -> None:
    several = boxes(6)
    assert len({box.ssh.host for box in several}) == 6
    assert [box.run("hostname").stdout.strip() for box in several] == [box.name for box in several]
    assert len({box.run("cat /etc/machine-id").stdout for box in several}) == 6


def test_files_go_to_a_box_and_come_back_with_their_modes(box: Box, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(bytes(range(256)) * 4096)
    sent.chmod(0o750)
    box.put(sent, "/srv/file")
    assert box.run(["stat", "-c", "%a %s %U", "/srv/file"]).stdout == "750 1048576 root\n"
    box.get("/srv/file", back)
    assert back.read_bytes() == sent.read_bytes()
    assert back.stat().st_mode == sent.stat().st_mode


def test_a_failed_command_tells_what_it_printed(box: Box) -> None:
    with pytest.raises(CommandError) as failed:
        box.run(["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert str(failed.value) == (
        f"{box.name}: `sh -c 'echo one; echo two >&2; exit 3'` exited with status 3\n  | one\n  | two"
    )


def test_a_box_is_reached_by_its_ssh_config_and_by_ansible(box: Box) -> None:
    by_name = ["ssh", "-F", str(box.ssh_config), box.name, "hostname; id -un"]
    assert subprocess.run(by_name, check=True, capture_output=True, text=True).stdout == f"{box.name}\nlab\n"
    assert json.loads(box.inventory_file.read_text(encoding="utf-8")) == box.ansible_inventory()
    ansible = Path(sys.executable).with_name("ansible")
    argv = [ansible, "-i", box.inventory_file, "all", "--one-line", "-b", "-m", "command", "-a", "id -un"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert done.stdout == f"{box.name} | CHANGED | rc=0 | (stdout) root\n"


def test_quadlet_serves_http_through_a_tunnel_and_again_after_a_reboot(
    box_with_podman: Box, lab: Lab, tmp_path: Path
) -> None:
    box = box_with_podman
    assert box.run("podman version --format '{{.Client.Version}}'").stdout.startswith("5.4.")
    _serve_demo(box, lab.image_tar(), tmp_path)
    assert _page(box) == "served\n"
    box.reboot()
    assert _page(box) == "served\n"
    assert box.run("systemctl is-system-running", check=False).stdout == "running\n"


def test_a_saved_box_starts_with_what_was_saved_and_an_identity_of_its_own(
    boxes: Callable[..., list[Box]], saved_box: Callable[[Saved], Box]
) -> None:
    podman = with_podman(BOOKWORM)
    first, second = saved_box(podman), boxes(1, podman)[0]
    for box in (first, second):
        # Too old for Quadlet, which came with 4.4: the box on which a preflight must say so.
        assert box.run("podman version --format '{{.Client.Version}}'").stdout.startswith("4.3.")
        assert box.run("ls /usr/libexec/podman/quadlet", check=False).status == 2
        assert box.run("cat /etc/hostname").stdout == f"{box.name}\n"
    assert first.run("cat /etc/machine-id").stdout != second.run("cat /etc/machine-id").stdout


def test_ubuntu_runs_quadlet_with_an_older_podman(saved_box: Callable[[Saved], Box], lab: Lab, tmp_path: Path) -> None:
    box = saved_box(NOBLE_PODMAN)
    assert box.run("podman version --format '{{.Client.Version}}'").stdout.startswith("4.9.")
    _serve_demo(box, lab.image_tar(), tmp_path)
    assert _page(box) == "served\n"


@pytest.mark.parametrize("also_its_keeper", [False, True])
def test_the_boxes_of_a_killed_run_are_ended_and_removed(lab: Lab, also_its_keeper: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER_RUN], env=environment, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        record = Record.read(Path(run.stdout.readline().strip()))
        keeper, slirp = record.process("keeper"), record.process("slirp")
        assert keeper is not None
        assert slirp is not None
        if also_its_keeper:
            keeper.send(signal.SIGSTOP)
        run.kill()
    if also_its_keeper:
        keeper.send(signal.SIGKILL)
        assert keeper.wait(5)
        assert slirp.alive()
        lab.reap()
    assert keeper.wait(_GONE_LIMIT_S)
    assert not slirp.alive()
    assert not record.folder.exists()
