"""Rounds of one benchmark are one measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpubox.results.compare import compare
from gpubox.results.selection import select
from gpubox.results.store import Store
from results.records import a_run, a_sample, at, keep

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_measured_in_turns_is_compared_over_all_rounds_and_in_pairs(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "r.db")) as store:
        keep(store, a_run("r0", profile="plain", batch="b0"), [a_sample(0, tg=99.0)])
        for number, (profile, rate) in enumerate([("plain", 20.0), ("mtp", 22.0)] * 2):
            samples = [a_sample(i, tg=rate, started_at=at(600 * number + i)) for i in range(3)]
            keep(store, a_run(f"r{number + 1}", profile=profile, batch="b1"), samples)
        a, b = select(store, "plain"), select(store, "mtp@b1")
        assert [run.id for run in (*a.every, *b.every)] == ["r1", "r3", "r2", "r4"]
        (pair,) = compare(a, b, store.samples_of([run.id for run in (*a.every, *b.every)])).pairs
    assert pair.paired
    (row,) = (row for row in pair.rows if row.metric.key == "tg_tps")
    assert row.a
    assert row.b
    assert (row.a.n, row.b.n) == (6, 6)
    assert (row.a.mean, row.b.mean) == pytest.approx((20.0, 22.0))
