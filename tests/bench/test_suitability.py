"""What is told before a box is measured: an image that is made for another GPU or CPU, and a driver that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gpubox.bench.suitability import driver_doubts, image_doubts
from gpubox.results.store import Store
from results.records import a_run

if TYPE_CHECKING:
    from pathlib import Path

GPU = {"index": 0, "name": "NVIDIA RTX PRO 6000", "compute_capability": "12.0"}
OLD = {"index": 1, "name": "NVIDIA L4", "compute_capability": "8.9"}


def facts(**more: Any) -> dict[str, Any]:
    return {
        "hostname": "box1",
        "gpus": [GPU, OLD],
        "cpu": "AMD EPYC 9175F 16-Core Processor",
        "driver": "580.95",
    } | more


@pytest.mark.parametrize(
    ("architectures", "fault"),
    [
        ("120a-real", ""),
        ("89-real;120a-real", ""),
        ("120", ""),
        ("120-virtual", "the driver has to compile its code for"),
        ("90-virtual", "the driver has to compile its code for"),
        ("90", "the driver has to compile its code for"),
        ("89-real;90a-real", "it has no code for"),
        ("121a-real", "it has no code for"),
        ("", ""),
    ],
)
def test_code_for_other_gpus_is_told(architectures: str, fault: str) -> None:
    built = architectures.replace(";", ", ")
    told = f"image: {fault} NVIDIA RTX PRO 6000 (compute capability 12.0); it is built for {built}"
    assert image_doubts({"gpubox.cuda-architectures": architectures}, facts(), {0}) == ([told] if fault else [])


def test_code_runs_on_later_gpus_of_the_same_generation_alone() -> None:
    assert image_doubts({"gpubox.cuda-architectures": "80-real"}, facts(), {1}) == []
    assert image_doubts({"gpubox.cuda-architectures": "90-real"}, facts(), {1}) != []


def test_code_for_another_cpu_is_told() -> None:
    labels = {"gpubox.native-cpu": "AMD Ryzen 9 7950X 16-Core Processor"}
    assert image_doubts(labels, facts(), set()) == [
        "image: compiled for another CPU (AMD Ryzen 9 7950X 16-Core Processor) than this (AMD EPYC 9175F 16-Core Processor)"
    ]
    assert image_doubts({"gpubox.native-cpu": "AMD EPYC 9175F 16-Core Processor"}, facts(), set()) == []


def test_another_driver_than_at_the_last_run_of_this_box_is_told(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "r.db")) as store:
        assert driver_doubts(store, "glm", facts()) == []
        for number, (host, driver) in enumerate([("box1", "575.51"), ("box1", "580.82"), ("box2", "580.95")]):
            store.start_run(a_run(f"run-{number}", host={"hostname": host, "driver": driver}))
            store.finish_run(f"run-{number}", "done")
        assert driver_doubts(store, "glm", facts()) == ["driver-changed: 580.82 in run run-1, 580.95 now"]
        assert driver_doubts(store, "glm", facts(driver="580.82")) == []
        assert driver_doubts(store, "other", facts()) == []
