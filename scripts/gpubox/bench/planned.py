"""What the plan says of a profile on the GPUs that serve it, to be kept beside what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpubox.argv import server_argv
from gpubox.box_memory import nvlinked
from gpubox.catalogue import Catalogue
from gpubox.errors import GpuboxError
from gpubox.model_source import find_header
from gpubox.placement import Machine, place, read_flags, read_model
from gpubox.placement.sizes import MIB
from gpubox.profile import IK_LLAMA_COMMIT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpubox.profile_files import LoadedProfile


def planned_mib(loaded: LoadedProfile, model: Path | None, facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the memory that a profile takes of each device, MiB; empty where it can't be planned.

    Args:
        loaded: the profile; the plan knows ik_llama.cpp only.
        model: the file that is served, where it is on this machine; None to look for the profile's.
        facts: of the machine that serves, as `host_facts` tells them; a GPU counts as empty before the server starts.
    """
    gpus = _used(loaded, facts.get("gpus") or [])
    if not gpus or loaded.profile.engine.name != "ik_llama":
        return {}
    try:
        argv = server_argv(loaded.profile, name=loaded.name, model=str(model or "model.gguf"), host="127.0.0.1", port=1)
        flags = read_flags(argv, Catalogue.load("ik_llama", IK_LLAMA_COMMIT))
        header = find_header(loaded.profile.model, str(model) if model else None).header
        linked = nvlinked([gpu.get("name") or "" for gpu in facts["gpus"]])
        machine = Machine(
            tuple(gpus), facts.get("ram_bytes"), facts.get("cores"), len(facts["gpus"]), whole=True, nvlink=linked
        )
        placement = place(read_model(header), flags, machine)
    except GpuboxError:  # a model that the planner does not know is measured all the same
        return {}
    return {device.name: round(device.total / MIB, 1) for device in placement.devices}


def _used(loaded: LoadedProfile, gpus: list[dict[str, Any]]) -> list[int]:
    """Return the memory of the GPUs that the profile uses, bytes, in its order; empty where one is not known."""
    wanted = loaded.profile.gpus
    if wanted == "none":
        return []
    if wanted == "all":
        wanted = [gpu["index"] for gpu in gpus]
    used = [gpu["memory_bytes"] for each in wanted for gpu in gpus if each in {gpu["index"], gpu["uuid"]}]
    return used if None not in used and len(used) == len(wanted) else []
