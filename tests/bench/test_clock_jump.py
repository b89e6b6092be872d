"""A clock that is set back by an hour while something is measured changes nothing of what is recorded."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cli.console import Console
from gpubox.results.store import Store
from standin.start import standin

SOURCE = Path(__file__).with_name("clock_jump.c")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="what sets the clock has to be compiled")


def test_a_clock_that_is_set_back_mixes_nothing(tmp_path: Path) -> None:
    library, jump = tmp_path / "clock_jump.so", tmp_path / "jump"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    console = Console(tmp_path)
    console.environment |= {"LD_PRELOAD": str(library), "CLOCK_JUMP": str(jump)}
    (tmp_path / "w.yml").write_text(
        "max_reps: 30\nmin_reps: 30\nmeasure: [{prompt: 64, generate: 16}, {prompt: 32, generate: 8}]\n"
    )
    with standin() as url:
        process = console.start("bench", "--endpoint", url, "--workload", "w.yml", "--db", "r.db", "--target", "0.01")
        assert process.stderr is not None
        for line in process.stderr:
            if "5 of 30" in line:
                break
        jump.touch()
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    told = subprocess.run(["date", "+%s"], env=console.environment, capture_output=True, text=True, check=True).stdout
    assert int(told) < time.time() - 59 * 60  # it was set
    with Store.open(str(tmp_path / "r.db")) as store:
        second, first = store.runs()
        assert [(run.workload.name, run.status) for run in (first, second)] == [
            ("pp64+tg16", "done"),
            ("pp32+tg8", "done"),
        ]
        moments = []
        for run in (first, second):
            samples = store.samples(run.id)
            assert [sample.kind for sample in samples] == ["warmup", *["measured"] * 30]
            moments += [run.started_at, *(sample.started_at for sample in samples)]
    read = [datetime.fromisoformat(moment) for moment in moments]
    assert read == sorted(read)
    assert read[-1] - read[0] < timedelta(minutes=5)
