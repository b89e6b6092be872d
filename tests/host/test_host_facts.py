"""Facts about a machine, from files and an nvidia-smi that are made up."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

import pytest

from gpubox.host_facts import (
    host_facts,
    parse_cpu_model,
    parse_load,
    parse_os_name,
    parse_ram_bytes,
)
from host.rtx_pro_6000 import TWO_GPUS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """The files of a machine with 2 cores of 2 threads each."""
    root = tmp_path / "root"
    files = {
        "proc/cpuinfo": "".join(
            f"processor\t: {cpu}\nmodel name\t: AMD EPYC 9175F  16-Core Processor\n\n" for cpu in range(4)
        ),
        "proc/meminfo": "MemTotal:       791834568 kB\nMemFree:        1234 kB\n",
        "proc/loadavg": "0.52 1.58 10.00 2/1234 5678\n",
        "proc/sys/kernel/hostname": "box1\n",
        "proc/sys/kernel/osrelease": "6.12.48+deb13-amd64\n",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
        **{f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}\n" for n in range(4)},
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_facts_of_a_gpu_box(box: Path, nvidia_smi: Callable[[str], Path]) -> None:
    arguments = nvidia_smi(f"cat <<'END'\n{TWO_GPUS}END")
    gpu = {
        "name": "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        "memory_bytes": 97887 * 2**20,
        "compute_capability": "12.0",
        "driver": "580.95.05",
    }
    assert host_facts(box) == {
        "hostname": "box1",
        "cpu": "AMD EPYC 9175F 16-Core Processor",
        "cores": 2,
        "threads": 4,
        "ram_bytes": 791834568 * 1024,
        "kernel": "6.12.48+deb13-amd64",
        "os": "Debian GNU/Linux 13 (trixie)",
        "python": platform.python_version(),
        "governor": "performance",
        "load": [0.52, 1.58, 10.0],
        "gpus": [
            {**gpu, "index": 0, "uuid": "GPU-5d6a0f6e-8a0c-4d0e-9a53-0c1c5a1f7b11", "pci_bus_id": "00000000:01:00.0"},
            {**gpu, "index": 1, "uuid": "GPU-0a4c7f9e-2b61-47a6-b0d5-6f3f6f0f2c22", "pci_bus_id": "00000000:81:00.0"},
        ],
        "driver": "580.95.05",
        "gpu_fault": None,
        "gpu_states": [],
    }
    assert arguments.read_text() == (
        "--query-gpu=index,uuid,name,memory.total,compute_cap,pci.bus_id,driver_version --format=csv,noheader,nounits\n"
    )


def test_a_machine_that_says_nothing_has_facts_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host_facts(tmp_path) == {
        "hostname": platform.node(),
        "cpu": None,
        "cores": None,
        "threads": None,
        "ram_bytes": None,
        "kernel": platform.release(),
        "os": None,
        "python": platform.python_version(),
        "governor": None,
        "load": None,
        "gpus": [],
        "driver": None,
        "gpu_fault": None,
        "gpu_states": [],
    }


def test_this_machine_has_facts_that_json_can_hold() -> None:
    facts = host_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["threads"] >= 1
    assert facts["ram_bytes"] > 2**28


def test_parsers_give_none_for_what_is_not_there() -> None:
    assert parse_cpu_model("processor\t: 0\nCPU implementer\t: 0x41\n") is None
    assert parse_ram_bytes("") is None
    assert parse_os_name("NAME=Void\n") is None
    assert parse_load("") is None


@pytest.mark.parametrize("line", ["PRETTY_NAME=Fedora", 'PRETTY_NAME="Fedora"', "PRETTY_NAME='Fedora'"])
def test_the_systems_name_is_read_with_and_without_quotes(line: str) -> None:
    assert parse_os_name(f"ID=fedora\n{line}\nVERSION_ID=43\n") == "Fedora"
