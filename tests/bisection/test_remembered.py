"""A bisection that was interrupted is known by its question; anything else begins anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.bisect.remembered import Remembered, RememberedFile, begin_or_go_on
from gpubox.record import Workload

if TYPE_CHECKING:
    from pathlib import Path

WANTED = Remembered("box", "glm", "h1", ["a" * 40, "b" * 40], Workload("pp64+tg32", 64, 32), "b1", "b1t")


def test_the_same_question_goes_on_with_what_was_left_out(tmp_path: Path) -> None:
    file = RememberedFile("box", "glm", tmp_path)
    begun, before = begin_or_go_on(file, WANTED, anew=False)
    assert before is None
    begun.unusable["a" * 40] = "does not build"
    file.write(begun)
    again = replace(WANTED, batch="b2", turns="b2t", unusable={})
    assert begin_or_go_on(file, again, anew=False) == (begun, begun)
    assert begin_or_go_on(file, again, anew=True) == (again, begun)
    assert file.read() == again
    file.remove()
    assert file.read() is None


def test_another_question_begins_anew(tmp_path: Path) -> None:
    file = RememberedFile("box", "glm", tmp_path)
    begin_or_go_on(file, WANTED, anew=False)
    for other in (
        replace(WANTED, profile_hash="h2"),
        replace(WANTED, line=["a" * 40, "c" * 40]),
        replace(WANTED, workload=Workload("pp128+tg32", 128, 32)),
    ):
        assert begin_or_go_on(file, other, anew=False)[0] == other


def test_a_file_that_is_damaged_or_newer_counts_for_nothing(tmp_path: Path) -> None:
    file = RememberedFile("box", "glm", tmp_path)
    for text in ("", "{", '{"version": 2}', '{"version": 1, "box": "box"}', "[]"):
        file.path.write_text(text)
        assert file.read() is None
