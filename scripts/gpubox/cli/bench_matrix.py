"""`gpubox bench --matrix FILE`: which derived profiles are measured, and how they come into the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gpubox.bench.session import Watcher
    from gpubox.box import Box


def fitting_profiles(file: Path, box: Box, watcher: Watcher, *, write: bool) -> list[str]:
    """Return the names of a matrix's profiles that the planner does not say won't fit the box; the others are told.

    Args:
        file: the matrix.
        box: where they are to be measured.
        watcher: told of what is left out.
        write: write them into the inventory; otherwise they have to be there as the matrix says.

    Raises:
        DocumentError: the matrix or one of its profiles is faulty, or in the way of somebody's own file.
        GpuboxError: none fits, or some are not in the inventory.
    """
    from gpubox.box_fit import misfit
    from gpubox.errors import GpuboxError
    from gpubox.matrix import load_derived, read_matrix, write_derived
    from gpubox.profile_files import load_profile
    from gpubox.profiles_folder import profiles_folder

    derived = read_matrix(file)
    loaded = load_derived(derived)
    if len(loaded) < len(derived):
        watcher.say(f"{len(derived) - len(loaded)} of {len(derived)} combinations are the same as others")
    fitting = []
    for one in loaded:
        if why := misfit(one, box):
            watcher.say(f"{one.name} is left out: {why}")
        else:
            fitting.append(one)
    if not fitting:
        raise GpuboxError(str(file), f"none of its profiles fits {box.name}", "see gpubox plan")
    names = [one.name for one in fitting]
    folder = profiles_folder()
    if write:
        write_derived([one for one in derived if one.name in names], folder)
        return names
    missing = [
        one.name
        for one in fitting
        if not (folder / f"{one.name}.yml").exists() or load_profile(one.name).hash != one.hash
    ]
    if missing:
        fault = f"{len(missing)} of its {len(fitting)} profiles are not in the inventory, or are others there"
        raise GpuboxError(str(file), fault, "write them: add --write")
    return names


def print_next_steps(names: list[str], box: str) -> None:
    """Print what is to be done with profiles that were written."""
    print(f"# {len(names)} profiles were written. List them for {box} in the inventory, then run")
    print(f"# playbooks/profiles.yml and the same command without --write.\ngpubox_profiles:\n{_listed(names)}")


def _listed(names: list[str]) -> str:
    return "\n".join(f"  - {name}" for name in names)
