"""Ctrl-C ends a benchmark also where something swallowed the KeyboardInterrupt."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gpubox import interruption
from gpubox.bench.session import Subject, bench
from gpubox.endpoint import Endpoint
from gpubox.record import Workload
from gpubox.results.store import Store
from standin.start import standin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpubox.record import Run, Sample


class SwallowingWatcher:
    """Presses Ctrl-C once, in the middle of what swallows every exception."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def sample(self, run: Run, sample: Sample) -> None:
        """Press it with the second sample."""
        del run
        if sample.index == 1:
            with suppress(BaseException):  # as paramiko does
                os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def listening() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interruption.listen()
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_a_swallowed_interrupt_ends_the_run_after_the_sample(tmp_path: Path) -> None:
    workload = Workload("pp32+tg8", n_prompt=32, n_gen=8, min_reps=5, max_reps=5)
    with standin() as url, Store.open(str(tmp_path / "r.db")) as store, Endpoint(url) as endpoint:
        with pytest.raises(KeyboardInterrupt):
            bench(store, endpoint, [workload], Subject(), batch="b", watcher=SwallowingWatcher())
        (run,) = store.runs()
        assert (run.status, run.reason) == ("interrupted", "interrupted by the user")
        assert [sample.index for sample in store.samples(run.id)] == [0, 1]
    interruption.check()  # told once


def test_where_ctrl_c_is_ignored_it_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption.listen()
    assert signal.signal(signal.SIGINT, before) is signal.SIG_IGN
