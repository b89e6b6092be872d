"""NVIDIA's cards and driver, as the machine itself tells of them.

Needs the standard library alone, so that it runs on a box that has nothing of gpubox:
`python3 - LEAST_DRIVER < nvidia.py` prints what `driver_state` and `driver_fault` say, as JSON.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

GPU_FIELDS = ("index", "uuid", "name", "memory.total", "compute_cap", "pci.bus_id", "driver_version")
NVIDIA_SMI_LIMIT_S = 2.0
# The first nvidia-smi after a boot loads the driver and wakes every card.
FIRST_NVIDIA_SMI_LIMIT_S = 60.0
MISSING = {"", "N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", "Not Supported"}
VENDOR = "0x10de"
DISPLAY_CLASS = "0x03"
SECURE_BOOT_FAULT = (
    "Secure Boot is on and the kernel has not loaded NVIDIA's driver; enrol the key that signs it "
    "(mokutil --import /var/lib/dkms/mok.pub, then reboot and confirm), or turn Secure Boot off in the firmware"
)
# The UEFI specification's global variable; four bytes of attributes precede the value.
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def read_gpus(limit_s: float = NVIDIA_SMI_LIMIT_S) -> tuple[list[dict[str, Any]], str | None]:
    """Ask nvidia-smi for the GPUs; return them and, where it is there but fails, the first line of what it says.

    Args:
        limit_s: seconds that it may take.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], None
    query = [program, f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            query, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"nvidia-smi gave no answer within {limit_s:g} s"
    except OSError as exc:
        return [], f"nvidia-smi can't be run: {exc.strerror}"
    if answer.returncode:
        said = (answer.stdout + answer.stderr).strip()
        return [], said.partition("\n")[0] or f"nvidia-smi ended with exit status {answer.returncode}"
    return parse_gpus(answer.stdout), None


def parse_gpus(table: str) -> list[dict[str, Any]]:
    """Parse nvidia-smi's CSV answer to a query of `GPU_FIELDS`, without header and units.

    Returns:
        One dict a GPU: `index`, `uuid`, `name`, `memory_bytes` (from MiB), `compute_capability`, `pci_bus_id`,
        `driver`; None for a field that the GPU doesn't have. Lines of another shape are left out.
    """
    gpus = []
    for row in csv.reader(table.splitlines(), skipinitialspace=True):
        if len(row) != len(GPU_FIELDS):
            continue
        index, uuid, name, memory_mib, capability, bus, driver = (
            None if word.strip() in MISSING else word.strip() for word in row
        )
        gpus.append(
            {
                "index": int(index) if index else None,
                "uuid": uuid,
                "name": name,
                "memory_bytes": int(memory_mib) * 2**20 if memory_mib else None,
                "compute_capability": capability,
                "pci_bus_id": bus,
                "driver": driver,
            }
        )
    return gpus


def driver_state(root: Path = Path("/")) -> dict[str, Any]:
    """Return the state of NVIDIA's cards and driver on this machine, ready for JSON.

    Args:
        root: where /proc and /sys are found.

    Returns:
        `gpus` (see `parse_gpus`) and `gpu_fault` (what nvidia-smi says when it fails); `cards`, how many NVIDIA display
        controllers are on the PCI bus; `loaded` and `installed`, the versions of the kernel module that runs and of the
        one on disk, or None; `nouveau`, whether that driver is loaded; `secure_boot`, None where there is no UEFI.
    """
    gpus, gpu_fault = read_gpus(FIRST_NVIDIA_SMI_LIMIT_S)
    devices = list((root / "sys/bus/pci/devices").glob("*"))
    cards = [
        device
        for device in devices
        if _read(device / "vendor") == VENDOR and _read(device / "class").startswith(DISPLAY_CLASS)
    ]
    try:
        secure_boot: bool | None = (root / SECURE_BOOT).read_bytes()[4:5] == b"\x01"
    except OSError:
        secure_boot = None
    return {
        "gpus": gpus,
        "gpu_fault": gpu_fault,
        "cards": len(cards),
        "loaded": _read(root / "sys/module/nvidia/version") or None,
        "installed": _installed_module(),
        "nouveau": (root / "sys/module/nouveau").exists(),
        "secure_boot": secure_boot,
    }


def driver_fault(state: dict[str, Any], least: str) -> tuple[str | None, bool]:
    """Judge a `driver_state`: whether CUDA programs run as the machine is.

    Args:
        state: of a machine with at least one card.
        least: the oldest driver that is good enough, `580.65.06`.

    Returns:
        What is wrong and what to do about it, as `fault; remedy`, or None; and whether a reboot may cure it.
    """
    loaded, installed = state["loaded"], state["installed"]
    driver = next((gpu["driver"] for gpu in state["gpus"]), None)
    if loaded and installed and loaded != installed:
        return f"driver {loaded} is loaded and {installed} is installed; reboot", True
    if driver:
        old = _version(driver) < _version(least)
        return (f"driver {driver} is too old; install {least} or newer" if old else None), False
    if state["nouveau"]:
        return "the kernel's nouveau driver holds the GPUs; reboot once NVIDIA's driver is installed", True
    if not (loaded or installed or state["gpu_fault"]):
        return "no NVIDIA driver is installed; install one", False
    if state["secure_boot"] and not loaded:
        return SECURE_BOOT_FAULT, False
    return f"{state['gpu_fault'] or 'nvidia-smi lists no GPU'}; see journalctl -k for what the driver says", not loaded


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _installed_module() -> str | None:
    try:
        said = subprocess.run(["modinfo", "-F", "version", "nvidia"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return said.stdout.strip() or None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def main() -> None:
    """Print this machine's `driver_state` and, as `fault` and `reboot`, the judgement of it; the argument is `least`."""
    state = driver_state()
    fault, reboot = driver_fault(state, sys.argv[1])
    print(json.dumps({**state, "fault": fault, "reboot": reboot}))  # noqa: T201  # what it is run for


if __name__ == "__main__":
    main()
