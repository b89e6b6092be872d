"""All profiles of one box together: which exclude each other, and which may serve at the same time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError, nearest
from gpubox.profile_deployment import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.box import Box
    from gpubox.deployment import Deployment
    from gpubox.profile import Profile
    from gpubox.profile_files import LoadedProfile


def deploy_all(loaded: Sequence[LoadedProfile], box: Box, active: Sequence[str] = ()) -> list[Deployment]:
    """Return the deployments of a box's profiles, each in conflict with those that need its GPU or port.

    Args:
        loaded: every profile of the box.
        box: the box.
        active: names of the profiles that are to serve there. None starts with the box by its unit: the box's own
            program starts those that were switched to last (`gpubox.switch_program`).

    Raises:
        GpuboxError: an active profile is none of the box's, or two active ones exclude each other.
    """
    names = [one.name for one in loaded]
    for name in active:
        if name not in names:
            remedy = nearest(name, names) or "add it to the box's profiles"
            raise GpuboxError(box.name, f"the active profile {name} is none of its profiles", remedy)
    deployments = []
    for one in loaded:
        rivals = [other for other in loaded if other is not one and exclude(one.profile, other.profile)]
        for rival in rivals:
            if one.name in active and rival.name in active:
                fault = f"the active profiles {one.name} and {rival.name} need {_shared(one.profile, rival.profile)}"
                raise GpuboxError(box.name, fault, "mark one of them active, or give them GPUs and ports of their own")
        conflicts = tuple(f"{rival.name}.service" for rival in rivals)
        deployments.append(replace(deploy(one, box), conflicts=conflicts))
    return deployments


def exclude(one: Profile, other: Profile) -> bool:
    """Return whether two profiles can't serve side by side: they need the same port, or may need the same GPU.

    An index and a UUID can name the same GPU, so they count as overlapping.
    """
    return one.port == other.port or _gpus_overlap(one, other)


def _gpus_overlap(one: Profile, other: Profile) -> bool:
    if "none" in (one.gpus, other.gpus):
        return False
    if "all" in (one.gpus, other.gpus):
        return True
    mine, theirs = set(one.gpus), set(other.gpus)
    kinds = {type(gpu) for gpu in mine | theirs}
    return len(kinds) > 1 or bool(mine & theirs)


def _shared(one: Profile, other: Profile) -> str:
    return f"port {one.port}" if one.port == other.port else "the same GPU"
