"""Readings to test with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gpubox.bench.gpu_readings import GpuReading
from gpubox.telemetry.readings import Reading

UUIDS = ("GPU-0f1e2d3c-aaaa-bbbb-cccc-000000000000", "GPU-1f1e2d3c-aaaa-bbbb-cccc-000000000000")
BOOT = 1_772_366_400.0  # noon of the day of results.records


def a_gpu(index: int = 0, **fields: Any) -> GpuReading:
    """Return a GPU that is busy and not slowed down, changed as told."""
    full = GpuReading(
        index=index,
        uuid=UUIDS[index],
        memory_mib=90_000.0,
        utilisation=97.0,
        power_w=300.0,
        sm_mhz=2400.0,
        temperature_c=61.0,
        throttled_by=(),
    )
    return replace(full, **fields)


def a_reading(second: float, **fields: Any) -> Reading:
    """Return the reading of a second: the engine alone keeps one core busy."""
    full = Reading(
        at=BOOT + second,
        busy_s=1000.0 + second,
        engine_s=100.0 + second,
        memory_bytes={"MemTotal": 768 * 2**30, "Cached": 200 * 2**30},
        gpus=(a_gpu(0), a_gpu(1)),
    )
    return replace(full, **fields)


def seconds(count: int, **fields: Any) -> list[Reading]:
    """Return as many readings, one a second."""
    return [a_reading(second, **fields) for second in range(count)]
