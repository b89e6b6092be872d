"""`gpubox bench 'glm-*' --host BOX`: which profiles a pattern stands for, and how they did beside what was published."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.bench.session import Watcher
    from gpubox.box import Box
    from gpubox.results.summary import Summary

_SIGNS = frozenset("*?[")


def chosen_profiles(words: Sequence[str], box: Box, variables: Mapping[str, Any], watcher: Watcher) -> list[str]:
    """Return the profiles that words stand for; a pattern, for those of the inventory that this box has and can hold.

    Args:
        words: names, files and patterns.
        box: where they are to be measured.
        variables: of it; `gpubox_profiles` lists what is deployed there.
        watcher: told of what a pattern leaves out, and why.

    Raises:
        GpuboxError: a pattern stands for no profile that could be measured.
    """
    from gpubox.errors import GpuboxError

    chosen: list[str] = []
    for word in words:
        if not _SIGNS & set(word) or "/" in word:
            chosen.append(word)
            continue
        found = _fitting(word, box, variables, watcher)
        if not found:
            remedy = f"list profiles in gpubox_profiles of {box.name}; `gpubox check` shows those of the inventory"
            raise GpuboxError(word, f"stands for no profile that {box.name} could serve", remedy)
        chosen += [name for name in found if name not in chosen]
    return chosen


def _fitting(pattern: str, box: Box, variables: Mapping[str, Any], watcher: Watcher) -> list[str]:
    from gpubox.box_fit import misfit
    from gpubox.profile_files import load_profile
    from gpubox.profiles_folder import profiles_folder

    fitting = []
    for name in sorted(file.stem for file in profiles_folder().glob("*.yml")):
        if not fnmatchcase(name, pattern):
            continue
        if name not in (variables.get("gpubox_profiles") or []):
            watcher.say(f"{name} is left out: it is not in gpubox_profiles of {box.name}")
        elif why := misfit(load_profile(name), box):
            watcher.say(f"{name} is left out: {why}")
        else:
            fitting.append(name)
    return fitting


def print_published(summaries: Sequence[Summary]) -> None:
    """Print what was measured with what somebody published of the same profile under it; nothing where nobody did."""
    from gpubox.cli.tables import print_table
    from gpubox.results.profile_table import HEADS, groups

    rows = [
        (group.name if index == 0 else "", *cells)
        for group in groups(summaries)
        if group.published
        for index, cells in enumerate([*(line.cells for line in group.lines), group.published])
    ]
    if rows:
        print("\nMeasured, and under it what was published:\n")
        print_table(("PROFILE", *(head.upper() for head in HEADS)), rows, numbers=range(2, 7))
