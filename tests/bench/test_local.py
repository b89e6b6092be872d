"""Profiles served on this machine: which GPUs the server sees."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gpubox.bench.gpu_watch import GpuWatch
from gpubox.bench.local import visible_gpus
from gpubox.nvidia import parse_gpus
from results.records import a_sample

DATA = Path(__file__).parents[1] / "data" / "nvidia"
FOUR = parse_gpus((DATA / "four-h200-gpus.csv").read_text("utf-8"))
UUIDS = [gpu["uuid"] for gpu in FOUR]


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ([0, 1], f"{UUIDS[0]},{UUIDS[1]}"),
        ([3, UUIDS[1]], f"{UUIDS[3]},{UUIDS[1]}"),
        ("none", ""),
        ([7], "7"),  # CUDA says that it is not there
    ],
)
def test_cuda_sees_the_gpus_of_the_profile_in_its_order(wanted: Any, seen: str) -> None:  # a profile's
    assert visible_gpus(wanted, FOUR) == {"CUDA_VISIBLE_DEVICES": seen, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_all_gpus_need_no_word() -> None:
    assert visible_gpus("all", FOUR) == {}


def test_of_the_gpus_only_those_of_the_profile_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    lines = "\n".join(f"{gpu}, {UUIDS[gpu]}, 1024, 5, 100.0, 1980, 40, 0x0" for gpu in range(4))
    program.write_text(f"#!/bin/sh\nwhile :; do printf '{lines}\n'; sleep 0.02; done\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with GpuWatch(library="libnvidia-none.so.1", only={2, 3}) as watch:
        end = time.monotonic() + 10
        while len(seen := watch.seen(a_sample(e2e_ms=60_000.0)).extra.get("gpus", [])) < 2:
            assert time.monotonic() < end, f"only {seen} was seen"
            time.sleep(0.02)
    assert [gpu["index"] for gpu in seen] == [2, 3]
