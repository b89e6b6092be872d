"""The planner against several real GPUs: buffers that servers printed on two and four H200s, and what nvidia-smi showed.

The weights were made up (zeros, and random routers); their sizes, places and types are those of GLM-5.2, whole or with fewer
experts.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpubox.gguf import read_header
from gpubox.lint import lint
from gpubox.placement import Machine, Model, Placement, place, read_flags, read_model
from gpubox.placement.sizes import MIB, mib
from placement.glm_models import IK, glm, with_fewer_experts

if TYPE_CHECKING:
    from collections.abc import Callable

MEASURED = json.loads(Path(__file__).with_name("several_h200_buffers.json").read_text("utf-8"))
CASES = MEASURED["cases"]
each = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Model]:
    """Return a function that gives GLM-5.2 with so many routed experts."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def of(count: int) -> Model:
        if count == 256:
            return glm("1.630bpw")
        return read_model(read_header(with_fewer_experts(folder / f"{count}.gguf", count)))

    return of


def planned(case: dict[str, Any], model: Callable[[int], Model]) -> Placement:
    machine = Machine((MEASURED["free_mib"] * MIB,) * case["gpus"], 512 << 30, nvlink=case["nvlink"])
    return place(model(case["experts"]), read_flags(case["argv"], IK), machine)


def printed(case: dict[str, Any], kind: str, name: str) -> float:
    value = case[kind].get(name, 0.0)
    return sum(value) if isinstance(value, list) else value


@each
def test_weights_are_those_that_the_server_printed_to_the_digit(
    case: dict[str, Any], model: Callable[[int], Model]
) -> None:
    *gpus, host = planned(case, model).devices
    assert mib(host.weights) == printed(case, "weights_mib", "CUDA_Host")
    if "CUDA_Split" in case["weights_mib"]:  # what is spread is printed as one buffer
        weights = sum(printed(case, "weights_mib", name) for name in ("CUDA_Split", "CUDA0", "CUDA1"))
        assert mib(sum(gpu.weights for gpu in gpus)) == pytest.approx(weights, rel=2e-5)
    else:
        assert [mib(gpu.weights) for gpu in gpus] == [printed(case, "weights_mib", gpu.name) for gpu in gpus]


@each
def test_the_kv_cache_is_the_one_that_the_server_printed(case: dict[str, Any], model: Callable[[int], Model]) -> None:
    *gpus, host = planned(case, model).devices
    assert mib(host.kv) == pytest.approx(printed(case, "kv_mib", "CUDA_Host"), abs=0.011)
    spread = printed(case, "kv_mib", "CUDA_Split")
    for gpu in gpus:
        own = spread / len(gpus) + printed(case, "kv_mib", gpu.name)
        assert mib(gpu.kv) == pytest.approx(own, rel=5e-5 if spread else 0, abs=0.011)


@each
def test_compute_buffers_are_within_one_percent_of_what_the_server_printed(
    case: dict[str, Any], model: Callable[[int], Model]
) -> None:
    for device in planned(case, model).devices:
        own = printed(case, "compute_mib", device.name)
        assert mib(device.compute + device.draft_compute) == pytest.approx(own, rel=0.01)


@each
def test_gpus_are_as_full_as_nvidia_smi_showed_within_one_and_a_half_percent(
    case: dict[str, Any], model: Callable[[int], Model]
) -> None:
    gpus = planned(case, model).devices[:-1]
    for gpu, ready, after in zip(gpus, case["used_at_ready_mib"], case["used_after_prompt_mib"], strict=True):
        assert mib(gpu.at_ready) == pytest.approx(ready, rel=0.015)
        assert mib(gpu.total) == pytest.approx(after, rel=0.015)


@pytest.mark.parametrize("case", MEASURED["aborted"], ids=[case["name"] for case in MEASURED["aborted"]])
def test_split_mode_none_leaves_its_small_tensors_and_cache_behind_and_is_said_to_abort(
    case: dict[str, Any], model: Callable[[int], Model]
) -> None:
    placement = planned(case, model)
    for gpu in placement.devices[:-1]:
        assert mib(gpu.weights) == pytest.approx(printed(case, "weights_mib", gpu.name), abs=0.011)
    main = placement.flags.main_gpu
    other = placement.devices[1 - main]
    assert mib(other.kv) == printed(case, "kv_mib", other.name)
    found = [finding for finding in lint(IK, case["argv"], placement) if "aborts in its warm-up" in finding.what]
    assert [finding.level for finding in found] == ["error"]


def test_what_is_missing_within_the_plans_error_may_fit(model: Callable[[int], Model]) -> None:
    case = next(case for case in CASES if case["name"] == "mtp")
    flags = read_flags(case["argv"], IK)
    after = max(case["used_after_prompt_mib"])

    def on(free_mib: float) -> Placement:
        return place(model(256), flags, Machine((int(free_mib * MIB),) * 2, 512 << 30, nvlink=True))

    assert on(after * 1.001).fits
    assert [on(after * 0.995).fits, on(after * 0.995).may_fit] == [False, True]
    assert not on(after * 0.98).may_fit
    assert not on(case["used_at_ready_mib"][1] - 100).may_fit  # it would not even start
