"""The commit that made a server slower is found on a box: images built, served, measured, whatever interrupts it."""

from __future__ import annotations

import signal
import time
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from e2e.bisecting import BisectingBox, history
from e2e.git_mirror import GitMirror, serve
from gpubox.results.store import Store
from gpubox.results.telemetry import readings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.bisect, pytest.mark.timeout(900)]

# Commit 3 does not build, 4 does not start, 2 dies while it is measured, and 6 is the first slow one.
SPEEDS: list[int | str] = [100, 101, "die", "build", "exit", 99, 75, 76]


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BisectingBox]:
    mirrors = tmp_path_factory.mktemp("mirrors")
    with serve(mirrors) as url:
        mirror = GitMirror(mirrors / "engine")
        made = BisectingBox(lab, tmp_path_factory.mktemp("operator"), mirror, history(mirror, SPEEDS), url)
        made.prepare()
        yield made
        lab.remove(made.box)


def test_killed_and_begun_again_it_names_the_first_slow_commit_and_measures_nothing_twice(box: BisectingBox) -> None:
    before = box.deployed()
    process = box.bisect()
    told = box.await_line(process, r"^the bad end")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert "6 commits between" in told
    status, answer, told = box.answer(box.bisect("--json"))
    assert status == 0, (answer, told)
    assert answer["outcome"] == "found"
    assert answer["metric"] == "tg_tps"
    assert answer["first_slow"] == {"hash": box.commits[6], "date": "2026-01-01", "subject": "Step 6"}
    assert answer["last_fast"]["hash"] == box.commits[5]
    assert answer["step"]["percent"] == pytest.approx(100 * (75 / 99 - 1), abs=3)
    assert list(answer["unusable"]) == box.commits[2:5]
    died, broken, exited = answer["unusable"].values()
    assert died.startswith("it ended with exit status 9")
    assert "#error no such luck" in broken
    assert "no CUDA-capable device is detected" in exited
    assert (box.operator.serving(), box.left_over(), box.deployed()) == (["other"], "", before)
    with Store.open(box.db) as store:
        runs = [store.run(run_id) for run_id in answer["runs"]]
        names = [run.profile for run in runs]
        # How often in a row depends on the noise of this machine.
        in_turn = [name for name, _ in groupby(names)]
        assert in_turn == [f"glm@{box.commits[at][:9]}" for at in (0, 7, 5, 6, 5, 6, 5, 6)], told
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


def test_a_box_whose_program_is_older_is_told_so_before_anything_stops(box: BisectingBox) -> None:
    program, real = "/usr/local/lib/gpubox/switch.pyz", "/root/switch.pyz"
    old = f"""import runpy, sys
if "trial" in sys.argv:
    sys.exit("switch.pyz: error: argument : invalid choice: 'trial' (choose from switch, run)")
sys.argv[0] = "{real}"
runpy.run_path("{real}", run_name="__main__")
"""
    box.box.run(f"mv {program} {real} && cat > {program}", stdin=old.encode())
    process = box.bisect("--anew")
    _, told = process.communicate(timeout=120)
    box.box.run(f"mv {real} {program}")
    fault = f"gpubox: {box.box.name}: its program is older than this gpubox; run playbooks/profiles.yml"
    assert (process.returncode, told.splitlines()[-1], box.operator.serving()) == (1, fault, ["other"])


def test_a_profile_that_was_changed_and_not_deployed_is_not_bisected(box: BisectingBox) -> None:
    file = box.folder / "profiles" / "glm.yml"
    text = file.read_text()
    file.write_text(text.replace("ctx_size: 2048", "ctx_size: 1024"))
    process = box.bisect("--anew")
    _, told = process.communicate(timeout=60)
    file.write_text(text)
    fault = f"gpubox: glm: what is deployed on {box.box.name} is not what the profile says; run playbooks/profiles.yml, then bisect"
    assert (process.returncode, told.splitlines()[-1], box.operator.serving()) == (1, fault, ["other"])


def test_a_cut_cable_delays_it_and_loses_nothing(box: BisectingBox) -> None:
    process = box.bisect("--anew")
    told = box.await_line(process, r"^glm@\S+: pp\S+ +1 of")
    box.box.cut_network()
    time.sleep(18)  # longer than a connection may be silent
    box.box.restore_network()
    told += box.await_line(process, r"the connection broke")
    told += box.await_line(process, r"^in between")
    process.send_signal(signal.SIGINT)
    _, more = process.communicate(timeout=120)
    assert (process.returncode, box.operator.serving(), box.left_over()) == (130, ["other"], ""), told + more
    with Store.open(box.db) as store:
        batch = store.runs(limit=1)[0].batch
        runs = [(run.profile, run.status) for run in reversed(store.runs(batch=batch))]
        assert runs[0] == (f"glm@{box.commits[0][:9]}", "failed")
        assert {profile for profile, status in runs if status == "done"} == {
            f"glm@{box.commits[at][:9]}" for at in (0, 7)
        }
