"""What the readings of a run say: whether the box was quiet, what disturbed the run, and what a token cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gpubox.bench.gpu_readings import summarise_readings, throttle_flags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gpubox.record import Sample
    from gpubox.telemetry.readings import Reading

# Cores that others may keep busy; a box that only serves stays far below.
OTHERS_CORES = 0.5
IDLE_GPU = 5.0  # percent


def not_quiet(readings: Sequence[Reading]) -> list[str]:
    """Return what works on a box that should be idle, in words; empty where it is quiet.

    Args:
        readings: two or more, oldest first, while nothing is measured.
    """
    found = []
    if (cores := _busy_cores(readings)) > OTHERS_CORES:
        found.append(f"{cores:.1f} cores are busy")
    busy = {gpu["index"]: gpu["utilisation"] or 0.0 for gpu in gpus_of(readings)}
    return found + [f"GPU {index} is busy {percent:.0f} %" for index, percent in busy.items() if percent > IDLE_GPU]


def doubts(
    readings: Sequence[Reading], profile: str, gpus: Collection[int] | None = None, told_before: Collection[int] = ()
) -> list[str]:
    """Return the flags of a run that its readings call for.

    Args:
        readings: of the run, oldest first.
        profile: whose service was measured.
        gpus: indices of the GPUs that it uses; None for all.
        told_before: indices of the GPUs that were told of before the run.

    Returns:
        `throttled: …`, `shared-box: …` and `gpu-lost: …`, each with its reason.
    """
    return [*throttle_flags(gpus_of(readings, gpus)), *_shared(readings, profile), *_lost(readings, {*told_before})]


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
    """Return a line for each GPU and one for the host.

    Args:
        readings: of a run, oldest first.
        gpus: indices of those that are of interest; None for all.
    """
    lines = []
    for gpu in gpus_of(readings, gpus):
        told = [
            (gpu["power_w"], "W"),
            (gpu["sm_mhz"], "MHz at least"),
            (gpu["temperature_c"], "°C at most"),
            (gpu["utilisation"], "% busy"),
            (gpu["memory_mib"], "MiB"),
        ]
        words = ", ".join(f"{value:.0f} {unit}" for value, unit in told if value is not None)
        lines.append(f"GPU {gpu['index']}: {words}")
    if len(readings) > 1:
        cached = max(reading.memory_bytes.get("Cached", 0) for reading in readings)
        lines.append(f"host: {_busy_cores(readings):.1f} cores busy, page cache {cached / 2**20:.0f} MiB")
    return lines


def gpus_of(readings: Iterable[Reading], gpus: Collection[int] | None = None) -> list[dict[str, Any]]:
    """Return what the GPUs did over some readings, as `summarise_readings`.

    Args:
        readings: of the time.
        gpus: indices of those that are of interest; None for all.
    """
    every = (gpu for reading in readings for gpu in reading.gpus)
    return summarise_readings(gpu for gpu in every if gpus is None or gpu.index in gpus)


@dataclass(frozen=True)
class Energy:
    """What generating tokens took of the GPUs.

    Attributes:
        joules: of one token.
        watts: mean power of all the GPUs together while tokens were generated.
    """

    joules: float
    watts: float


def energy_of_tokens(
    samples: Iterable[Sample], readings: Sequence[Reading], gpus: Collection[int] | None = None
) -> Energy | None:
    """Return what GPUs took to generate a token, averaged over the valid samples; None where it is not known.

    The power of the GPUs, linear between two readings, is integrated from the first token of each sample to its end. A sample of
    this machine's GPUs brings that itself.

    Args:
        samples: of a run.
        readings: of the same run, oldest first; none where no box was watched.
        gpus: indices of the GPUs that the profile uses; None for all.
    """
    power = [(reading.at, watts) for reading in readings if (watts := _watts(reading, gpus)) is not None]
    energy, tokens, seconds = 0.0, 0, 0.0
    for sample in samples:
        if not sample.valid or sample.ttft_ms is None or sample.delivered_n < 2:
            continue
        began = datetime.fromisoformat(sample.started_at).timestamp()
        taken = joules(power, began + sample.ttft_ms / 1e3, began + sample.e2e_ms / 1e3)
        taken = sample.extra.get("tg_joules") if taken is None else taken
        if taken is not None:
            energy += taken
            tokens += sample.delivered_n - 1
            seconds += (sample.e2e_ms - sample.ttft_ms) / 1e3
    return Energy(energy / tokens, energy / seconds) if tokens and seconds else None


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


def _lost(readings: Sequence[Reading], told_before: set[int]) -> list[str]:
    """Return which GPUs are no longer told of, though they were."""
    if not readings:
        return []
    seen = told_before | {gpu.index for reading in readings for gpu in reading.gpus}
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


def _watts(reading: Reading, gpus: Collection[int] | None) -> float | None:
    told = [gpu.power_w for gpu in reading.gpus if gpus is None or gpu.index in gpus]
    known = [watts for watts in told if watts is not None]
    return sum(known) if known and len(known) == len(told) else None
