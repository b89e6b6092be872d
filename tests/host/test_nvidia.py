"""Cards and drivers, from files, an nvidia-smi and a modinfo that are made up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpubox import nvidia
from gpubox.image_inputs import cuda_architecture
from gpubox.nvidia import GPU_FIELDS, driver_fault, driver_state, parse_gpus, read_gpus
from host.rtx_pro_6000 import TWO_GPUS

if TYPE_CHECKING:
    from collections.abc import Callable

NO_DRIVER = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that …"
LEAST = "580.65.06"
GOOD: dict[str, Any] = {
    "gpus": parse_gpus(TWO_GPUS),
    "gpu_fault": None,
    "cards": 2,
    "loaded": "580.95.05",
    "installed": "580.95.05",
    "nouveau": False,
    "secure_boot": False,
}
BARE: dict[str, Any] = {**GOOD, "gpus": [], "loaded": None, "installed": None}


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (f'echo "{NO_DRIVER}"; echo; exit 9', NO_DRIVER),
        (
            "echo 'Failed to initialize NVML: Driver/library version mismatch' >&2; exit 18",
            "Failed to initialize NVML: Driver/library version mismatch",
        ),
        ("exit 6", "nvidia-smi ended with exit status 6"),
        ("exec sleep 30", "nvidia-smi gave no answer within 2 s"),
    ],
)
def test_an_nvidia_smi_that_fails_is_quoted(script: str, fault: str, nvidia_smi: Callable[[str], Path]) -> None:
    nvidia_smi(script)
    assert read_gpus() == ([], fault)


def test_an_nvidia_smi_that_is_no_program_is_reported(nvidia_smi: Callable[[str], Path], tmp_path: Path) -> None:
    nvidia_smi("")
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/no/such/shell\n")
    assert read_gpus() == ([], "nvidia-smi can't be run: No such file or directory")


@pytest.mark.parametrize("missing", ["N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", ""])
def test_a_field_that_a_gpu_does_not_have_is_none(missing: str) -> None:
    table = f"0, GPU-1, NVIDIA GB10, {missing}, {missing}, 0000000F:01:00.0, 580.95.05\n"
    assert parse_gpus(table) == [
        {
            "index": 0,
            "uuid": "GPU-1",
            "name": "NVIDIA GB10",
            "memory_bytes": None,
            "compute_capability": None,
            "pci_bus_id": "0000000F:01:00.0",
            "driver": "580.95.05",
        }
    ]


def test_a_real_h200_is_known_and_gets_code_for_itself() -> None:
    table = (Path(__file__).parents[1] / "data" / "nvidia" / "h200-gpus.csv").read_text("utf-8")
    (gpu,) = parse_gpus(table)
    assert gpu == {
        "index": 0,
        "uuid": "GPU-5f0c1d2e-0000-4a11-8b22-0123456789ab",
        "name": "NVIDIA H200",
        "memory_bytes": 143771 * 2**20,
        "compute_capability": "9.0",
        "pci_bus_id": "00000000:00:06.0",
        "driver": "580.159.04",
    }
    assert cuda_architecture(gpu["compute_capability"]) == "90a-real"


def test_lines_that_are_no_gpu_are_left_out() -> None:
    assert parse_gpus("No devices were found\n\n") == []
    assert len(parse_gpus(f"WARNING: infoROM is corrupted at gpu 0000:01:00.0\n{TWO_GPUS}")) == 2
    assert len(GPU_FIELDS) == 7


def plug_in(root: Path, address: str, vendor: str, kind: str) -> None:
    device = root / "sys/bus/pci/devices" / address
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")


def test_the_state_of_a_box_whose_driver_runs(tmp_path: Path, nvidia_smi: Callable[[str], Path]) -> None:
    nvidia_smi(f"cat <<'END'\n{TWO_GPUS}END")
    modinfo = tmp_path / "bin" / "modinfo"
    modinfo.write_text('#!/bin/sh\n[ "$*" = "-F version nvidia" ] && echo 580.105.08\n')
    modinfo.chmod(0o755)
    plug_in(tmp_path, "0000:01:00.0", "0x10de", "0x030000")
    plug_in(tmp_path, "0000:01:00.1", "0x10de", "0x040300")  # the card's sound
    plug_in(tmp_path, "0000:81:00.0", "0x10de", "0x030200")
    plug_in(tmp_path, "0000:c1:00.0", "0x1a03", "0x030000")  # the board's own VGA
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)
    (tmp_path / "sys/module/nvidia/version").write_text("580.95.05\n")
    (tmp_path / nvidia.SECURE_BOOT).parent.mkdir(parents=True)
    (tmp_path / nvidia.SECURE_BOOT).write_bytes(b"\x06\0\0\0\x01")
    assert driver_state(tmp_path) == {
        "gpus": parse_gpus(TWO_GPUS),
        "gpu_fault": None,
        "cards": 2,
        "loaded": "580.95.05",
        "installed": "580.105.08",
        "nouveau": False,
        "secure_boot": True,
    }


def test_the_state_of_a_box_that_nouveau_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    plug_in(tmp_path, "0000:01:00.0", "0x10de", "0x030000")
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    assert driver_state(tmp_path) == {**BARE, "cards": 1, "nouveau": True, "secure_boot": None}


@pytest.mark.parametrize(
    ("state", "fault", "reboot"),
    [
        (GOOD, None, False),
        ({**GOOD, "loaded": None, "installed": None}, None, False),
        (
            {**GOOD, "loaded": "570.195.03"},
            "driver 570.195.03 is loaded and 580.95.05 is installed; reboot",
            True,
        ),
        (
            {**GOOD, "gpus": parse_gpus(TWO_GPUS.replace("580.95.05", "550.163.01")), "loaded": None},
            "driver 550.163.01 is too old; install 580.65.06 or newer",
            False,
        ),
        (
            {**GOOD, "gpus": parse_gpus(TWO_GPUS.replace("580.95.05", "580.65.5")), "loaded": None},
            "driver 580.65.5 is too old; install 580.65.06 or newer",
            False,
        ),
        (
            {**BARE, "nouveau": True},
            "the kernel's nouveau driver holds the GPUs; reboot once NVIDIA's driver is installed",
            True,
        ),
        (BARE, "no NVIDIA driver is installed; install one", False),
        (
            {**BARE, "installed": "580.95.05", "secure_boot": True, "gpu_fault": NO_DRIVER},
            (
                "Secure Boot is on and the kernel has not loaded NVIDIA's driver; enrol the key that signs it "
                "(mokutil --import /var/lib/dkms/mok.pub, then reboot and confirm), or turn Secure Boot off in the firmware"
            ),
            False,
        ),
        (
            {**BARE, "installed": "580.95.05", "gpu_fault": NO_DRIVER},
            f"{NO_DRIVER}; see journalctl -k for what the driver says",
            True,
        ),
        (
            {**BARE, "installed": "580.95.05", "loaded": "580.95.05"},
            "nvidia-smi lists no GPU; see journalctl -k for what the driver says",
            False,
        ),
    ],
)
def test_a_driver_is_judged_in_words(state: dict[str, Any], fault: str | None, reboot: bool) -> None:  # noqa: FBT001
    assert driver_fault(state, LEAST) == (fault, reboot)


def test_it_runs_alone_on_a_box_without_gpubox(nvidia_smi: Callable[[str], Path]) -> None:
    nvidia_smi(f"cat <<'END'\n{TWO_GPUS}END")
    done = subprocess.run(
        [sys.executable, "-I", "-", "581"],
        input=Path(nvidia.__file__).read_bytes(),
        capture_output=True,
        check=True,
        cwd="/",
    )
    said = json.loads(done.stdout)
    assert said["gpus"] == parse_gpus(TWO_GPUS)
    assert said["fault"] == "driver 580.95.05 is too old; install 581 or newer"
    assert said["reboot"] is False
