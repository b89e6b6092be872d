"""What a switch asks before its modules are imported."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from gpubox.switch_program.questions import (
    answer,
    begin_questions,
    dry_run_question,
    forget_questions,
    image_question,
    smi_question,
)
from gpubox.switch_program.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROFILE = {"name": "two", "image": "engine:1", "file": "/etc/two.service", "gpus": [0]}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is first on PATH, with a podman and an nvidia-smi that count how often they are called."""
    for name in ("podman", "nvidia-smi"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho call >> {tmp_path}/{name}.calls\nwc -l < {tmp_path}/{name}.calls\n")
        program.chmod(0o755)
    profiles = tmp_path / "profiles.json"
    profiles.write_text(json.dumps({"profiles": [PROFILE]}))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("gpubox.switch_program.questions.PROFILES", str(profiles))
    yield tmp_path
    forget_questions()


def said(argv: list[str]) -> str:
    """What a command printed."""
    return answer(argv, 10).stdout.strip()


def test_what_was_begun_is_not_asked_again_but_counts_once(box: Path) -> None:
    begin_questions("two")
    assert [said(image_question("engine:1")) for _ in range(2)] == ["1", "2"]
    assert said(image_question("engine:2")) == "3"  # another question
    assert said(smi_question("--other")) in {"1", "2", "3"}
    assert (box / "podman.calls").read_text().count("call") == 3


def test_what_is_forgotten_is_asked_again(box: Path) -> None:
    begin_questions("two")
    forget_questions()
    (box / "podman.calls").write_text("before\n")
    assert said(image_question("engine:1")) == "2"


def test_nothing_is_begun_for_what_is_not_known_and_without_the_programs(box: Path) -> None:
    begin_questions("three")
    assert not (box / "podman.calls").exists()
    (box / "podman").unlink()
    (box / "nvidia-smi").unlink()
    begin_questions("two")
    with pytest.raises(FileNotFoundError):
        answer(["/nowhere/podman"], 10)
    (box / "profiles.json").write_text("{")
    begin_questions("two")


def test_a_question_without_an_answer_ends_with_its_limit() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        answer(["sleep", "60"], 0.1)


def test_only_a_quadlet_is_tried_with_podman() -> None:
    assert dry_run_question("/etc/systemd/system/two.service") == []


def test_of_several_the_first_error_is_raised_when_all_have_ended() -> None:
    ended: list[str] = []

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        together(fail, lambda: ended.append("other"))
    assert (ended, together(lambda: 1, lambda: 2)) == (["other"], [1, 2])
