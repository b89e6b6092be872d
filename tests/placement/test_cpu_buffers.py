"""The planner gives the buffers that a real server of the CPU build printed for small models (`record_buffers.py`)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpubox.gguf import read_header
from gpubox.placement import Machine, Model, place, read_flags, read_model
from gpubox.placement.sizes import MIB
from placement.glm_models import IK
from placement.small_models import write_small_model

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD = json.loads(Path(__file__).with_name("cpu_buffers.json").read_text(encoding="utf-8"))
PRINTED = 0.006  # MiB: the server prints two digits


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """Return a function that gives a small model by its name."""
    folder = tmp_path_factory.mktemp("models")
    return cache(lambda name: read_model(read_header(write_small_model(folder / f"{name}.gguf", name))))


@pytest.mark.parametrize("case", RECORD, ids=lambda case: f"{case['model']} {case['flags']}")
def test_every_buffer_is_as_printed(case: dict[str, Any], small: Callable[[str], Model]) -> None:
    placement = place(small(case["model"]), read_flags(case["flags"].split(), IK), Machine(()))
    host = placement.host
    compute = [host.compute, host.draft_compute] if placement.mtp else [host.compute]
    assert host.weights / MIB == pytest.approx(sum(case["buffer"]), abs=PRINTED)
    assert host.kv / MIB == pytest.approx(sum(case["KV buffer"]), abs=2 * PRINTED)
    assert [size / MIB for size in compute] == pytest.approx(case["compute buffer"], abs=PRINTED)
    if not placement.mtp:  # with MTP the printed buffer is later replaced by one for a whole batch
        assert host.outputs / MIB == pytest.approx(sum(case["output buffer"]), abs=PRINTED)
