"""What of a profile is no longer as it was deployed."""

from __future__ import annotations

import hashlib
import re
import subprocess
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.switch_program import model_files, units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpubox.switch_program.profiles import BoxProfile

PODMAN_S = 30.0
MODEL = "--model"  # a unit's argv begins with it
SHOWN = 3  # options that are named
_OPTION = re.compile(r"-{1,2}[A-Za-z]")


def drift(profile: BoxProfile, sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield what is not as it was deployed, in words; nothing where all is.

    Args:
        profile: that is active.
        sizes: bytes of model files when they last served, by path.
    """
    try:
        written = hashlib.sha256(Path(profile.file).read_bytes()).hexdigest()
    except OSError as error:
        yield f"{profile.file} can't be read: {error.strerror}"
    else:
        if written != profile.file_sha256:
            yield f"{profile.file} was changed by hand; run playbooks/profiles.yml"
    wanted = _podman("image", "inspect", "--format", "{{.Id}}", profile.image)
    running = _podman("container", "inspect", "--format", "{{.Image}}", profile.name)
    if not wanted:
        yield f"the image {profile.image} is not on the box"
    elif running and running != wanted:
        yield f"{profile.name} runs image {running[:12]}, and {profile.image} is {wanted[:12]} now"
    yield from _other_argv(profile)
    for file in model_files.all_parts(profile.models):
        fault = _file_fault(file, sizes, profile.sha256.get(str(file), ""))
        if fault:
            yield fault


def argv_difference(unit: Sequence[str], running: Sequence[str]) -> str:
    """Return in what a running argv is not the unit's, as words that go after a name; empty where they are the same."""
    wanted, has = _options(unit), _options(running)
    lacking, more = [], []
    for tag, i, j, k, m in SequenceMatcher(None, wanted, has, autojunk=False).get_opcodes():
        if tag != "equal":
            lacking += wanted[i:j]
            more += has[k:m]
    if lacking and more:
        return f"runs with {_shown(more)}, and its unit has {_shown(lacking)}"
    if more:
        return f"runs with {_shown(more)}, which its unit has not"
    return f"runs without {_shown(lacking)}, which its unit has" if lacking else ""


def _other_argv(profile: BoxProfile) -> Iterator[str]:
    """Yield in what the argv of the server that runs is not its unit's; nothing where none runs."""
    servers = [
        words[words.index(MODEL) :] for words in map(_argv, units.processes(units.show(profile.unit))) if MODEL in words
    ]
    if servers and profile.argv not in servers:
        said = argv_difference(profile.argv, servers[0])
        yield f"{profile.name} {said}; systemctl restart {profile.name}, if its unit is right"


def _argv(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return []
    return text.split("\0")[:-1]


def _options(argv: Sequence[str]) -> list[str]:
    """Return an argv with each option and its values as one text."""
    found: list[str] = []
    for word in argv:
        if found and not _OPTION.match(word):
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


def _shown(options: Sequence[str]) -> str:
    more = f" and {len(options) - SHOWN} more" if len(options) > SHOWN else ""
    return " ".join(options[:SHOWN]) + more


def _file_fault(file: Path, sizes: Mapping[str, int], sha256: str) -> str:
    try:
        model_files.check(file, sizes)
    except GpuboxError as error:
        return f"{error.place}: {error.fault}; {error.remedy}"
    fault = model_files.identity_fault(file, sha256)
    return f"{file}: {fault}" if fault else ""


def _podman(*words: str) -> str:
    """Return what podman answers, without an algorithm's name before a hash; empty where it fails."""
    said = subprocess.run(["podman", *words], capture_output=True, text=True, timeout=PODMAN_S, check=False)
    return said.stdout.strip().rpartition(":")[2] if said.returncode == 0 else ""
