"""What nvidia-smi's stream says of the GPUs, and what that means for a sample."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FIELDS = (
    "index", "uuid", "memory.used", "utilization.gpu", "power.draw", "clocks.sm", "temperature.gpu",
    "clocks_event_reasons.active",
)  # fmt: skip  # in the order of a line

# Bits of nvmlClocksEventReasons* in nvml.h that mean: slower than it could be. Idle and set clocks do not.
THROTTLED_BY = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "temperature (driver)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}

# A reason that holds in fewer of the readings is a moment's, as when a prompt starts.
WORTH_TELLING = 0.1


@dataclass(frozen=True)
class GpuReading:
    """One GPU at one moment; None where it does not tell.

    Attributes:
        index: as nvidia-smi counts.
        uuid: of the card.
        memory_mib: in use, MiB.
        utilisation: share of the time that a kernel ran, percent.
        power_w: watts.
        sm_mhz: clock of its processors, MHz.
        temperature_c: degrees Celsius.
        throttled_by: why it is slower than it could be.
    """

    index: int
    uuid: str
    memory_mib: float | None
    utilisation: float | None
    power_w: float | None
    sm_mhz: float | None
    temperature_c: float | None
    throttled_by: tuple[str, ...]


def parse_reading(line: str) -> GpuReading | None:
    """Return the reading of a line of `nvidia-smi --query-gpu=FIELDS --format=csv,noheader,nounits`.

    Anything else, such as half a line or a message that a GPU is lost, gives None.
    """
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != len(FIELDS) or not cells[0].isdecimal():
        return None
    try:
        reasons = int(cells[7], 16)
    except ValueError:
        reasons = 0
    memory, utilisation, power, clock, temperature = (_number(cell) for cell in cells[2:7])
    return GpuReading(
        index=int(cells[0]),
        uuid=cells[1],
        memory_mib=memory,
        utilisation=utilisation,
        power_w=power,
        sm_mhz=clock,
        temperature_c=temperature,
        throttled_by=reasons_of(reasons),
    )


def reasons_of(bits: int) -> tuple[str, ...]:
    """Return why a GPU is slower than it could be, of the bits of nvmlClocksEventReasons."""
    return tuple(reason for bit, reason in THROTTLED_BY.items() if bits & bit)


def summarise_readings(readings: Iterable[GpuReading]) -> list[dict[str, Any]]:
    """Return what a sample keeps of the readings of its time, one element per GPU.

    Memory and temperature are the highest, power and utilisation the mean, the clock the lowest; `throttled_by` has the
    share of the readings for each reason. What no reading tells is None.
    """
    by_index: dict[int, list[GpuReading]] = {}
    for reading in readings:
        by_index.setdefault(reading.index, []).append(reading)
    return [_summary(by_index[index]) for index in sorted(by_index)]


def throttle_flags(gpus: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return a flag for each reason that slowed a GPU in more than a moment of the sample."""
    reasons = [reason for gpu in gpus for reason, share in gpu["throttled_by"].items() if share >= WORTH_TELLING]
    return tuple(f"throttled: {reason}" for reason in dict.fromkeys(reasons))


def _summary(readings: Sequence[GpuReading]) -> dict[str, Any]:
    def known(name: str) -> list[float]:
        return [value for reading in readings if (value := getattr(reading, name)) is not None]

    counts = Counter(reason for reading in readings for reason in reading.throttled_by)
    power, utilisation = known("power_w"), known("utilisation")
    return {
        "index": readings[0].index,
        "uuid": readings[0].uuid,
        "memory_mib": max(known("memory_mib"), default=None),
        "utilisation": round(fmean(utilisation), 1) if utilisation else None,
        "power_w": round(fmean(power), 2) if power else None,
        "sm_mhz": min(known("sm_mhz"), default=None),
        "temperature_c": max(known("temperature_c"), default=None),
        "throttled_by": {reason: round(count / len(readings), 3) for reason, count in counts.items()},
        "readings": len(readings),
    }


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # [N/A], [Not Supported], [GPU is lost]
        return None
