"""The command that starts a switch."""

from __future__ import annotations

import re

from gpubox.switch_program.launch import launch_command, new_identity


def test_systemd_puts_no_variable_into_what_was_asked_for() -> None:
    argv = launch_command("x1", ["two", "--by=$USER@desk"])
    assert argv[-3:] == ["two", "--by=$$USER@desk", "--id=x1"]
    assert "--unit=gpubox-switch-x1.service" in argv


def test_names_of_switches_sort_by_time_and_differ() -> None:
    names = [new_identity() for _ in range(20)]
    assert len(set(names)) == 20
    assert all(re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{6}", name) for name in names)
