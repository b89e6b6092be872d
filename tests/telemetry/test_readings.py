"""What a box prints is parsed into readings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.bench.gpu_readings import GpuReading
from gpubox.telemetry.readings import App, Reading, parse_busy_s, parse_tick, unit_of
from telemetry.ticks import UUIDS, a_gpu, a_reading

# As an H200 prints it, with its UUID made up.
LINE = f"0, {UUIDS[0]}, 30401, 28, 122.02, 1980, 38, 0x0000000000000004"
TICK: dict[str, Any] = {
    "event": "tick",
    "at": 100.25,
    "cpu": "cpu  1000 200 300 99999 55 10 20 7 400 0",
    "memory": {"MemTotal": "805306368 kB", "MemAvailable": "700000000 kB", "Cached": "1024 kB", "Dirty": "0 kB"},
    "engine_cpu_us": "2500000",
    "gpus": [LINE],
    "apps": [{"uuid": UUIDS[0], "pid": 42, "name": "llama-server", "cgroup": "0::/system.slice/glm.service/libpod-1.scope\n"}],
    "journal": ["prompt done"],
}  # fmt: skip  # as it is printed


def test_a_tick_becomes_a_reading_at_our_time() -> None:
    assert parse_tick(TICK, 1000.5) == Reading(
        at=1100.75,
        busy_s=15.3,
        engine_s=2.5,
        memory_bytes={"MemTotal": 768 * 2**30, "MemAvailable": 716_800_000_000, "Cached": 2**20, "Dirty": 0},
        gpus=(GpuReading(0, UUIDS[0], 30401.0, 28.0, 122.02, 1980.0, 38.0, ("power cap",)),),
        apps=(App(UUIDS[0], 42, "llama-server", "glm"),),
        journal=("prompt done",),
    )


def test_of_two_words_about_a_gpu_the_newer_counts() -> None:
    newer = LINE.replace("122.02", "310.00")
    assert [gpu.power_w for gpu in parse_tick(TICK | {"gpus": [LINE, newer]}, 0.0).gpus] == [310.0]


def test_what_nvidia_smi_says_instead_of_a_reading_is_kept() -> None:
    fault = "Unable to determine the device handle for GPU0000:01:00.0: GPU is lost."
    reading = parse_tick(TICK | {"gpus": [fault, ""]}, 0.0)
    assert (reading.gpus, reading.gpu_fault) == ((), fault)


def test_a_box_without_gpus_and_without_a_followed_service_is_read_too() -> None:
    reading = parse_tick(TICK | {"gpus": [], "apps": [], "engine_cpu_us": None, "journal": []}, 0.0)
    assert (reading.gpus, reading.engine_s) == ((), None)


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/glm.service/libpod-payload-0a1b\n", "glm"),
        ("0::/machine.slice/libpod-0a1b.scope\n", ""),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3"),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_a_process_belongs_to_the_service_around_its_container(cgroup: str, unit: str) -> None:
    assert unit_of(cgroup) == unit


@given(st.lists(st.integers(0, 10**9), min_size=8, max_size=12))
def test_busy_and_idle_time_add_up_to_all_time(ticks: list[int]) -> None:
    line = "cpu  " + " ".join(map(str, ticks))
    idle_iowait_steal = ticks[3] + ticks[4] + ticks[7]
    assert parse_busy_s(line) == pytest.approx((sum(ticks[:8]) - idle_iowait_steal) / 100)


@given(
    st.builds(
        a_reading,
        st.integers(0, 9),
        gpus=st.just((a_gpu(power_w=None, throttled_by=("power cap",)),)),
        journal=st.just(("x",)),
    )
)
def test_a_reading_survives_json(reading: Reading) -> None:
    assert Reading.of_dict(json.loads(json.dumps(reading.as_dict()))) == reading


def test_what_a_newer_gpubox_wrote_beside_is_left_out() -> None:
    assert Reading.of_dict(a_reading(0).as_dict() | {"fan_rpm": 900}) == a_reading(0)
