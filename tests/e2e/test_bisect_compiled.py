"""The same with the real ik_llama.cpp: each image is compiled, and one commit makes every decode wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.bisecting import BisectingBox
from e2e.git_mirror import ik_llama_mirror, serve
from e2e.workshop import QUICK_BUILD, compiler_cache

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.git_mirror import GitMirror
    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.bisect, pytest.mark.timeout(3600)]

SLOW = 2
COMMITS = 5
WAIT_US = 3000  # a token of the tiny model takes less than one millisecond
PROFILE = """
model: {path: /srv/models/tiny.gguf}
gpus: none
server: {ctx_size: 2048, parallel: 1, threads: 1}
health: {start_timeout: 60, stop_timeout: 3}
"""
_DECODE = "int32_t llama_decode("


def _history(mirror: GitMirror, first: str) -> list[str]:
    """Commit notes, and once a wait in the engine's decode."""
    commits = [first]
    source = mirror.folder / "src" / "llama.cpp"
    for number in range(1, COMMITS):
        if number == SLOW:
            before, signature, after = source.read_text().partition(f"\n{_DECODE}")
            assert signature
            head, brace, body = after.partition("{")
            wait = f"\n    usleep({WAIT_US});"
            source.write_text("#include <unistd.h>\n" + before + signature + head + brace + wait + body)
        (mirror.folder / "NOTES").write_text(f"Step {number}\n")
        commits.append(mirror.commit(f"Step {number}"))
    return commits


def test_a_commit_that_makes_the_compiled_engine_wait_is_named(lab: Lab, tmp_path: Path) -> None:
    mirrors = tmp_path / "mirrors"
    mirror, first = ik_llama_mirror(mirrors / "ik_llama.cpp", lab.folder)
    (tmp_path / "operator").mkdir()
    with serve(mirrors) as url:
        box = BisectingBox(
            lab,
            tmp_path / "operator",
            mirror,
            _history(mirror, first),
            url,
            profile=PROFILE,
            cmake_flags=QUICK_BUILD,
        )
        with compiler_cache(lab, box.box):
            box.prepare()
            status, answer, told = box.answer(box.bisect("--json"), limit_s=3000)
        assert (status, answer["outcome"]) == (0, "found"), (answer, told)
        assert answer["first_slow"]["hash"] == box.commits[SLOW]
        assert answer["last_fast"]["hash"] == box.commits[SLOW - 1]
        assert (box.operator.serving(), box.left_over()) == (["other"], "")
        lab.remove(box.box)
