"""What machine a number was measured on: its CPU, memory, system and GPUs, as far as it will say."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpubox.gpu_state import read_gpu_states
from gpubox.nvidia import read_gpus

CPUS = "sys/devices/system/cpu"
_WHOSE = ("uuid", "bus_id", "processes")  # of a GPU's state; says nothing of how fast it is


def host_facts(root: Path = Path("/")) -> dict[str, Any]:
    """Return this machine's facts, ready for JSON; what can't be found out is None.

    Args:
        root: where /proc, /sys and /etc are found.

    Returns:
        `hostname`, `cpu` (model), `cores` (physical), `threads`, `ram_bytes`, `kernel`, `os`, `python`, `governor` (of
        the first CPU), `load` (1, 5 and 15 minutes), `gpus` (see `gpubox.nvidia.parse_gpus`), `driver` (NVIDIA's version) and
        `gpu_fault` (what nvidia-smi says when it fails), and `gpu_states`, what each GPU does now: the fields of
        `gpubox.gpu_state.GpuState` but those that tell whose it is.
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    siblings = {_read(path) for path in (root / CPUS).glob("cpu[0-9]*/topology/thread_siblings_list")}
    states = read_gpu_states()
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
        "gpu_states": [
            {name: value for name, value in asdict(state).items() if name not in _WHOSE} for state in states
        ],
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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
