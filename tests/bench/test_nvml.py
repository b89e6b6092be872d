"""NVIDIA's library read without a program between: against a stand-in that tells what a real H200 told."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from gpubox.bench.gpu_readings import GpuReading
from gpubox.bench.gpu_watch import GpuWatch
from gpubox.bench.nvml import Nvml
from results.records import a_sample

SOURCE = Path(__file__).with_name("nvml_standin.c")
RECORDED = json.loads((Path(__file__).parents[1] / "data" / "nvidia" / "h200-nvml.json").read_text("utf-8"))
POWER_CAP = 0x04

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the stand-in has to be compiled")


def library(folder: Path, *, reasons: int = RECORDED["GetCurrentClocksEventReasons"], word: str = "Event") -> str:
    """Compile the stand-in; `word` names its function as newer drivers do (Event) or older ones (Throttle)."""
    memory = RECORDED["MemoryInfo_v2"]
    values = {
        "UUID": f'"{RECORDED["GetUUID"]}"',
        "TOTAL": f"{memory['total']}ull",
        "RESERVED": f"{memory['reserved']}ull",
        "FREE": f"{memory['free'] - 2**30}ull",
        "USED": f"{memory['used'] + 2**30}ull",
        "GPU": RECORDED["GetUtilizationRates"]["gpu"],
        "POWER": RECORDED["GetPowerUsage"],
        "CLOCK": RECORDED["GetClockInfo1"],
        "TEMPERATURE": RECORDED["GetTemperature0"],
        "REASONS": reasons,
        "REASONS_NAME": f"nvmlDeviceGetCurrentClocks{word}Reasons",
    }
    path = folder / "libnvidia-ml.so.1"
    defines = [f"-D{name}={value}" for name, value in values.items()]
    subprocess.run(["cc", "-shared", "-fPIC", *defines, "-o", path, SOURCE], check=True)
    return str(path)


def test_each_gpu_is_read_in_the_units_of_a_reading_and_a_lost_one_is_left_out(tmp_path: Path) -> None:
    with Nvml(library(tmp_path)) as nvml:
        assert nvml.read() == [GpuReading(0, RECORDED["GetUUID"], 1024.0, 0.0, 78.656, 345.0, 39.0, ())]


@pytest.mark.parametrize("word", ["Event", "Throttle"])
def test_reasons_for_a_low_clock_are_told_by_their_new_name_and_by_their_old(tmp_path: Path, word: str) -> None:
    with Nvml(library(tmp_path, reasons=POWER_CAP, word=word)) as nvml:
        assert nvml.read()[0].throttled_by == ("power cap",)


def test_where_there_is_no_library_it_says_so() -> None:
    with pytest.raises(OSError, match="libnvidia-none"):
        Nvml("libnvidia-none.so.1")


def test_a_sample_gets_what_the_library_told_during_it(tmp_path: Path) -> None:
    with GpuWatch(interval_ms=10, library=library(tmp_path, reasons=POWER_CAP)) as gpus:
        end = time.monotonic() + 10
        while "gpus" not in (sample := gpus.seen(a_sample(0, e2e_ms=10_000.0, extra={}))).extra:
            assert time.monotonic() < end, "no reading was seen"
            time.sleep(0.01)
    (gpu,) = sample.extra["gpus"]
    assert (gpu["power_w"], gpu["memory_mib"]) == (pytest.approx(78.66, abs=0.01), 1024.0)
    assert sample.flags == ("throttled: power cap",)
