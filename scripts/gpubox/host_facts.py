"""What machine a number was measured on: its CPU, memory, system and GPUs, as far as it will say."""

from __future__ import annotations

import csv
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

GPU_FIELDS = ("index", "uuid", "name", "memory.total", "compute_cap", "pci.bus_id", "driver_version")
NVIDIA_SMI_LIMIT_S = 2.0
MISSING = {"", "N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", "Not Supported"}
CPUS = "sys/devices/system/cpu"


def host_facts(root: Path = Path("/")) -> dict[str, Any]:
    """Return this machine's facts, ready for JSON; what can't be found out is None.

    Args:
        root: where /proc, /sys and /etc are found.

    Returns:
        `hostname`, `cpu` (model), `cores` (physical), `threads`, `ram_bytes`, `kernel`, `os`, `python`, `governor` (of
        the first CPU), `load` (1, 5 and 15 minutes), `gpus` (see `parse_gpus`), `driver` (NVIDIA's version) and
        `gpu_fault` (what nvidia-smi says when it fails).
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    siblings = {_read(path) for path in (root / CPUS).glob("cpu[0-9]*/topology/thread_siblings_list")}
    gpus, fault = read_gpus()
    return {
        "hostname": _read(root / "proc/sys/kernel/hostname") or platform.node(),
        "cpu": parse_cpu_model(cpuinfo),
        "cores": len(siblings) or None,
        "threads": len(re.findall(r"(?m)^processor\s*:", cpuinfo)) or None,
        "ram_bytes": parse_ram_bytes(_read(root / "proc/meminfo")),
        "kernel": _read(root / "proc/sys/kernel/osrelease") or platform.release(),
        "os": parse_os_name(_read(root / "etc/os-release")),
        "python": platform.python_version(),
        "governor": _read(root / CPUS / "cpu0/cpufreq/scaling_governor") or None,
        "load": parse_load(_read(root / "proc/loadavg")),
        "gpus": gpus,
        "driver": next((gpu["driver"] for gpu in gpus), None),
        "gpu_fault": fault,
    }


def parse_cpu_model(cpuinfo: str) -> str | None:
    """Return the CPU's model from /proc/cpuinfo; ARM kernels name none."""
    match = re.search(r"(?m)^model name\s*:\s*(.+)$", cpuinfo)
    return " ".join(match[1].split()) if match else None


def parse_ram_bytes(meminfo: str) -> int | None:
    """Return the memory's size from /proc/meminfo, bytes."""
    match = re.search(r"(?m)^MemTotal:\s+(\d+) kB$", meminfo)
    return int(match[1]) * 1024 if match else None


def parse_os_name(os_release: str) -> str | None:
    """Return the system's name and version from /etc/os-release."""
    match = re.search(r"""(?m)^PRETTY_NAME=["']?([^"'\n]+)""", os_release)
    return match[1] if match else None


def parse_load(loadavg: str) -> list[float] | None:
    """Return the load averages of 1, 5 and 15 minutes from /proc/loadavg."""
    words = loadavg.split()
    return [float(word) for word in words[:3]] if len(words) >= 3 else None


def read_gpus() -> tuple[list[dict[str, Any]], str | None]:
    """Ask nvidia-smi for the GPUs; return them and, where it is there but fails, the first line of what it says."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], None
    query = [program, f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            query, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=NVIDIA_SMI_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"nvidia-smi gave no answer within {NVIDIA_SMI_LIMIT_S:g} s"
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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
