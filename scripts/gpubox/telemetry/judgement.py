"""What the readings of a run say: whether the box was quiet, what disturbed the run, and what a token cost."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from gpubox.record import Sample
    from gpubox.telemetry.readings import Gpu, Reading

# nvmlClocksEventReasons of NVML's reference. The others (idle, clocks set by hand, sync boost, display) are no slowdown.
SLOWED_BY = {
    0x04: "power limit",
    0x08: "hardware slowdown",
    0x20: "driver's thermal limit",
    0x40: "hardware's thermal limit",
    0x80: "power brake",
}
# Less than this share of the time says nothing about a run.
OFTEN = 0.05
# Cores that others may keep busy; a box that only serves stays far below.
OTHERS_CORES = 0.5
IDLE_GPU = 0.05


def not_quiet(readings: Sequence[Reading]) -> list[str]:
    """Return what works on a box that should be idle, in words; empty where it is quiet.

    Args:
        readings: two or more, oldest first, while nothing is measured.
    """
    found = []
    if (cores := _busy_cores(readings)) > OTHERS_CORES:
        found.append(f"{cores:.1f} cores are busy")
    by_gpu = _by_gpu(readings, lambda gpu: gpu.busy)
    found += [f"GPU {index} is busy {max(busy):.0%}" for index, busy in by_gpu.items() if max(busy) > IDLE_GPU]
    return found


def doubts(readings: Sequence[Reading], profile: str, gpus: Collection[int] | None = None) -> list[str]:
    """Return the flags of a run that its readings call for.

    Args:
        readings: of the run, oldest first.
        profile: whose service was measured.
        gpus: indices of the GPUs that it uses; None for all.

    Returns:
        `throttled: …`, `shared-box: …` and `gpu-lost: …`, each with its reason.
    """
    return [*_throttled(readings, gpus), *_shared(readings, profile), *_lost(readings)]


def used_gpus(wanted: str | Sequence[int | str], present: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the indices of the GPUs that a profile uses.

    Args:
        wanted: `all`, `none`, or indices and UUIDs, as in a profile.
        present: the GPUs of the box, each with `index` and `uuid`.
    """
    if wanted == "none":
        return set()
    return {gpu["index"] for gpu in present if wanted == "all" or {gpu["index"], gpu["uuid"]} & set(wanted)}


def in_words(readings: Sequence[Reading], gpus: Collection[int] | None = None) -> list[str]:
    """Return a line for each GPU and one for the host: means over the run, and the most memory in use.

    Args:
        readings: of a run, oldest first.
        gpus: indices of those that are of interest; None for all.
    """
    indices = sorted({gpu.index for reading in readings for gpu in reading.gpus if gpus is None or gpu.index in gpus})
    lines = []
    for index in indices:
        told = [gpu for reading in readings for gpu in reading.gpus if gpu.index == index]
        means = [
            (_mean(gpu.watts for gpu in told), "W"),
            (_mean(gpu.sm_mhz for gpu in told), "MHz"),
            (_mean(gpu.celsius for gpu in told), "°C"),
            (_mean(100 * gpu.busy for gpu in told if gpu.busy is not None), "% busy"),
            (max((gpu.memory_bytes / 2**20 for gpu in told if gpu.memory_bytes), default=None), "MiB"),
        ]
        lines.append(f"GPU {index}: " + ", ".join(f"{value:.0f} {unit}" for value, unit in means if value is not None))
    if len(readings) > 1:
        cached = max(reading.memory_bytes.get("Cached", 0) for reading in readings)
        lines.append(f"host: {_busy_cores(readings):.1f} cores busy, page cache {cached / 2**20:.0f} MiB")
    return lines


def joules_per_token(
    samples: Iterable[Sample], readings: Sequence[Reading], gpus: Collection[int] | None = None
) -> float | None:
    """Return the energy that GPUs took to generate a token, averaged over the valid samples; None where it is not known.

    The power of the GPUs, linear between two readings, is integrated from the first token of each sample to its end.

    Args:
        samples: of a run.
        readings: of the same run, oldest first.
        gpus: indices of the GPUs that the profile uses; None for all.
    """
    power = [(reading.at, watts) for reading in readings if (watts := _watts(reading, gpus)) is not None]
    energy, tokens = 0.0, 0
    for sample in samples:
        if not sample.valid or sample.ttft_ms is None or sample.delivered_n < 2:
            continue
        began = datetime.fromisoformat(sample.started_at).timestamp()
        taken = joules(power, began + sample.ttft_ms / 1e3, began + sample.e2e_ms / 1e3)
        if taken is not None:
            energy += taken
            tokens += sample.delivered_n - 1
    return energy / tokens if tokens else None


def joules(power: Sequence[tuple[float, float]], begin: float, end: float) -> float | None:
    """Return the integral of a power (watts) from `begin` to `end` (seconds); None where it is not known up to both."""
    if not power or power[0][0] > begin or power[-1][0] < end:
        return None
    total = 0.0
    for (t0, w0), (t1, w1) in pairwise(power):
        left, right = max(t0, begin), min(t1, end)
        if left < right:
            slope = (w1 - w0) / (t1 - t0)
            total += (right - left) * (w0 + slope * ((left + right) / 2 - t0))
    return total


def _throttled(readings: Sequence[Reading], gpus: Collection[int] | None) -> list[str]:
    found = []
    by_gpu = _by_gpu(readings, lambda gpu: gpu.slowed_by)
    for index, masks in by_gpu.items():
        if gpus is not None and index not in gpus:
            continue
        for bit, reason in SLOWED_BY.items():
            share = sum(bool(int(mask) & bit) for mask in masks) / len(masks)
            if share > OFTEN:
                found.append(f"throttled: GPU {index} by its {reason}, {share:.0%} of the time")
    return found


def _shared(readings: Sequence[Reading], profile: str) -> list[str]:
    strangers = Counter(
        (app.name, app.pid, app.unit) for reading in readings for app in reading.apps if app.unit != profile
    )
    found = [
        f"shared-box: {name} (pid {pid}{f', {unit}' if unit else ''}) holds memory of a GPU"
        for name, pid, unit in strangers
    ]
    known = [reading for reading in readings if reading.engine_s is not None]
    if (cores := _busy_cores(known) - _engine_cores(known)) > OTHERS_CORES:
        found.append(f"shared-box: others kept {cores:.1f} cores busy")
    return found


def _lost(readings: Sequence[Reading]) -> list[str]:
    """Return which GPUs are no longer told of, though they were."""
    seen = {gpu.index for reading in readings for gpu in reading.gpus}
    last = {gpu.index for reading in readings[-3:] for gpu in reading.gpus}
    fault = next((reading.gpu_fault for reading in reversed(readings) if reading.gpu_fault), "nvidia-smi is silent")
    return [f"gpu-lost: GPU {index}: {fault}" for index in sorted(seen - last)]


def _busy_cores(readings: Sequence[Reading]) -> float:
    if len(readings) < 2:
        return 0.0
    first, last = readings[0], readings[-1]
    return (last.busy_s - first.busy_s) / (last.at - first.at)


def _engine_cores(readings: Sequence[Reading]) -> float:
    if len(readings) < 2:
        return 0.0
    first, last = readings[0], readings[-1]
    return ((last.engine_s or 0.0) - (first.engine_s or 0.0)) / (last.at - first.at)


def _by_gpu(readings: Sequence[Reading], value: Callable[[Gpu], float | None]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for reading in readings:
        for gpu in reading.gpus:
            if (told := value(gpu)) is not None:
                found.setdefault(gpu.index, []).append(told)
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _watts(reading: Reading, gpus: Collection[int] | None) -> float | None:
    told = [gpu.watts for gpu in reading.gpus if gpus is None or gpu.index in gpus]
    known = [watts for watts in told if watts is not None]
    return sum(known) if known and len(known) == len(told) else None
