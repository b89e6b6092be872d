"""What was read of a box in one second, parsed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from gpubox.bench.gpu_readings import GpuReading, parse_reading

KIB = 1024
# /proc/stat counts time in these, on every architecture that Linux serves from.
TICKS_PER_S = 100


@dataclass(frozen=True)
class App:
    """A process that holds memory of a GPU; `unit` is the service or scope that it belongs to, empty for none."""

    uuid: str
    pid: int
    name: str
    unit: str


@dataclass(frozen=True)
class Reading:
    """One second of a box.

    Attributes:
        at: seconds since 1970 by our clock.
        busy_s: CPU time that all processes have used since the box started, seconds.
        engine_s: CPU time that the service which is measured has used; None where none is.
        memory_bytes: `MemTotal`, `MemAvailable`, `Cached` (the page cache) and `Dirty`.
        gpus: every GPU, the newest word of it.
        apps: who holds memory of a GPU; told every five seconds.
        journal: what the service has logged.
        gpu_fault: what nvidia-smi says where it fails.
    """

    at: float
    busy_s: float
    engine_s: float | None
    memory_bytes: dict[str, int]
    gpus: tuple[GpuReading, ...] = ()
    apps: tuple[App, ...] = ()
    journal: tuple[str, ...] = ()
    gpu_fault: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON, without what is empty."""
        return {name: value for name, value in asdict(self).items() if value not in (None, (), "")}

    @classmethod
    def of_dict(cls, value: dict[str, Any]) -> Reading:
        """Return the reading of an `as_dict`; fields of a newer gpubox are left out."""
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        known["gpus"] = tuple(
            GpuReading(**{**gpu, "throttled_by": tuple(gpu["throttled_by"])}) for gpu in known.get("gpus", ())
        )
        known["apps"] = tuple(App(**app) for app in known.get("apps", ()))
        known["journal"] = tuple(known.get("journal", ()))
        return cls(**{"engine_s": None, **known})


def parse_tick(tick: dict[str, Any], offset_s: float) -> Reading:
    """Return what the program on a box says in one second.

    Args:
        tick: as `gpubox.telemetry.program` prints it.
        offset_s: from the box's monotonic clock to our time of day.
    """
    parsed = [(line, parse_reading(line)) for line in tick["gpus"] if line.strip()]
    gpus = {gpu.index: gpu for _, gpu in parsed if gpu is not None}
    used = tick["engine_cpu_us"]
    return Reading(
        at=round(tick["at"] + offset_s, 3),
        busy_s=parse_busy_s(tick["cpu"]),
        engine_s=int(used) / 1e6 if used else None,
        memory_bytes={name: int(text.split()[0]) * KIB for name, text in tick["memory"].items() if text},
        gpus=tuple(gpus[index] for index in sorted(gpus)),
        apps=tuple(App(app["uuid"], app["pid"], app["name"], unit_of(app["cgroup"])) for app in tick["apps"]),
        journal=tuple(tick["journal"]),
        gpu_fault=next((line.strip() for line, gpu in parsed if gpu is None), ""),
    )


def parse_busy_s(cpu: str) -> float:
    """Return the seconds that all CPUs have worked, from the first line of /proc/stat.

    Idle, waiting for a disk and stolen time are no work; guests' time is in `user` already (man 5 proc_stat).
    """
    user, nice, system, _, _, irq, softirq, *_ = (int(word) for word in cpu.split()[1:])
    return (user + nice + system + irq + softirq) / TICKS_PER_S


def unit_of(cgroup: str) -> str:
    """Return the service or scope of a process from its /proc/PID/cgroup, without suffix; empty for none."""
    for part in cgroup.replace("\n", "/").split("/"):
        name, _, suffix = part.rpartition(".")
        # A container's own scope is inside the service that started it.
        if suffix in {"service", "scope"} and not name.startswith("libpod-"):
            return name
    return ""
