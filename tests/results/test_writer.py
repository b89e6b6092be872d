"""Whether the process that wrote a run still lives."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest

from gpubox.results.writer import this_process


def test_the_running_process_lives() -> None:
    assert this_process().lives(this_process()) is True


def test_a_process_that_ended_is_gone_even_before_its_parent_asks() -> None:
    here = this_process()
    process = subprocess.Popen(["sleep", "600"])
    born = (f"/proc/{process.pid}/stat", process.pid)
    with open(born[0], encoding="utf-8") as stat:  # noqa: PTH123 - /proc, read as proc(5) describes
        ticks = stat.read().rpartition(")")[2].split()[19]
    other = replace(here, pid=process.pid, born=ticks)
    assert other.lives(here) is True
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert other.lives(here) is False
    process.wait()
    assert other.lives(here) is False


@pytest.mark.parametrize(
    ("change", "lives"),
    [
        ({"born": "1"}, False),
        ({"boot": "another-boot pid:[4026531836]"}, False),
        ({"host": "another-box"}, None),
    ],
    ids=["the number was given to another process", "before a reboot", "on another machine"],
)
def test_a_process_elsewhere_or_in_the_past_is_told_apart(change: dict[str, str], lives: object) -> None:
    here = this_process()
    assert replace(here, **change).lives(here) is lives  # type: ignore[arg-type]  # pid is not among the changes


def test_a_process_in_another_container_of_the_same_boot_can_not_be_seen() -> None:
    here = this_process()
    inside = replace(here, boot=here.boot.partition(" ")[0] + " pid:[1]")
    assert inside.lives(here) is None


def test_without_proc_a_process_is_known_by_its_number() -> None:
    here = replace(this_process(), boot="", born="")
    assert here.lives(here) is True
    process = subprocess.Popen(["true"])
    process.wait()
    assert replace(here, pid=process.pid).lives(here) is False
