"""What was asked for and what was read of a box are kept beside the runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.test_plan import PLAN
from gpubox.errors import UnknownRunError
from gpubox.results.batches import add_batch, batch_to_resume
from gpubox.results.store import Store
from gpubox.results.telemetry import add_readings, readings_of
from results.records import a_run
from telemetry.ticks import a_reading, seconds

if TYPE_CHECKING:
    from pathlib import Path


def test_the_newest_batch_of_a_box_is_resumed_or_the_one_that_is_named(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "r.db")) as store:
        for batch, box in (("2026-1", "box"), ("2026-2", "box"), ("2026-3", "other")):
            add_batch(store, replace(PLAN, batch=batch, box=box))
        assert batch_to_resume(store, "box") == replace(PLAN, batch="2026-2")
        assert batch_to_resume(store, "box", "2026-1") == replace(PLAN, batch="2026-1")
        with pytest.raises(UnknownRunError) as error:
            batch_to_resume(store, "third")
        assert str(error.value) == (
            f"--resume: no benchmark of third in {store.place}; begin one: gpubox bench PROFILE --host third"
        )


def test_readings_are_kept_with_their_run_in_the_order_of_time(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "r.db")) as store:
        for run_id in ("r1", "r2"):
            store.start_run(a_run(run_id))
        add_readings(store, "r1", seconds(5)[2:])
        add_readings(store, "r1", seconds(2))
        add_readings(store, "r2", [a_reading(9, gpu_fault="GPU is lost", gpus=())])
        add_readings(store, "r2", [])
        assert readings_of(store, "r1") == seconds(5)
        assert readings_of(store, "r2") == [a_reading(9, gpu_fault="GPU is lost", gpus=())]
