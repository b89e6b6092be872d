"""The planner deals out layers to several devices as a real server did, buffer by buffer (`record_devices.py`)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpubox.gguf import read_header
from gpubox.placement import Machine, Model, place, read_flags, read_model
from gpubox.placement.sizes import GIB, MIB
from placement.glm_models import IK
from placement.small_models import write_small_model

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD = json.loads(Path(__file__).with_name("device_buffers.json").read_text(encoding="utf-8"))
PRINTED = 0.006  # MiB: the server prints two digits
PADDING = 0.04  # MiB: CUDA pads rows of quantised weights, these devices don't


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Model]:
    """Return a function that gives a small model by its name and how many layers it has more."""
    folder = tmp_path_factory.mktemp("models")
    return cache(lambda name, more: read_model(read_header(write_small_model(folder / f"{name}.gguf", name, more))))


@pytest.mark.parametrize("case", RECORD, ids=lambda case: f"{case['model']} {case['devices']} {case['flags']}")
def test_every_buffer_is_as_printed(case: dict[str, Any], deep: Callable[[str, int], Model]) -> None:
    model = deep(case["model"], case["more_layers"])
    flags = read_flags(case["flags"].replace("=GPU", "=CUDA").split(), IK)
    # The server took itself for one more device, without memory; it counts in how layers are dealt out.
    placement = place(model, flags, Machine((64 * GIB,) * case["devices"] + (0,), 64 * GIB))
    *gpus, none, host = placement.devices
    assert none.weights == none.kv == none.compute == 0
    for name, device in (*((f"GPU{number}", gpu) for number, gpu in enumerate(gpus)), ("CPU", host)):
        assert device.weights / MIB == pytest.approx(sum(case["buffer"][name]), abs=PADDING), name
        assert device.kv / MIB == pytest.approx(sum(case["KV buffer"][name]), abs=2 * PRINTED), name
        # With weights on the host a GPU would take part in large batches; these devices do not.
        if case["whole"]:
            compute = sum(case["compute buffer"][name])
            assert (device.compute + device.draft_compute) / MIB == pytest.approx(compute, abs=0.02), name
