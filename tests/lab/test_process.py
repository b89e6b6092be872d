"""Facts about telling one process from another that got its number."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from lab.process import Process


def test_a_process_is_alive_until_it_has_ended_even_if_nobody_waited_for_it() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process.of(child.pid)
        assert process.alive()
        assert not process.wait(0)
        process.send(signal.SIGKILL)
        assert process.wait(10)
        assert not process.alive()


def test_a_process_that_got_the_number_of_another_is_not_that_one() -> None:
    now = Process.of(os.getpid())
    before = Process(now.pid, now.started - 1)
    assert now.alive()
    assert not before.alive()
    before.send(signal.SIGKILL)  # or this test would not go on


def test_a_number_that_nobody_has_is_no_process() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with pytest.raises(ProcessLookupError):
        Process.of(child.pid)
