"""Propose where weights go so that the GPUs hold as many of their bytes as fit, and prove it with the planner.

Every GPU keeps a margin free. Layers keep the GPU that the engine gives them; routed experts that do not fit go to the
host, and a GPU with room to spare takes experts of other GPUs' layers. The proposal is only given when `place` says that
it fits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING

from gpubox.easing import easings
from gpubox.errors import GpuboxError
from gpubox.expert_groups import MATRICES, Expert, Group, groups_of
from gpubox.placement import Machine, place
from gpubox.placement.overrides import HOST
from gpubox.placement.placement import HOST_NAME
from gpubox.placement.sizes import MIB, gib_text
from gpubox.placement.weights import gpu_tensor_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.placement import Device, Flags, Model, Placement


@dataclass(frozen=True)
class Proposal:
    """A placement of weights.

    Attributes:
        groups: of experts, in the order in which they are to be written.
        placement: the proof.
        margin: bytes that each GPU keeps free.
        settings: options of `server` that were eased to make room, by field.
    """

    groups: tuple[Group, ...]
    placement: Placement
    margin: int
    settings: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def overrides(self) -> list[str]:
        """The groups as values of `-ot`, in order."""
        return [f"{group.pattern}={group.device}" for group in self.groups]


@dataclass(frozen=True)
class _Shortage:
    """Why there is no proposal: a device, what it needs, and what may be used of it; bytes."""

    device: str
    needed: int
    free: int
    spare: int
    """What the GPUs use for other than weights: as much could be given to experts at the very most."""


def fill(model: Model, flags: Flags, machine: Machine, margin: int) -> Proposal:
    """Return the placement that keeps the most weights of a model on the GPUs.

    Of a model with routed experts all layers go to GPUs, and as many expert matrices as there is room for; of another as
    many layers as fit. Where not even the rest of a model fits beside its KV cache and compute buffers, settings are
    eased step by step (see `gpubox.easing`), and at last layers stay on the host.

    Args:
        model: the model.
        flags: all other flags; overrides and `--n-cpu-moe` among them are replaced.
        machine: free memory.
        margin: bytes that each GPU keeps free.

    Raises:
        GpuboxError: there is no GPU, or the model is too large for GPUs and host together.
    """
    if not machine.gpus:
        raise GpuboxError("--fill", "there is no GPU to fill", "give --gpu SIZE, or --host BOX")
    mode = flags.split_mode if flags.split_mode == "none" else "layer"
    flags = replace(flags, overrides=(), n_cpu_moe=0, n_gpu_layers=model.n_layer + 1, split_mode=mode, fit=False)
    tight = replace(machine, gpus=tuple(max(free - margin, 0) for free in machine.gpus))
    shortage = None
    settings: dict[str, int | str] = {}
    for settings in easings(model, flags) if model.n_expert else ():
        eased = replace(flags, **settings)  # type: ignore[arg-type]  # fields of the same names
        found = _filled(model, eased, machine, tight, margin)
        if isinstance(found, Proposal):
            return replace(found, settings=settings)
        shortage = found
        if found.device == HOST_NAME and found.needed - found.free > found.spare:
            break
    else:
        eased = replace(flags, **settings)  # type: ignore[arg-type]  # likewise
        found = _most_layers(model, eased, machine, tight, margin)
        if isinstance(found, Proposal):
            return replace(found, settings={**settings, "n_gpu_layers": found.placement.flags.n_gpu_layers})
        shortage = found
    raise _too_large(model, shortage)


def _filled(model: Model, flags: Flags, machine: Machine, tight: Machine, margin: int) -> Proposal | _Shortage:
    """Return the proposal for the flags as they are, or what is missing."""
    bare = place(model, replace(flags, overrides=((r"_exps\.weight", "CPU"),)), machine)
    for device, room in zip(bare.devices, tight.gpus, strict=False):
        if device.total > room:
            return _shortage(bare, device, room)
    experts = _experts(model, flags, bare)
    # Copies of host experts pass through a compute buffer; none are needed once all are on GPUs.
    shortage = _shortage(bare, bare.host, bare.host.free or 0)
    for rooms in (_room_without_copies(model, flags, tight), _rooms(bare, tight)):
        found = _shrunk(model, flags, (machine, tight), experts, rooms, margin=margin)
        if isinstance(found, Proposal):
            return found
        shortage = found or shortage
    return shortage


def _most_layers(model: Model, flags: Flags, machine: Machine, tight: Machine, margin: int) -> Proposal | _Shortage:
    """Return the proposal with the most layers on GPUs, all routed experts on the host."""
    kinds = tuple(kind for kind in MATRICES if any(f"ffn_{kind}_exps.weight" in name for name in model.tensors))
    layers = tuple(layer for layer in range(model.n_layer) if model.expert_bytes(layer))
    groups = (Group("CPU", kinds, layers),) if layers else ()
    rules = tuple((group.pattern, group.device) for group in groups)

    def placed(count: int) -> Placement:
        return place(model, replace(flags, overrides=rules, n_gpu_layers=count), machine)

    def crowded(placement: Placement) -> _Shortage | None:
        for device, room in zip(placement.devices, tight.gpus, strict=False):
            if device.total > room:
                return _shortage(placement, device, room)
        return None

    low, high = 0, model.n_layer + 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if crowded(placed(middle)) else (middle, high)
    best = placed(low)
    if best.fits and not crowded(best):
        return Proposal(groups, best, margin)
    return crowded(best) or _shortage(best, best.host, best.host.free or 0)


def _shortage(placement: Placement, device: Device, free: int) -> _Shortage:
    spare = sum(gpu.kv + gpu.compute + gpu.draft_compute for gpu in placement.devices[:-1])
    return _Shortage(device.name, device.total, free, spare)


def _too_large(model: Model, shortage: _Shortage | None) -> GpuboxError:
    """Return the error that says what is missing and which size of the model would do."""
    assert shortage is not None
    if shortage.device != HOST_NAME:
        fault = f"{shortage.device} needs {shortage.needed / MIB:.0f} MiB of {shortage.free / MIB:.0f} with every layer on the host"
        return GpuboxError("--fill", fault, "lower --margin, or serve it without this GPU")
    missing = shortage.needed - shortage.free
    size = sum(tensor.nbytes for tensor in model.tensors.values())
    fault = (
        f"{gib_text(missing)} are missing even with the GPUs full: {shortage.device} needs {gib_text(shortage.needed)}"
    )
    fault += f" of {gib_text(shortage.free)}"
    weights = sum(prod(tensor.ne) for tensor in model.tensors.values())
    bits = (size - missing) * 8 / weights
    remedy = (
        f"take a quantisation of at most {gib_text(size - missing)}, {bits:.2f} bits a weight"
        f" (this one has {gib_text(size)}, {size * 8 / weights:.2f} bits)"
    )
    return GpuboxError("--fill", fault, remedy if size > missing else "add memory, or take a smaller model")


def _experts(model: Model, flags: Flags, bare: Placement) -> list[Expert]:
    """Return the expert matrices that are loaded, draft layers last: they are used least."""
    found = []
    for layer in range(model.n_layer):
        if model.is_draft(layer) and not flags.mtp:
            continue
        for kind in MATRICES:
            tensor = model.tensor(layer, f"ffn_{kind}_exps.weight")
            if tensor is not None:
                found.append(Expert(layer, kind, gpu_tensor_bytes(tensor), max(bare.layer_devices[layer], 0)))
    return sorted(found, key=lambda expert: (model.is_draft(expert.layer), expert.layer))


def _rooms(bare: Placement, tight: Machine) -> list[int]:
    return [room - device.total for device, room in zip(bare.devices, tight.gpus, strict=False)]


def _room_without_copies(model: Model, flags: Flags, tight: Machine) -> list[int]:
    """Return the room of each GPU when no expert is on the host, by the sums of a placement that has all on GPUs."""
    full = place(model, flags, tight)
    held = [0] * len(tight.gpus)
    for layer in range(model.n_layer):
        for name in model.layers[layer]:
            home = full.weights.homes.get(name, HOST)
            if "_exps.weight" in name and home != HOST:
                held[home] += gpu_tensor_bytes(model.tensors[name])
    return [room - device.total + own for room, device, own in zip(tight.gpus, full.devices, held, strict=False)]


def _shrunk(
    model: Model,
    flags: Flags,
    machines: tuple[Machine, Machine],
    experts: Sequence[Expert],
    rooms: Sequence[int],
    *,
    margin: int,
) -> Proposal | _Shortage | None:
    """Return the fullest proposal that the planner accepts, giving up room where its answer is larger than the sums.

    Where the host is too small, that is returned; None where no room given up is enough.
    """
    machine, tight = machines  # as it is, and with the margin taken off
    rooms = list(rooms)
    for _ in range(12):
        homes = _pack(experts, rooms)
        groups = groups_of(experts, homes)
        rules = tuple((group.pattern, group.device) for group in groups)
        result = place(model, replace(flags, overrides=rules), machine)
        over = [device.total - room for device, room in zip(result.devices, tight.gpus, strict=False)]
        if all(excess <= 0 for excess in over):
            fits = result.fits
            return Proposal(tuple(groups), result, margin) if fits else _shortage(result, result.host, machine.ram or 0)
        rooms = [room - max(excess, 0) for room, excess in zip(rooms, over, strict=True)]
    return None


def _pack(experts: Sequence[Expert], rooms: Sequence[int]) -> list[int]:
    """Return a device for each expert matrix: its layer's GPU while there is room, then any GPU, then the host."""
    left = list(rooms)
    homes = [HOST] * len(experts)
    for index, expert in enumerate(experts):
        if expert.size <= left[expert.home]:
            homes[index] = expert.home
            left[expert.home] -= expert.size
    for index, expert in enumerate(experts):
        if homes[index] == HOST:
            gpu = max(range(len(left)), key=left.__getitem__)
            if expert.size <= left[gpu]:
                homes[index] = gpu
                left[gpu] -= expert.size
    return homes
