"""Memory and power of each device, as far as a run recorded them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpubox.record import Run, Sample


@dataclass(frozen=True)
class Device:
    """A GPU, or the host's memory.

    Attributes:
        name: as the engine calls it: CUDA0, CUDA_Host.
        planned_mib: what the plan said, MiB; None without one.
        measured_mib: the most that was in use in any sample, MiB; None where nobody looked.
        power_w: mean over the samples, watts; None where nobody looked.
    """

    name: str
    planned_mib: float | None
    measured_mib: float | None
    power_w: float | None


def devices(run: Run, samples: Sequence[Sample]) -> list[Device]:
    """Return the devices of a run, by name.

    A profile that names its GPUs has those alone, numbered in its order, as the engine sees them.

    Args:
        run: `host["planned_mib"]` may hold MiB by device name.
        samples: `extra["gpus"]` may hold, per GPU, `index`, `memory_mib` and `power_w`.
    """
    planned = run.host.get("planned_mib")
    plan: dict[str, float] = planned if isinstance(planned, dict) else {}
    wanted = (run.profile_document or {}).get("gpus")
    numbers = {gpu: number for number, gpu in enumerate(wanted)} if isinstance(wanted, list) else None
    readings: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        for gpu in sample.extra.get("gpus", ()) if sample.valid else ():
            number = gpu["index"] if numbers is None else numbers.get(gpu["index"], numbers.get(gpu.get("uuid")))
            if number is not None:
                readings.setdefault(f"CUDA{number}", []).append(gpu)
    return [
        Device(
            name=name,
            planned_mib=plan.get(name),
            measured_mib=max(_known(readings.get(name, ()), "memory_mib"), default=None),
            power_w=fmean(watts) if (watts := _known(readings.get(name, ()), "power_w")) else None,
        )
        for name in sorted({*plan, *readings})
    ]


def _known(readings: Iterable[dict[str, Any]], name: str) -> list[float]:
    return [reading[name] for reading in readings if reading.get(name) is not None]
