"""Why a profile does not fit a box, as far as that can be told without asking it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.argv import server_argv
from gpubox.box_memory import machine_of
from gpubox.catalogue import Catalogue
from gpubox.errors import GpuboxError
from gpubox.model_source import find_header
from gpubox.placement import place, read_flags, read_model
from gpubox.placement.changes import nearest_changes
from gpubox.profile import IK_LLAMA_COMMIT

if TYPE_CHECKING:
    from gpubox.box import Box
    from gpubox.profile_files import LoadedProfile


def misfit(loaded: LoadedProfile, box: Box) -> str:
    """Return why a profile does not fit a box, with the nearest change that makes it fit.

    Returns:
        An empty string where it fits or may, or where that can't be told: the planner knows ik_llama.cpp alone, needs the box's
        `gpu_memory`, and the model's header on this machine or in a shipped outline.
    """
    profile = loaded.profile
    sizes = [size for size in box.gpu_memory.split(",") if size.strip()]
    if profile.engine.name != "ik_llama" or not (sizes or profile.gpus == "none"):
        return ""
    try:
        header = find_header(profile.model).header
    except GpuboxError:
        return ""
    machine = machine_of(None, profile.gpus, sizes=sizes, ram=box.ram or None, cores=box.cores or None)
    argv = server_argv(profile, name=loaded.name, model="model.gguf", host="127.0.0.1", port=profile.port)
    placement = place(read_model(header), read_flags(argv, Catalogue.load("ik_llama", IK_LLAMA_COMMIT)), machine)
    if placement.may_fit:
        return ""
    over = [f"{device.name} lacks {device.over / 2**20:.0f} MiB" for device in placement.devices if device.over]
    changes = [change.text for change in nearest_changes(placement)]
    remedy = f"it would with {changes[0]}" if changes else f"`gpubox plan {loaded.name} --fill` proposes a placement"
    return f"{', '.join(over)} by the plan; {remedy}"
