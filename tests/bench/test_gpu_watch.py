"""The GPUs while something is measured: nvidia-smi's lines, and a stand-in of nvidia-smi that goes on for ever."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.bench.gpu_readings import GpuReading, parse_reading, summarise_readings, throttle_flags
from gpubox.bench.gpu_watch import GpuWatch
from results.records import a_sample

if TYPE_CHECKING:
    from pathlib import Path

LINE = "0, GPU-0b1c2d3e-0001-4002-8003-00112233aabb, 74347, 98, 291.37, 2100, 71, 0x0000000000000004"
READING = GpuReading(0, "GPU-0b1c2d3e-0001-4002-8003-00112233aabb", 74347, 98, 291.37, 2100, 71, ("power cap",))


@pytest.mark.parametrize(
    ("line", "reading"),
    [
        (LINE, READING),
        ("1, GPU-x, 10, [N/A], [Not Supported], 300, 35, 0x0000000000000001", GpuReading(1, "GPU-x", 10, None, None, 300, 35, ())),
        ("1, GPU-x, 10, 5, 50.0, 300, 35, [N/A]", GpuReading(1, "GPU-x", 10, 5, 50.0, 300, 35, ())),
        ("1, GPU-x, 10, 5, 50.0, 300, 95, 0x0000000000000060", GpuReading(1, "GPU-x", 10, 5, 50.0, 300, 95, ("temperature (driver)", "temperature (hardware)"))),
        ("Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU", None),
        ("0, GPU-x, 74347, 9", None),
        ("", None),
    ],
)  # fmt: skip  # a line and its reading
def test_a_line_is_a_reading_or_nothing(line: str, reading: GpuReading | None) -> None:
    assert parse_reading(line) == reading


@given(st.text())
def test_no_line_breaks_the_parser(line: str) -> None:
    found = parse_reading(line)
    assert found is None or found.index >= 0


def test_of_many_readings_a_sample_keeps_peaks_means_and_the_share_of_each_reason() -> None:
    other = GpuReading(0, READING.uuid, 75000, 50, 100.0, 1500, 60, ())
    (gpu,) = summarise_readings([READING, other, other, other])
    assert gpu == {
        "index": 0,
        "uuid": READING.uuid,
        "memory_mib": 75000,
        "utilisation": 62.0,
        "power_w": 147.84,
        "sm_mhz": 1500,
        "temperature_c": 71,
        "throttled_by": {"power cap": 0.25},
        "readings": 4,
    }
    assert throttle_flags([gpu, gpu]) == ("throttled: power cap",)
    assert throttle_flags([gpu | {"throttled_by": {"power cap": 0.05}}]) == ()


def nvidia_smi(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_sample_gets_the_readings_of_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, f'while :; do echo "{LINE}"; sleep 0.02; done')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with GpuWatch(library="libnvidia-none.so.1") as gpus:
        end = time.monotonic() + 10
        while "gpus" not in (sample := gpus.seen(a_sample(0, e2e_ms=10_000.0, extra={"route": "chat"}))).extra:
            assert time.monotonic() < end, "no reading was seen"
            time.sleep(0.01)
    assert sample.extra["route"] == "chat"
    assert sample.flags == ("throttled: power cap",)
    assert sample.extra["gpus"][0] | {"readings": 0} == summarise_readings([READING])[0] | {"readings": 0}


def test_a_sample_gets_the_energy_of_its_tokens_once_the_readings_reach_back_to_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = LINE.replace("0, GPU-0", "1, GPU-1", 1).replace("291.37", "100.00")
    nvidia_smi(tmp_path, f'while :; do echo "{LINE}"; echo "{other}"; sleep 0.02; done')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    ended = a_sample(0, e2e_ms=400.0, ttft_ms=150.0)
    with GpuWatch(library="libnvidia-none.so.1") as gpus:
        end = time.monotonic() + 10
        while "tg_joules" not in (sample := gpus.seen(ended)).extra:
            assert time.monotonic() < end, "no energy was seen"
            time.sleep(0.01)
    assert sample.extra["tg_joules"] == pytest.approx((291.37 + 100) * 0.25, rel=1e-3)
    assert "tg_joules" not in gpus.seen(replace(ended, ttft_ms=None)).extra


def test_no_energy_is_told_where_a_gpu_tells_no_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, f'while :; do echo "{LINE.replace("291.37", "[N/A]")}"; sleep 0.02; done')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with GpuWatch(library="libnvidia-none.so.1") as gpus:
        time.sleep(1)
        sample = gpus.seen(a_sample(0, e2e_ms=400.0, ttft_ms=150.0))
    assert sample.extra["gpus"][0]["power_w"] is None
    assert "tg_joules" not in sample.extra


@pytest.mark.parametrize("script", [None, "exit 9", "echo 'Field \"x\" is not a valid field to query.'; exit 2"])
def test_without_a_working_nvidia_smi_a_sample_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    if script:
        nvidia_smi(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if script else str(tmp_path))
    sample = a_sample(0)
    with GpuWatch(library="libnvidia-none.so.1") as gpus:
        assert gpus.seen(sample) == sample
