"""The planner against a real GPU: buffers that servers printed on an H200, and what nvidia-smi showed.

The weights were made up (zeros, and random routers); their sizes, places and types are those of GLM-5.2 with fewer experts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpubox.gguf import read_header
from gpubox.placement import Machine, Model, Placement, place, read_flags, read_model
from gpubox.placement.sizes import MIB, mib
from placement.glm_models import IK, glm, with_fewer_experts

MEASURED = json.loads(Path(__file__).with_name("h200_buffers.json").read_text("utf-8"))
CASES = MEASURED["cases"]
EXPERTS = 32
each = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return GLM-5.2 with 32 of its 256 routed experts."""
    path = with_fewer_experts(tmp_path_factory.mktemp("model") / "fewer.gguf", EXPERTS)
    return read_model(read_header(path))


def planned(case: dict[str, Any], model: Model) -> Placement:
    return place(model, read_flags(case["argv"], IK), Machine((case["free_mib"] * MIB,), 128 << 30))


@each
def test_weights_are_those_that_the_server_printed_to_the_digit(case: dict[str, Any], model: Model) -> None:
    gpu, host = planned(case, model).devices
    printed = case["weights_mib"]
    assert [mib(gpu.weights), mib(host.weights)] == [printed["CUDA0"], printed.get("CUDA_Host", printed.get("CPU"))]


@each
def test_the_kv_cache_is_the_one_that_the_server_printed(case: dict[str, Any], model: Model) -> None:
    gpu, host = planned(case, model).devices
    # Each of two buffers is printed with its own rounding.
    assert mib(gpu.kv) == pytest.approx(sum(case["kv_mib"]["CUDA0"]), abs=0.011)
    assert mib(host.kv) == sum(case["kv_mib"]["CUDA_Host"])


@each
def test_compute_buffers_are_within_a_quarter_of_a_percent_of_what_the_server_printed(
    case: dict[str, Any], model: Model
) -> None:
    for device, printed in zip(planned(case, model).devices, case["compute_mib"].values(), strict=True):
        assert mib(device.compute + device.draft_compute) == pytest.approx(sum(printed), rel=0.0025)


@each
def test_the_gpu_is_as_full_as_nvidia_smi_showed_within_one_and_a_half_percent(
    case: dict[str, Any], model: Model
) -> None:
    gpu = planned(case, model).devices[0]
    assert mib(gpu.at_ready) == pytest.approx(case["used_at_ready_mib"], rel=0.015)
    assert mib(gpu.total) == pytest.approx(case["used_after_prompt_mib"], rel=0.015)


def test_the_weights_of_the_full_size_are_those_that_the_server_asked_the_gpu_for() -> None:
    full = MEASURED["full_size"]
    placement = place(glm("1.630bpw"), read_flags(full["argv"], IK), Machine((143155 * MIB,)))
    assert mib(placement.devices[0].weights) == full["cuda0_weights_mib"]
    assert not placement.fits


def test_a_context_of_a_million_tokens_takes_what_it_took_at_ready(model: Model) -> None:
    case = MEASURED["long_context"]
    gpu = planned(case, model).devices[0]
    assert [mib(gpu.weights), mib(gpu.kv)] == [case["weights_mib"], case["kv_mib"]]
    assert mib(gpu.compute) == pytest.approx(case["compute_mib"], rel=0.0025)
    assert mib(gpu.at_ready) == pytest.approx(case["used_at_ready_mib"], abs=5)
