"""The memory that a profile may use on a box, and why the profile does not fit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.argv import server_argv
from gpubox.catalogue import Catalogue
from gpubox.errors import GpuboxError
from gpubox.model_source import find_header
from gpubox.placement import Machine, place, read_flags, read_model
from gpubox.placement.changes import nearest_changes
from gpubox.placement.sizes import parse_size
from gpubox.profile import IK_LLAMA_COMMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.box import Box
    from gpubox.profile import Profile
    from gpubox.profile_files import LoadedProfile


def machine_for(profile: Profile, free: Sequence[int], ram: int | None, cores: int | None) -> Machine:
    """Return the memory that a profile may use.

    Args:
        profile: whose GPUs count.
        free: memory of each GPU of the box, bytes; or of those alone that the profile uses.
        ram: of the host, bytes; None where it is not known.
        cores: physical cores; None where not known.

    Raises:
        GpuboxError: the profile uses a GPU that is not among them.
    """
    if profile.gpus == "none":
        used = []
    elif profile.gpus == "all":
        used = list(free)
    else:
        wanted = [gpu if isinstance(gpu, int) else position for position, gpu in enumerate(profile.gpus)]
        if len(free) == len(wanted):
            wanted = list(range(len(free)))
        missing = next((gpu for gpu in wanted if gpu >= len(free)), None)
        if missing is not None:
            fault = f"the profile uses GPU {missing}, and {len(free)} are given"
            raise GpuboxError("gpus", fault, "give more --gpu SIZE")
        used = [free[gpu] for gpu in wanted]
    return Machine(tuple(used), ram, cores, len(free))


def misfit(loaded: LoadedProfile, box: Box) -> str:
    """Return why a profile does not fit a box, with the nearest change that makes it fit.

    Returns:
        An empty string where it fits, or where that can't be told: the planner knows ik_llama.cpp alone, needs the box's
        `gpu_memory`, and the model's header on this machine or in a shipped outline.
    """
    profile = loaded.profile
    sizes = [parse_size(size, "gpubox_gpu_memory") for size in box.gpu_memory.split(",") if size.strip()]
    if profile.engine.name != "ik_llama" or not (sizes or profile.gpus == "none"):
        return ""
    try:
        header = find_header(profile.model).header
    except GpuboxError:
        return ""
    machine = machine_for(profile, sizes, parse_size(box.ram, "gpubox_ram") if box.ram else None, box.cores or None)
    argv = server_argv(profile, name=loaded.name, model="model.gguf", host="127.0.0.1", port=profile.port)
    placement = place(read_model(header), read_flags(argv, Catalogue.load("ik_llama", IK_LLAMA_COMMIT)), machine)
    over = [f"{device.name} lacks {device.over / 2**20:.0f} MiB" for device in placement.devices if device.over]
    if not over:
        return ""
    changes = [change.text for change in nearest_changes(placement)]
    remedy = f"it would with {changes[0]}" if changes else f"`gpubox plan {loaded.name} --fill` proposes a placement"
    return f"{', '.join(over)} by the plan; {remedy}"
