"""What of a profile is no longer as it was deployed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.switch_program import model_files, units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpubox.switch_program.profiles import BoxProfile
    from gpubox.switch_program.units import UnitState

PODMAN_S = 30.0
MODEL = "--model"  # a unit's argv begins with it
SHOWN = 3  # options that are named
_OPTION = re.compile(r"-{1,2}[A-Za-z]")


def drift(profile: BoxProfile, state: UnitState, sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield what is not as it was deployed, in words; nothing where all is.

    Args:
        profile: that is active.
        state: of its service.
        sizes: bytes of model files when they last served, by path.
    """
    try:
        written = hashlib.sha256(Path(profile.file).read_bytes()).hexdigest()
    except OSError as error:
        yield f"{profile.file} can't be read: {error.strerror}"
    else:
        if written != profile.file_sha256:
            yield f"{profile.file} was changed by hand; run playbooks/profiles.yml"
    wanted, running = _images(profile)
    if not wanted:
        yield f"the image {profile.image} is not on the box"
    elif running and running != wanted:
        yield f"{profile.name} runs image {running[:12]}, and {profile.image} is {wanted[:12]} now"
    yield from _other_argv(profile, state)
    for file in model_files.all_parts(profile.models):
        fault = _file_fault(file, sizes, profile.sha256.get(str(file), ""))
        if fault:
            yield fault


def argv_difference(unit: Sequence[str], running: Sequence[str]) -> str:
    """Return in what a running argv is not the unit's, as words that go after a name; empty where they are the same."""
    from difflib import SequenceMatcher  # noqa: PLC0415  # mostly there is no difference

    wanted, has = _options(unit), _options(running)
    lacking, more = [], []
    for tag, i, j, k, m in SequenceMatcher(None, wanted, has, autojunk=False).get_opcodes():
        if tag != "equal":
            lacking += wanted[i:j]
            more += has[k:m]
    if lacking and sorted(lacking) == sorted(more):
        return f"runs with {_shown(more)} at another place than its unit has it"
    if lacking and more:
        return f"runs with {_shown(more)}, and its unit has {_shown(lacking)}"
    if more:
        return f"runs with {_shown(more)}, which its unit has not"
    return f"runs without {_shown(lacking)}, which its unit has" if lacking else ""


def _other_argv(profile: BoxProfile, state: UnitState) -> Iterator[str]:
    """Yield in what the argv of the server that runs is not its unit's; nothing where none runs."""
    servers = [words[words.index(MODEL) :] for words in map(_argv, units.processes(state)) if MODEL in words]
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


def _images(profile: BoxProfile) -> tuple[str, str]:
    """Return the id of a profile's image and of the one that its container runs; empty for what there is not."""
    # One process instead of two: each takes 50 ms of a core.
    asked = ["podman", "inspect", profile.image, profile.name]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=PODMAN_S, check=False).stdout
    try:
        found = json.loads(said)
    except ValueError:
        return "", ""
    images = [one["Id"] for one in found if "RootFS" in one]
    running = [one["Image"] for one in found if "State" in one and "Image" in one]
    return images[0] if images else "", running[0] if running else ""
