"""A bare box becomes a box that runs containers with GPUs, and becomes bare again; and what stands in the way, in words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from e2e.nvidia_repository import NvidiaRepository, plug_in_cards
from e2e.operator import Operator, messages
from gpubox.nvidia import parse_gpus
from host.rtx_pro_6000 import TWO_GPUS
from lab.lab import PODMAN
from lab.release import BOOKWORM, TRIXIE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.box import Box
    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ETC = "find /etc -type f -o -type l | grep -v -e '/etc/apparmor.d' -e '/etc/ld.so.cache' -e '\\.dpkg-' | sort"
WRITTEN = "# Written by gpubox; the next deployment overwrites changes made here.\n"


def result(output: str, host: str) -> dict[str, int]:
    """Return how many tasks of a host ended in which way."""
    line = re.search(rf"(?m)^{host} +: (.*)$", output)
    assert line, output
    return {word: int(count) for word, count in re.findall(r"(\w+)=(\d+)", line[1])}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NvidiaRepository]:
    with NvidiaRepository(tmp_path_factory.mktemp("nvidia")) as served:
        yield served


def operator_of(box: Box, folder: Path, repository: NvidiaRepository, **variables: Any) -> Operator:
    """Return an operator with one box, whose kernel is this machine's and has no headers in its distribution."""
    made = Operator(folder, box)
    made.variables = {
        **repository.variables(),
        "cuda_host_kernel_headers": [],
        "host_tuning_apply_now": False,
        **variables,
    }
    made.declare([], [])
    return made


@pytest.fixture(scope="module")
def operator(lab: Lab, repository: NvidiaRepository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with one bare box in which two cards are; the tests below go with it from bare to bare."""
    box = lab.box(TRIXIE)
    plug_in_cards(box)
    yield operator_of(box, tmp_path_factory.mktemp("operator"), repository)
    lab.remove(box)


@pytest.fixture(scope="module")
def bare(operator: Operator) -> list[str]:
    """The files of /etc before anything was done to the box.

    It has gnupg, as most do: Podman brings it, and apt does not take away what another package suggests.
    """
    operator.box.run("apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes gnupg")
    return operator.box.run(ETC).stdout.splitlines()


def test_a_check_of_a_bare_box_tells_what_would_change_and_changes_nothing(operator: Operator, bare: list[str]) -> None:
    told = operator.play("provision.yml", "--check", "--diff")
    assert "+Pin: version 580.*" in told
    assert "+vm.swappiness = 1" in told
    assert result(told, operator.box.name)["changed"] > 0
    assert operator.box.run(ETC).stdout.splitlines() == bare


@pytest.mark.usefixtures("bare")
def test_a_repository_that_cannot_be_trusted_leaves_nothing_behind(
    operator: Operator, repository: NvidiaRepository
) -> None:
    box, url = operator.box, repository.url("cuda_host")
    remedy = (
        "nothing was taken from it: check the box's network, its other entries of the same repository, the URLs of the "
        "repository and its key, and the fingerprint"
    )

    def told(*options: str) -> str:
        said = messages(operator.play("provision.yml", "--tags", "cuda_host", *options, fails=True))[box.name]
        assert (
            box.run(
                "ls /etc/apt/sources.list.d/ /etc/apt/preferences.d /etc/apt/keyrings | grep -c cuda", check=False
            ).stdout
            == "0\n"
        )
        return said

    repository.tamper("cuda_host")
    assert told() == (
        f"{box.name}: {url}: OpenPGP signature verification failed: {url.rstrip('/')} InRelease: Sub-process /usr/bin/sqv returned an "
        "error code (1), error message is: Verifying signature: Message has been manipulated; "
        f"{remedy} {repository.fingerprint}"
    )
    repository.restore("cuda_host")
    other = "0" * 40
    assert told("-e", f"cuda_host_repository_key_fingerprint={other}") == (
        f"{box.name}: {url}: OpenPGP signature verification failed: {url.rstrip('/')} InRelease: No good signature from required "
        f"signer: {other}; {remedy} {other}"
    )
    box.run(f"echo 'deb [trusted=yes] {url} /' > /etc/apt/sources.list.d/by-hand.list")
    assert told() == (
        f"{box.name}: {url}: Conflicting values set for option Trusted regarding source {url} /; "
        f"{remedy} {repository.fingerprint}"
    )
    box.run("rm /etc/apt/sources.list.d/by-hand.list")


@pytest.mark.usefixtures("bare")
def test_a_bare_box_is_provisioned(operator: Operator, repository: NvidiaRepository) -> None:
    assert result(operator.play("provision.yml"), operator.box.name)["failed"] == 0
    box = operator.box
    fact = json.loads(box.run("cat /etc/ansible/facts.d/gpubox.fact").stdout)
    assert fact == {"driver": "580.95.05", "gpus": parse_gpus(TWO_GPUS)}
    assert box.run("dpkg-query -W -f '${Version}' nvidia-open").stdout == "580.95.05-1"
    assert box.run("dpkg-query -W -f '${Version}' nvidia-container-toolkit").stdout == "1.18.1-1"
    units = ["nvidia-persistenced.service", "nvidia-cdi-refresh.service", "nvidia-cdi-refresh.path"]
    assert box.run(["systemctl", "is-active", *units]).stdout.split() == ["active"] * 3
    assert box.run(["systemctl", "is-enabled", *units]).stdout.split() == ["enabled"] * 3
    uuids = [gpu["uuid"] for gpu in fact["gpus"]]
    devices = ["0", uuids[0], "1", uuids[1], "all"]
    assert box.run("nvidia-ctk cdi list").stdout.split() == [f"nvidia.com/gpu={name}" for name in devices]
    key = f"nvidia-cuda-{repository.fingerprint[-8:]}.asc"
    written = {
        "/etc/apt/sources.list.d/nvidia-cuda.sources": (
            f"{WRITTEN}Types: deb\nURIs: {repository.url('cuda_host')}\nSuites: /\n"
            f"Signed-By: /etc/apt/keyrings/{key} {repository.fingerprint}\n"
        ),
        "/etc/apt/preferences.d/nvidia-cuda": (
            f"{WRITTEN}Package: *nvidia* cuda-drivers* libcuda1* libcudadebugger* libnv* libxnvctrl*\n"
            "Pin: version 580.*\nPin-Priority: 1000\n"
        ),
        "/etc/sysctl.d/90-gpubox.conf": f"{WRITTEN}vm.swappiness = 1\nkernel.numa_balancing = 0\n",
        "/etc/tmpfiles.d/gpubox.conf": (
            f"{WRITTEN}w- /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor - - - - performance\n"
            "w- /sys/kernel/mm/transparent_hugepage/enabled - - - - madvise\n"
        ),
        "/etc/security/limits.d/90-gpubox.conf": f"{WRITTEN}* - memlock unlimited\nroot - memlock unlimited\n",
        "/etc/systemd/system.conf.d/90-gpubox.conf": f"{WRITTEN}[Manager]\nDefaultLimitMEMLOCK=infinity\n",
    }
    assert {path: box.run(["cat", path]).stdout for path in written} == written
    assert box.run("systemctl show --property=DefaultLimitMEMLOCK").stdout == "DefaultLimitMEMLOCK=infinity\n"


def test_a_second_run_changes_nothing_and_a_check_says_so(operator: Operator) -> None:
    assert operator.changes("provision.yml") == 0
    assert operator.changes("provision.yml", "--check", "--diff") == 0


def test_a_container_sees_the_gpus_rootful_and_rootless(operator: Operator, lab: Lab) -> None:
    box = operator.box
    box.put(lab.image_tar(TRIXIE), "/srv/base.tar")
    for user in ("root", "lab"):
        box.run("podman import -q /srv/base.tar localhost/base:e2e", user=user)
    image = ["--tags", "container_host", "-e", "container_host_test_image=localhost/base:e2e"]
    operator.play("provision.yml", *image)
    operator.play("provision.yml", *image, "-e", "container_host_user=lab")
    assert box.run("loginctl show-user lab --property=Linger").stdout == "Linger=yes\n"
    assert operator.changes("provision.yml", *image, "-e", "container_host_user=lab") == 0
    told = operator.play("provision.yml", *image[:2], "-e", "container_host_test_image=localhost/gone:1", fails=True)
    uuids = ", ".join(gpu["uuid"] for gpu in parse_gpus(TWO_GPUS))
    said = messages(told)[box.name]
    assert said.startswith(f"{box.name}: a container of localhost/gone:1 does not see {uuids} (")
    assert said.endswith("; try podman run --rm --device nvidia.com/gpu=all localhost/gone:1 nvidia-smi")


def test_a_power_limit_is_set_changed_and_lifted(operator: Operator) -> None:
    limits = "tail -n 2 /var/lib/nvidia-smi-power-limits"
    only = ["--tags", "cuda_host"]
    for watts in (450, 300):
        assert operator.changes("provision.yml", *only, "-e", f"cuda_host_power_limit={watts}") > 0
        assert operator.box.run(limits).stdout == f"0 {watts}\n1 {watts}\n"
    assert operator.changes("provision.yml", *only, "-e", "cuda_host_power_limit=300") == 0
    assert operator.box.run("systemctl is-enabled gpu-power-limit").stdout == "enabled\n"
    assert operator.changes("provision.yml", *only) > 0
    assert operator.box.run(limits).stdout == "0 600\n1 600\n"
    assert operator.box.run("systemctl is-enabled gpu-power-limit", check=False).stdout == "not-found\n"


def test_registries_are_told_to_podman_and_untold(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("the certificate\n")
    registries = [
        {"location": "registry.home.arpa:5000", "insecure": True},
        {"location": "registry.home.arpa", "ca": str(tmp_path / "ca.pem")},
    ]
    declared = ["--tags", "container_host", "-e", json.dumps({"container_host_registries": registries})]
    assert operator.changes("provision.yml", *declared) > 0
    assert operator.changes("provision.yml", *declared) == 0
    box = operator.box
    assert box.run("cat /etc/containers/registries.conf.d/50-gpubox.conf").stdout == (
        f'{WRITTEN}\n[[registry]]\nlocation = "registry.home.arpa:5000"\ninsecure = true\n'
        '\n[[registry]]\nlocation = "registry.home.arpa"\ninsecure = false\n'
    )
    assert box.run("cat /etc/containers/certs.d/registry.home.arpa/gpubox.crt").stdout == "the certificate\n"
    known = json.loads(box.run("podman info --format '{{json .Registries}}'").stdout)
    assert known["registry.home.arpa:5000"]["Insecure"] is True
    assert known["registry.home.arpa"]["Insecure"] is False
    assert operator.changes("provision.yml", *declared[:2]) > 0
    assert "gpubox" not in box.run("find /etc/containers -name '*gpubox*'").stdout


def test_a_static_cdi_specification_does_not_stay_beside_the_one_that_follows_the_driver(operator: Operator) -> None:
    operator.box.run("mkdir -p /etc/cdi && cp /var/run/cdi/nvidia.yaml /etc/cdi/ && rm /var/run/cdi/nvidia.yaml")
    assert operator.changes("provision.yml", "--tags", "container_host") > 0
    assert operator.box.run("ls /etc/cdi /var/run/cdi").stdout == "/etc/cdi:\n\n/var/run/cdi:\nnvidia.yaml\n"
    assert operator.changes("provision.yml", "--tags", "container_host") == 0


def test_a_setting_that_the_kernel_refuses_is_told(operator: Operator) -> None:
    switches = {f"host_tuning_{name}": "" for name in ("governor", "huge_pages", "numa_balancing", "memlock")}
    settings = {**switches, "host_tuning_swappiness": 77, "host_tuning_apply_now": True}
    told = operator.play("provision.yml", "--tags", "host_tuning", "-e", json.dumps(settings), fails=True)
    assert messages(told)[operator.box.name] == (
        f"{operator.box.name}: /proc/sys/vm/swappiness can't be set to 77 (Read-only file system); the kernel refuses the "
        "value or is not this box's own: set it where the kernel runs, empty the switch, or set host_tuning_apply_now to "
        "false to write only what the next boot applies"
    )
    operator.play("provision.yml", "--tags", "host_tuning")


def test_a_box_that_cannot_be_reached_does_not_keep_the_others(operator: Operator) -> None:
    inventory = json.loads((operator.folder / "boxes.yml").read_text())
    hosts = inventory["gpu_boxes"]["hosts"]
    hosts["away"] = {**hosts[operator.box.name], "ansible_port": 9}
    (operator.folder / "boxes.yml").write_text(json.dumps(inventory))
    told = operator.play("provision.yml", "--tags", "host_tuning", fails=True)
    operator.declare([], [])
    assert result(told, "away")["unreachable"] == 1
    assert "Connection refused" in messages(told)["away"]
    assert result(told, operator.box.name)["failed"] == 0
    assert result(told, operator.box.name)["ok"] > 3


def test_absent_leaves_the_box_as_it_was(operator: Operator, bare: list[str]) -> None:
    roles = ("cuda_host", "container_host", "host_tuning")
    absent = {**{f"{role}_state": "absent" for role in roles}, "container_host_absent_removes_podman": True}
    absent["container_host_user"] = "lab"
    assert operator.changes("provision.yml", "-e", json.dumps(absent)) > 0
    assert operator.changes("provision.yml", "-e", json.dumps(absent)) == 0
    assert set(operator.box.run(ETC).stdout.splitlines()) ^ set(bare) == set()
    for program in ("nvidia-smi", "nvidia-ctk", "podman"):
        assert operator.box.run(f"command -v {program}", check=False).stdout == ""
    assert operator.box.run("ls /var/lib/systemd/linger").stdout == ""


def test_a_box_without_a_gpu_gets_a_sentence_or_podman_alone(
    lab: Lab, repository: NvidiaRepository, tmp_path: Path
) -> None:
    box = lab.box(PODMAN)
    operator = operator_of(box, tmp_path, repository, container_host_storage_root="/srv/containers")
    said = messages(operator.play("provision.yml", fails=True))
    assert said == {
        box.name: f"{box.name}: no NVIDIA GPU is on the PCI bus; seat the card, or set cuda_host_require_gpu to false for a "
        "box without one"
    }
    without = ["-e", "cuda_host_require_gpu=false"]
    assert operator.changes("provision.yml", *without) > 0
    assert operator.changes("provision.yml", *without) == 0
    assert box.run("podman info --format '{{.Store.GraphRoot}}'").stdout == "/srv/containers\n"
    assert box.run("ls /usr/bin/nvidia-* /etc/apt/sources.list.d/nvidia-*", check=False).stdout == ""
    box.run("sed -i 1d /etc/containers/storage.conf")
    assert messages(operator.play("provision.yml", *without, fails=True)) == {
        box.name: f"{box.name}: /etc/containers/storage.conf was not written by gpubox; move it away, or leave "
        "container_host_storage_root empty and set graphroot there"
    }
    lab.remove(box)


def test_a_podman_without_quadlet_is_told(lab: Lab, repository: NvidiaRepository, tmp_path: Path) -> None:
    box = lab.box(BOOKWORM)
    operator = operator_of(box, tmp_path, repository)
    found = messages(operator.play("provision.yml", "--tags", "container_host", fails=True))
    version = box.run("podman --version").stdout.split()[-1]
    release = box.run("cat /etc/debian_version").stdout.strip()
    assert found == {
        box.name: f"{box.name}: Podman {version} is too old, Quadlet needs 4.4 or newer; upgrade Debian {release}, or "
        "install a newer Podman from elsewhere"
    }
    lab.remove(box)
