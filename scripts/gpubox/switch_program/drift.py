"""What of a profile is no longer as it was deployed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.switch_program import model_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpubox.switch_program.profiles import BoxProfile

PODMAN_S = 30.0


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
    for file in model_files.all_parts(profile.models):
        fault = _file_fault(file, sizes)
        if fault:
            yield fault


def _file_fault(file: Path, sizes: Mapping[str, int]) -> str:
    try:
        model_files.check(file, sizes)
    except GpuboxError as error:
        return f"{error.place}: {error.fault}"
    return ""


def _podman(*words: str) -> str:
    """Return what podman answers, without an algorithm's name before a hash; empty where it fails."""
    said = subprocess.run(["podman", *words], capture_output=True, text=True, timeout=PODMAN_S, check=False)
    return said.stdout.strip().rpartition(":")[2] if said.returncode == 0 else ""
