"""The commit that made a server slower is found on a box: images built, served, measured, whatever interrupts it."""

from __future__ import annotations

import signal
import time
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from e2e.bisecting import BisectingBox
from e2e.git_mirror import serve
from gpubox.results.store import Store
from gpubox.results.telemetry import readings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.bisect, pytest.mark.timeout(900)]

# Commit 2 does not build, commit 4 is the first slow one.
SPEEDS = [100, 101, 0, 99, 75, 76]


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BisectingBox]:
    mirrors = tmp_path_factory.mktemp("mirrors")
    with serve(mirrors) as url:
        made = BisectingBox(lab, tmp_path_factory.mktemp("operator"), mirrors, url, SPEEDS)
        yield made
        lab.remove(made.box)


def test_killed_and_begun_again_it_names_the_first_slow_commit_and_measures_nothing_twice(box: BisectingBox) -> None:
    before = box.deployed()
    process = box.bisect()
    told = box.await_line(process, r"^the bad end")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert "4 commits between" in told
    status, answer, told = box.answer(box.bisect("--json"))
    assert status == 0, (answer, told)
    assert answer["outcome"] == "found"
    assert answer["metric"] == "tg_tps"
    assert answer["first_slow"] == {"hash": box.commits[4], "date": "2026-01-01", "subject": "Step 4"}
    assert answer["last_fast"]["hash"] == box.commits[3]
    assert answer["step"]["percent"] == pytest.approx(100 * (75 / 99 - 1), abs=3)
    assert list(answer["unusable"]) == [box.commits[2]]
    assert "#error no such luck" in answer["unusable"][box.commits[2]]
    assert (box.operator.serving(), box.left_over(), box.deployed()) == (["other"], "", before)
    with Store.open(box.db) as store:
        runs = [store.run(run_id) for run_id in answer["runs"]]
        names = [run.profile for run in runs]
        # How often in a row depends on the noise of this machine.
        in_turn = [name for name, _ in groupby(names)]
        assert in_turn == [f"glm@{box.commits[at][:9]}" for at in (0, 5, 3, 4, 3, 4, 3, 4)], told
        assert len({(run.profile, run.batch, run.workload.seed) for run in runs}) == len(runs)
        assert [run.engine["commit"][:9] for run in runs] == [name.partition("@")[2] for name in names if name]
        assert len({run.engine["image_digest"] for run in runs}) == 4
        assert not any("holds memory" in flag for run in runs for flag in run.flags)
        # The telemetry follows the trial's service, not the profile's.
        assert all(any(reading.engine_s for reading in readings_of(store, run.id)) for run in runs)
        assert all(run.argv[-2:] == ("--override-kv", "a$b=%c") for run in runs)


def test_ctrl_c_takes_the_trial_away_and_puts_back_what_served(box: BisectingBox) -> None:
    process = box.bisect("--anew")
    box.await_line(process, r"^glm@\S+: pp\S+ +1 of")
    assert box.left_over() != ""
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert (process.returncode, box.operator.serving(), box.left_over()) == (130, ["other"], ""), told


def test_killed_while_it_measures_the_box_ends_the_trial_itself_and_restore_does_the_rest(box: BisectingBox) -> None:
    process = box.bisect("--anew")
    box.await_line(process, r"^glm@\S+: pp\S+ +1 of")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    end = time.monotonic() + 90
    while "bisect" in box.box.run("ls /run/systemd/system; cat /run/gpubox/switch.lock", check=False).stdout:
        assert time.monotonic() < end, box.left_over()
        time.sleep(0.5)
    assert box.operator.serving() == []
    process = box.start("bench", "--restore", "--db", box.db)
    _, told = process.communicate(timeout=120)
    assert (process.returncode, box.operator.serving(), box.left_over()) == (0, ["other"], ""), told
