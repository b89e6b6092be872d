"""Propose where routed experts go so that the GPUs hold as many of their bytes as fit, and prove it with the planner.

Every GPU keeps a margin free. Layers keep the GPU that the engine gives them; what does not fit goes to the host, and a
GPU with room to spare takes experts of other GPUs' layers. The proposal is only given when `place` says that it fits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.placement import Machine, place
from gpubox.placement.overrides import HOST
from gpubox.placement.sizes import MIB
from gpubox.placement.weights import gpu_tensor_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.placement import Flags, Model, Placement

MATRICES = ("gate", "up", "down", "gate_up")


@dataclass(frozen=True)
class Group:
    """Expert matrices of one kind on one device.

    Attributes:
        device: `CPU`, `CUDA0`, …
        tensors: `gate`, `up` and `down`, or some of them; `gate_up` where the file has them merged.
        layers: their layers.
    """

    device: str
    tensors: tuple[str, ...]
    layers: tuple[int, ...]

    @property
    def pattern(self) -> str:
        """The group as a rule of `-ot`."""
        numbers = "|".join(map(str, self.layers))
        return rf"blk\.({numbers})\.ffn_({'|'.join(self.tensors)})_exps\.weight"

    def words(self) -> dict[str, object]:
        """Return the group as an entry of a profile's `experts`."""
        entry: dict[str, object] = {"layers": ranges(self.layers), "device": self.device}
        named = [
            name
            for name in ("gate", "up", "down")
            if name in self.tensors or (name != "down" and "gate_up" in self.tensors)
        ]
        if len(named) < 3:
            entry["tensors"] = named
        return entry


@dataclass(frozen=True)
class Proposal:
    """A placement of experts.

    Attributes:
        groups: in the order in which they are to be written.
        placement: the proof.
        margin: bytes that each GPU keeps free.
    """

    groups: tuple[Group, ...]
    placement: Placement
    margin: int

    @property
    def overrides(self) -> list[str]:
        """The groups as values of `-ot`, in order."""
        return [f"{group.pattern}={group.device}" for group in self.groups]


@dataclass(frozen=True)
class _Expert:
    """One expert matrix: its layer, its kind, its bytes in a CUDA buffer, and the GPU of its layer."""

    layer: int
    kind: str
    size: int
    home: int


def fill(model: Model, flags: Flags, machine: Machine, margin: int) -> Proposal:
    """Return the placement that keeps the most expert bytes on the GPUs.

    Args:
        model: a model with routed experts.
        flags: all other flags; overrides and `--n-cpu-moe` among them are replaced, and all layers go to GPUs.
        machine: free memory.
        margin: bytes that each GPU keeps free.

    Raises:
        GpuboxError: there is no GPU, the model has no experts, or the rest of it alone does not fit.
    """
    place_name = model.header.place
    if not machine.gpus:
        raise GpuboxError("--fill", "there is no GPU to fill", "give --gpu SIZE, or --host BOX")
    if not model.n_expert:
        raise GpuboxError(place_name, "has no routed experts", "lower --n-gpu-layers instead")
    mode = flags.split_mode if flags.split_mode == "none" else "layer"
    flags = replace(flags, overrides=(), n_cpu_moe=0, n_gpu_layers=model.n_layer + 1, split_mode=mode, fit=False)
    tight = replace(machine, gpus=tuple(max(free - margin, 0) for free in machine.gpus))
    bare = place(model, replace(flags, overrides=((r"_exps\.weight", "CPU"),)), machine)
    if any(device.total > room for device, room in zip(bare.devices, tight.gpus, strict=False)):
        device = max(bare.devices[:-1], key=lambda one: one.total - (one.free or 0))
        fault = f"{device.name} needs {device.total / MIB:.0f} MiB even without experts"
        raise GpuboxError("--fill", fault, "shorten the context, or lower --ubatch-size or the margin")
    experts = _experts(model, flags, bare)
    # Copies of host experts pass through a compute buffer; none are needed once all are on GPUs.
    for rooms in (_room_without_copies(model, flags, tight), _rooms(bare, tight)):
        proposal = _shrunk(model, flags, (machine, tight), experts, rooms, margin=margin)
        if proposal is not None:
            return proposal
    raise GpuboxError("--fill", "nothing that was tried fits", "raise the margin, or shorten the context")


def ranges(layers: Sequence[int]) -> str:
    """Return layer numbers as `3-6,40`."""
    parts: list[list[int]] = []
    for layer in layers:
        if parts and layer == parts[-1][1] + 1:
            parts[-1][1] = layer
        else:
            parts.append([layer, layer])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def _experts(model: Model, flags: Flags, bare: Placement) -> list[_Expert]:
    """Return the expert matrices that are loaded, draft layers last: they are used least."""
    found = []
    for layer in range(model.n_layer):
        if model.is_draft(layer) and not flags.mtp:
            continue
        for kind in MATRICES:
            tensor = model.tensor(layer, f"ffn_{kind}_exps.weight")
            if tensor is not None:
                found.append(_Expert(layer, kind, gpu_tensor_bytes(tensor), max(bare.layer_devices[layer], 0)))
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
    experts: Sequence[_Expert],
    rooms: Sequence[int],
    *,
    margin: int,
) -> Proposal | None:
    """Return the fullest proposal that the planner accepts, giving up room where its answer is larger than the sums."""
    machine, tight = machines  # as it is, and with the margin taken off
    rooms = list(rooms)
    for _ in range(12):
        homes = _pack(experts, rooms)
        groups = _groups(experts, homes)
        rules = tuple((group.pattern, group.device) for group in groups)
        result = place(model, replace(flags, overrides=rules), machine)
        over = [device.total - room for device, room in zip(result.devices, tight.gpus, strict=False)]
        if all(excess <= 0 for excess in over):
            return Proposal(tuple(groups), result, margin) if result.fits else None
        rooms = [room - max(excess, 0) for room, excess in zip(rooms, over, strict=True)]
    return None


def _pack(experts: Sequence[_Expert], rooms: Sequence[int]) -> list[int]:
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


def _groups(experts: Sequence[_Expert], homes: Sequence[int]) -> list[Group]:
    """Return rules that say so: only what leaves its layer's GPU needs one."""
    by_layer: dict[tuple[int, int], list[str]] = {}
    for expert, home in zip(experts, homes, strict=True):
        if home != expert.home:
            by_layer.setdefault((home, expert.layer), []).append(expert.kind)
    groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for (home, layer), kinds in by_layer.items():
        groups.setdefault((home, tuple(kinds)), []).append(layer)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] == HOST, item[0][0], len(item[0][1])))
    return [
        Group("CPU" if home == HOST else f"CUDA{home}", kinds, tuple(sorted(layers)))
        for (home, kinds), layers in ordered
    ]
