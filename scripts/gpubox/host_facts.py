"""What machine a number was measured on: its CPU, memory, system and GPUs, as far as it will say."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpubox.gpu_state import read_gpu_states
from gpubox.nvidia import read_gpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CPUS = "sys/devices/system/cpu"
# Below the root; `facts_of` takes them in this order.
SOURCES = (
    "proc/cpuinfo",
    "proc/meminfo",
    "etc/os-release",
    "proc/sys/kernel/hostname",
    "proc/sys/kernel/osrelease",
    f"{CPUS}/cpu0/cpufreq/scaling_governor",
    "proc/loadavg",
)
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
    siblings = [_read(path) for path in (root / CPUS).glob("cpu[0-9]*/topology/thread_siblings_list")]
    states = read_gpu_states()
    gpus, fault = read_gpus()
    facts = facts_of({source: _read(root / source) for source in SOURCES}, siblings, gpus, fault)
    facts["hostname"] = facts["hostname"] or platform.node()
    facts["kernel"] = facts["kernel"] or platform.release()
    kept = [{name: value for name, value in asdict(state).items() if name not in _WHOSE} for state in states]
    return facts | {"python": platform.python_version(), "gpu_states": kept}


def facts_of(
    texts: Mapping[str, str], siblings: Iterable[str], gpus: Sequence[Mapping[str, Any]], gpu_fault: str | None
) -> dict[str, Any]:
    """Return the facts that some texts of a machine hold: all of `host_facts` but `python` and `gpu_states`.

    Args:
        texts: of the files `SOURCES`, empty where one can't be read.
        siblings: `thread_siblings_list` of every CPU.
        gpus: as nvidia-smi tells them.
        gpu_fault: what it says when it fails.
    """
    cpuinfo, meminfo, os_release, hostname, kernel, governor, load = (texts[source].strip() for source in SOURCES)
    return {
        "hostname": hostname,
        "cpu": parse_cpu_model(cpuinfo),
        "cores": len(set(siblings)) or None,
        "threads": len(re.findall(r"(?m)^processor\s*:", cpuinfo)) or None,
        "ram_bytes": parse_ram_bytes(meminfo),
        "kernel": kernel,
        "os": parse_os_name(os_release),
        "governor": governor or None,
        "load": parse_load(load),
        "gpus": list(gpus),
        "driver": next((gpu["driver"] for gpu in gpus), None),
        "gpu_fault": gpu_fault,
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
