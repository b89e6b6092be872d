"""The commits of the engine between two of them, from a clone that is kept in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HASH = re.compile(r"[0-9a-f]{40}")
_FORMAT = "--format=%H%x1f%cs%x1f%s"
# A transfer that stands still for half a minute has broken.
_PATIENCE = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30")


@dataclass(frozen=True)
class Commit:
    """A commit: 40 hex digits, the date as YYYY-MM-DD, and the first line of its message."""

    hash: str
    date: str
    subject: str

    @property
    def short(self) -> str:
        """Nine digits."""
        return self.hash[:9]

    def __str__(self) -> str:
        return f"{self.short} ({self.date}) {self.subject}"


def commits_between(source: str, good: str, bad: str, cache: Path, say: Callable[[str], None]) -> list[Commit]:
    """Return the line of commits from `good` to `bad`, both included, oldest first; of merges the first parent's side.

    Args:
        source: URL of a git repository, or the path of a clone.
        good: a commit, as git takes it: a hash or its beginning, a tag, a branch.
        bad: one that has `good` among its ancestors.
        cache: folder where clones of URLs are kept.
        say: told what takes time.

    Raises:
        GpuboxError: no repository answers, it has no such commit, or one is not the other's ancestor.
    """
    if shutil.which("git") is None:
        raise GpuboxError("git", "is not installed", "install it on this machine, where the commits are read")
    with _clone(source, [good, bad], cache, say) as clone:
        first, last = (_resolve(clone, source, name) for name in (good, bad))
        if first == last:
            raise GpuboxError("--good and --bad", f"are the same commit ({first[:9]})", "name two of them")
        if not _is_ancestor(clone, first, last):
            swapped = _is_ancestor(clone, last, first)
            fault = f"{first[:9]} is no ancestor of {last[:9]}"
            remedy = "it is the other way round: swap them" if swapped else "name two commits of one branch"
            raise GpuboxError("--good and --bad", fault, remedy)
        line = _git(clone, "log", "-1", _FORMAT, first) + _git(
            clone, "log", "--first-parent", "--reverse", _FORMAT, f"{first}..{last}"
        )
    return [Commit(*words.split("\x1f", 2)) for words in line.splitlines()]


@contextmanager
def _clone(source: str, names: list[str], cache: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """Give the clone of a source, with what it has of some names; nobody else changes it meanwhile."""
    if "://" not in source and Path(source).is_dir():
        yield Path(source)
        return
    cache.mkdir(parents=True, exist_ok=True)
    clone = cache / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.git"
    with clone.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not clone.exists():
            say(f"reading the commits of {source}")
            _make(source, clone)
        elif not all(_HASH.fullmatch(name) and _known(clone, name) for name in names):
            say(f"asking {source} for new commits")
            _update(clone, source, names, say)
        yield clone


def _make(source: str, clone: Path) -> None:
    part = clone.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    # Commits alone: no file of any of them is wanted here.
    done = _run(*_PATIENCE, "clone", "--quiet", "--bare", "--filter=tree:0", source, str(part))
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise _unanswered(source, done.stderr)
    part.rename(clone)


def _update(clone: Path, source: str, names: list[str], say: Callable[[str], None]) -> None:
    words = ["fetch", "--quiet", "--prune", "--tags", "--force", "origin", "+refs/heads/*:refs/heads/*"]
    done = _run("-C", str(clone), *_PATIENCE, *words)
    if not done.returncode:
        return
    if not all(_known(clone, name) for name in names):
        raise _unanswered(source, done.stderr)
    say(f"{source} does not answer; going by what it had before")


def _unanswered(source: str, said: str) -> GpuboxError:
    lines = [line for line in said.strip().splitlines() if not line.startswith("warning:")]
    why = lines[-1].removeprefix("fatal: ") if lines else "git failed"
    remedy = "check the URL and the network, or name a clone on this machine with --source"
    return GpuboxError(source, f"no git repository answers ({why})", remedy)


def _resolve(clone: Path, source: str, name: str) -> str:
    done = _look_up(clone, name)
    if done.returncode:
        remedy = "is it of a fork? Name that with --source, or write more digits"
        raise GpuboxError(name, f"is no commit of {source}", remedy)
    return done.stdout.strip()


def _known(clone: Path, name: str) -> bool:
    return _look_up(clone, name).returncode == 0


def _look_up(clone: Path, name: str) -> subprocess.CompletedProcess[str]:
    return _run("-C", str(clone), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


def _is_ancestor(clone: Path, one: str, other: str) -> bool:
    return _run("-C", str(clone), "merge-base", "--is-ancestor", one, other).returncode == 0


def _git(clone: Path, *words: str) -> str:
    done = _run("-C", str(clone), *words)
    if done.returncode:
        remedy = "remove this folder; it is made again"
        raise GpuboxError(str(clone), f"git can't read it: {done.stderr.strip()}", remedy)
    return done.stdout


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    # What the clone lacks is not to be asked for one by one, and nobody is there to type a password.
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C.UTF-8"}
    argv = ["git", *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, errors="replace", check=False)
