"""One switch at a time, and the second one is told whose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gpubox.errors import GpuboxError
from gpubox.switch_program.box import run
from gpubox.switch_program.lock import holder, only_one
from gpubox.switch_program.paths import Paths
from gpubox.switch_program.state import State, StateFile, Switch
from gpubox.switch_program.transaction import Options

if TYPE_CHECKING:
    from pathlib import Path

HOLDS = """
import pathlib, sys, time
from gpubox.switch_program.lock import only_one
with only_one(pathlib.Path(sys.argv[1]), "a switch to glm by ann"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with only_one(lock, "a switch to glm by ann"):
        with pytest.raises(GpuboxError) as caught, only_one(lock, "another"):
            pass
        assert str(caught.value) == (
            f"this box: a switch to glm by ann (pid {os.getpid()}) is under way; wait until it has ended, then ask again"
        )
        assert holder(lock) == f"a switch to glm by ann (pid {os.getpid()})"
    assert holder(lock) == ""
    with only_one(lock, "another"):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(lock)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert holder(lock) == f"a switch to glm by ann (pid {process.pid})"
        process.send_signal(signal.SIGKILL)
    assert holder(lock) == ""


@pytest.mark.parametrize(("last", "told"), [("1", False), ("0", True)])
def test_a_switch_that_another_one_ends_for_it_is_not_said_to_be_refused(
    tmp_path: Path, last: str, *, told: bool
) -> None:
    paths = Paths(tmp_path, tmp_path)
    StateFile(paths.state).write(State({}, Switch(last, "two", step="load")))
    with only_one(paths.lock, "a switch to one by ann"):
        assert not run(paths, Switch("1", "two"), Options())
    assert paths.events("1").exists() is told
