"""The commits between two, read from a real git repository by URL, through a clone in the cache."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from e2e.git_mirror import GitMirror
from gpubox.bisect.history import Commit, commits_between
from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mirror(tmp_path: Path) -> GitMirror:
    return GitMirror(tmp_path / "engine")


def fill(mirror: GitMirror, *names: str) -> list[str]:
    commits = []
    for name in names:
        (mirror.folder / "file").write_text(name)
        commits.append(mirror.commit(name))
    return commits


def between(mirror: GitMirror, good: str, bad: str, said: list[str] | None = None) -> list[Commit]:
    said = [] if said is None else said
    return commits_between(f"file://{mirror.folder}", good, bad, mirror.folder.parent / "cache", said.append)


def git(mirror: GitMirror, *words: str) -> None:
    who = ["-c", "user.name=m", "-c", "user.email=m@localhost"]
    subprocess.run(["git", "-C", str(mirror.folder), *who, *words], check=True, capture_output=True)


def test_the_line_has_both_ends_oldest_first(mirror: GitMirror) -> None:
    one, two, three = fill(mirror, "one", "two: a subject", "three")
    assert between(mirror, one, three) == [
        Commit(one, "2026-01-01", "one"),
        Commit(two, "2026-01-01", "two: a subject"),
        Commit(three, "2026-01-01", "three"),
    ]
    assert str(between(mirror, one, two)[1]) == f"{two[:9]} (2026-01-01) two: a subject"


def test_of_a_merge_the_first_parents_side_counts(mirror: GitMirror) -> None:
    (one,) = fill(mirror, "one")
    git(mirror, "switch", "--quiet", "--create", "side")
    fill(mirror, "aside")
    git(mirror, "switch", "--quiet", "main")
    (mirror.folder / "other").write_text("x")
    two = mirror.commit("two")
    git(mirror, "merge", "--quiet", "--no-ff", "--message=merge", "side")
    assert [commit.subject for commit in between(mirror, one, "main")] == ["one", "two", "merge"]
    assert [commit.hash for commit in between(mirror, one, two)] == [one, two]


def test_the_clone_is_kept_and_asked_for_what_is_new(mirror: GitMirror) -> None:
    one, two = fill(mirror, "one", "two")
    said: list[str] = []
    between(mirror, one, two, said)
    url = f"file://{mirror.folder}"
    assert said == [f"reading the commits of {url}"]
    between(mirror, one, two, said)
    assert len(said) == 1  # both hashes are known
    (three,) = fill(mirror, "three")
    assert between(mirror, one, "main", said)[-1].hash == three
    assert said[1:] == [f"asking {url} for new commits"]


def test_without_the_repository_what_was_read_before_still_counts(mirror: GitMirror) -> None:
    one, two = fill(mirror, "one", "two")
    between(mirror, one, two)
    shutil.rmtree(mirror.folder)
    said: list[str] = []
    assert len(between(mirror, one[:9], "main", said)) == 2
    assert said[-1] == f"file://{mirror.folder} does not answer; going by what it had before"


def test_a_clone_on_this_machine_is_read_where_it_lies(mirror: GitMirror, tmp_path: Path) -> None:
    one, two = fill(mirror, "one", "two")
    assert len(commits_between(str(mirror.folder), one, two, tmp_path / "cache", print)) == 2
    assert not (tmp_path / "cache").exists()


def test_what_makes_no_sense_is_told_with_a_remedy(mirror: GitMirror) -> None:
    one, two = fill(mirror, "one", "two")
    url = f"file://{mirror.folder}"
    faults = {
        (two, one): f"--good and --bad: {two[:9]} is no ancestor of {one[:9]}; it is the other way round: swap them",
        (one, one[:12]): f"--good and --bad: are the same commit ({one[:9]}); name two of them",
        (
            one,
            "nothing",
        ): f"nothing: is no commit of {url}; is it of a fork? Name that with --source, or write more digits",
        (
            "--output=x",
            two,
        ): f"--output=x: is no commit of {url}; is it of a fork? Name that with --source, or write more digits",
    }
    for (good, bad), message in faults.items():
        with pytest.raises(GpuboxError) as error:
            between(mirror, good, bad)
        assert str(error.value) == message


def test_commits_of_two_branches_have_no_line(mirror: GitMirror) -> None:
    fill(mirror, "one")
    git(mirror, "switch", "--quiet", "--create", "side")
    (aside,) = fill(mirror, "aside")
    git(mirror, "switch", "--quiet", "main")
    (two,) = fill(mirror, "two")
    with pytest.raises(GpuboxError, match=r"is no ancestor of \w+; name two commits of one branch$"):
        between(mirror, aside, two)


def test_no_repository_is_told_with_what_git_says(tmp_path: Path) -> None:
    with pytest.raises(GpuboxError) as error:
        commits_between(f"file://{tmp_path}/none", "a", "b", tmp_path / "cache", print)
    assert str(error.value).startswith(f"file://{tmp_path}/none: no git repository answers (")
    assert list((tmp_path / "cache").glob("*.git")) == []
