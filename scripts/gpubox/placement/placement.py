"""Where every byte of a served model lands: `place` gives it for a model, flags and a machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gpubox.placement.cuda_pools import bytes_at_ready, growth, in_pages, spread_growth
from gpubox.placement.forward_pass import Setting, draft_compute_buffers, main_compute_buffers
from gpubox.placement.graph_split import split_by_graph
from gpubox.placement.kv_cache import context_cells, layer_cache_bytes
from gpubox.placement.latent_weights import computed_weights, latent_source
from gpubox.placement.layer_split import MARGIN, assign_layers, layer_sizes, split_points
from gpubox.placement.machine import CUDA_CONTEXT
from gpubox.placement.model import GRAPH_ARCHITECTURES, MTP_ARCHITECTURES
from gpubox.placement.overrides import HOST, rules_of
from gpubox.placement.sizes import MIB, mib
from gpubox.placement.weights import Weights, merges_projections, place_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.placement.flags import Flags
    from gpubox.placement.graph_split import LayerShares
    from gpubox.placement.machine import Machine
    from gpubox.placement.model import Model
    from gpubox.placement.overrides import Rule

HOST_NAME = "CUDA_Host"
ERROR = 0.015
"""What a GPU was seen to differ from its plan by at most, of all it holds (several_h200_buffers.json)."""


@dataclass
class Device:
    """The memory of one GPU or of the host, bytes.

    Attributes:
        name: as the engine calls it: `CUDA0`, …, `CUDA_Host`.
        free: what there is; None where it is not known.
        weights: the buffer of weights, as the server prints it.
        kv: the KV cache, that of the MTP context included.
        compute: the compute buffer, as the server prints it.
        draft_compute: that of the MTP context.
        wkv_b: what latent attention computes from the weights at load.
        cuda: the CUDA context and pools, when the server is ready.
        pools: what the first long prompt adds to them.
        outputs: logits and embeddings that the host keeps of a batch.
        layers: the layers whose KV cache is here.
    """

    name: str
    free: int | None
    weights: int = 0
    kv: int = 0
    compute: int = 0
    draft_compute: int = 0
    wkv_b: int = 0
    cuda: int = 0
    pools: int = 0
    outputs: int = 0
    layers: list[int] = field(default_factory=list)

    @property
    def other(self) -> int:
        """All that is neither weights, KV cache nor compute buffer."""
        return self.wkv_b + self.cuda + self.pools + self.outputs

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.compute + self.draft_compute + self.other

    @property
    def at_ready(self) -> int:
        """What is taken when the server is ready, before its first long prompt."""
        return self.total - self.pools

    @property
    def over(self) -> int:
        """What is missing, bytes; 0 where it fits or nothing is known."""
        return max(self.total - self.free, 0) if self.free is not None else 0

    @property
    def close(self) -> bool:
        """Whether it lacks memory only after the first long prompt, and less than the plan may be wrong by."""
        return 0 < self.over <= ERROR * (self.free or 0) and self.at_ready <= (self.free or 0)

    def as_json(self) -> dict[str, Any]:
        """Return the device as JSON values, sizes in MiB."""
        return {
            "name": self.name,
            "weights_mib": mib(self.weights),
            "kv_mib": mib(self.kv),
            "compute_mib": mib(self.compute + self.draft_compute),
            "other_mib": mib(self.other),
            "ready_mib": mib(self.at_ready),
            "total_mib": mib(self.total),
            "free_mib": None if self.free is None else mib(self.free),
            "layers": self.layers,
        }


@dataclass(frozen=True)
class Placement:
    """Where everything goes.

    Attributes:
        model: the model.
        flags: the flags as given.
        machine: the machine.
        devices: the GPUs in order, then the host.
        n_ctx: cells of the KV cache.
        mla: the MLA variant in force; 0 for other models.
        mtp: whether the model's draft layer is in use.
        split_mode: the split mode in force.
        weights: where each tensor is.
        rules: the tensor overrides in the order in which they are tried.
        layer_devices: the device of each layer, and of the output at the end.
        uncertain: whether a few MiB of free memory more or less move a layer to another GPU.
    """

    model: Model
    flags: Flags
    machine: Machine
    devices: tuple[Device, ...]
    n_ctx: int
    mla: int
    mtp: bool
    split_mode: str
    weights: Weights
    rules: tuple[Rule, ...]
    layer_devices: tuple[int, ...]
    uncertain: bool

    @property
    def fits(self) -> bool:
        """Whether every device has room for its part."""
        return not any(device.over for device in self.devices)

    @property
    def may_fit(self) -> bool:
        """Whether every device has room for its part, or lacks less than the plan may be wrong by."""
        return all(device.close for device in self.devices if device.over)

    @property
    def host(self) -> Device:
        """The host's part."""
        return self.devices[-1]

    def experts_on_gpus(self) -> int:
        """Return the bytes of routed experts that lie on GPUs."""
        model, homes = self.model, self.weights.homes
        return sum(
            model.tensors[name].nbytes
            for layer in range(model.n_layer)
            for name in model.layers[layer]
            if "_exps." in name and homes.get(name, HOST) != HOST
        )


def effective_mla(model: Model, flags: Flags) -> int:
    """Return the MLA variant in force: 3 where only some layers are on GPUs (llama.cpp:3555 and 7063)."""
    if not model.mla:
        return 0
    if 0 < flags.n_gpu_layers < model.n_layer:
        return 3
    return flags.mla


def effective_split_mode(model: Model, flags: Flags) -> str:
    """Return the split mode in force: `graph` and `attn` become `layer` for models that lack them (llama.cpp:3421)."""
    if flags.splits_tensors and model.architecture not in GRAPH_ARCHITECTURES:
        return "layer"
    return flags.split_mode


def place(model: Model, flags: Flags, machine: Machine) -> Placement:
    """Return where every byte lands.

    Args:
        model: the model.
        flags: the flags as given; those that the engine changes are followed as it changes them.
        machine: free memory before the server starts.
    """
    gpus = len(machine.gpus)
    split_mode = effective_split_mode(model, flags) if gpus > 1 else "layer"
    asked = flags
    mtp = flags.mtp and model.n_draft > 0 and model.architecture in MTP_ARCHITECTURES
    flags = replace(flags, split_mode=split_mode, mtp=mtp, n_gpu_layers=flags.n_gpu_layers if gpus else 0)
    n_ctx = context_cells(model, flags)
    mla = effective_mla(model, flags)
    walked = walk_layers(model, flags, machine.gpus, mla)
    first = max(model.n_layer - flags.n_gpu_layers, 0)
    devices = _layer_devices(model, flags, walked, first)
    rules = rules_of(flags, model.n_layer, gpus, walked)
    caches = [HOST if home == HOST else walked[layer] for layer, home in enumerate(devices)]
    weights = place_weights(model, flags, devices, rules, caches, gpus=gpus)
    made = [Device(f"CUDA{number}", free) for number, free in enumerate(machine.gpus)]
    made.append(Device(HOST_NAME, machine.ram))
    for device, size in zip(made, (*weights.gpu_bytes, weights.host_bytes), strict=True):
        device.weights = size
    _add_layers(made, model, flags, caches, n_ctx=n_ctx, mla=mla)
    _add_wkv_b(made, model, weights, mla)
    spread: Mapping[int, LayerShares] = {}
    if flags.splits_tensors:
        spread = _spread(made, model, flags, weights, machine.gpus, n_ctx=n_ctx, mla=mla, first=first)
    _add_compute(made, model, flags, weights, devices, spread=spread, n_ctx=n_ctx, mla=mla)
    _add_outputs(made[-1], model, flags)
    _add_cuda(made, model, flags, weights, devices, mla=mla, nvlink=machine.nvlink)
    return Placement(
        model=model,
        flags=asked,
        machine=machine,
        devices=tuple(made),
        n_ctx=n_ctx,
        mla=mla,
        mtp=mtp,
        split_mode=split_mode,
        weights=weights,
        rules=tuple(rules),
        layer_devices=tuple(devices),
        uncertain=_is_uncertain(model, flags, machine.gpus, mla, walked),
    )


def walk_layers(model: Model, flags: Flags, gpus: Sequence[int], mla: int) -> list[int]:
    """Return the GPU that the layer split gives each layer and the output, whether or not they go there."""
    if not gpus:
        return [HOST] * (model.n_layer + 1)
    shares = _shares(flags, gpus)
    sizes = layer_sizes(model, flags, flags.ctx_size or model.n_ctx_train, mla)
    first = max(model.n_layer - flags.n_gpu_layers, 0)
    last = model.n_layer + (flags.n_gpu_layers > model.n_layer)
    return assign_layers(sizes, split_points(shares), first, last, model.n_layer)


def _shares(flags: Flags, gpus: Sequence[int]) -> list[float]:
    """Return each GPU's share: as asked, 0 where nothing is said, or by free memory."""
    asked = list(flags.tensor_split[: len(gpus)]) + [0.0] * (len(gpus) - len(flags.tensor_split))
    return asked if any(asked) else [float(max(free - CUDA_CONTEXT - MARGIN, 0)) for free in gpus]


def _layer_devices(model: Model, flags: Flags, walked: Sequence[int], first: int) -> list[int]:
    """Return the device of each layer and of the output (llama.cpp:3784-3853)."""
    main = _main_gpu(flags, max(walked, default=0) + 1)
    target = [main] * len(walked) if flags.split_mode == "none" else list(walked)
    devices = [HOST if layer < first else target[layer] for layer in range(model.n_layer)]
    with_output = flags.n_gpu_layers > model.n_layer
    output = walked[-1] if with_output else HOST  # in split mode none too
    if not with_output and flags.split_mode != "layer" and flags.n_gpu_layers > 0:
        output = target[model.n_layer - 1]
    return [*devices, output]


def _main_gpu(flags: Flags, gpus: int) -> int:
    return min(max(flags.main_gpu, 0), max(gpus - 1, 0))


def _add_layers(
    made: Sequence[Device], model: Model, flags: Flags, devices: Sequence[int], *, n_ctx: int, mla: int
) -> None:
    """Give each device its layers and their KV cache; the MTP context keeps a second cache of its layers."""
    for layer in range(model.n_layer):
        if model.is_draft(layer) and not flags.mtp:
            continue
        device = made[devices[layer]]
        device.layers.append(layer)
        holder = device if flags.kv_offload else made[-1]
        size = layer_cache_bytes(model, flags, layer, n_ctx, mla, on_gpu=holder is not made[-1])
        holder.kv += size * (2 if model.is_draft(layer) else 1)


def _add_wkv_b(made: Sequence[Device], model: Model, weights: Weights, mla: int) -> None:
    """Add what latent attention computes at load to the device that holds what it is computed from."""
    for layer in range(model.n_layer):
        home = weights.homes.get(latent_source(model, layer))
        if home is not None:
            made[home].wkv_b += _computed_bytes(model, layer, mla, on_gpu=home != HOST)


def _computed_bytes(model: Model, layer: int, mla: int, *, on_gpu: bool) -> int:
    """Return what a layer's computed weights take; each is an allocation of its own (llama.cpp:2752-2870)."""
    sizes = computed_weights(model, layer, mla).values()
    return sum(in_pages(size) if on_gpu else size for size in sizes)


def _spread(
    made: Sequence[Device],
    model: Model,
    flags: Flags,
    weights: Weights,
    gpus: Sequence[int],
    *,
    n_ctx: int,
    mla: int,
    first: int,
) -> Mapping[int, LayerShares]:
    """Replace whole layers by their shares in split mode graph, and return how each is shared out."""
    shares = _shares(flags, gpus)
    # A tensor that an override moved stays whole.
    homes = {name: HOST if name in weights.taken_by else home for name, home in weights.homes.items()}
    split = split_by_graph(model, flags, split_points(shares), homes, n_ctx=n_ctx, mla=mla, first=first)
    for name in split.spread:
        made[weights.homes[name]].weights -= model.tensors[name].nbytes
    spread_layers = range(first, model.n_layer - model.n_draft)
    for layer in spread_layers:
        # Created in the split buffer without shares, the indexer takes nothing (ggml-cuda.cu:1355).
        for name in model.layers[layer]:
            if ".indexer." in name and name in weights.homes:
                made[weights.homes[name]].weights -= model.tensors[name].nbytes
    for gpu, device in enumerate(made[:-1]):
        own = [layer for layer in device.layers if model.is_draft(layer)]  # which stays whole
        device.kv = split.kv[gpu] + sum(
            2 * layer_cache_bytes(model, flags, layer, n_ctx, mla, on_gpu=True) for layer in own
        )
        device.weights += split.weights[gpu]
        device.wkv_b += split.transposed[gpu]
        device.cuda += split.unused[gpu]
        device.layers = [*spread_layers, *own]
    for layer in spread_layers:
        home = weights.homes.get(latent_source(model, layer), HOST)
        if home != HOST:
            made[home].wkv_b -= _computed_bytes(model, layer, mla, on_gpu=True)
    return split.layers


def _add_compute(
    made: Sequence[Device],
    model: Model,
    flags: Flags,
    weights: Weights,
    caches: Sequence[int],
    *,
    spread: Mapping[int, LayerShares],
    n_ctx: int,
    mla: int,
) -> None:
    gpus = len(made) - 1
    alone = flags.split_mode == "none"  # one GPU computes, whatever lies on others
    number: Mapping[int, int] = {HOST: gpus, **{gpu: _main_gpu(flags, gpus) if alone else gpu for gpu in range(gpus)}}
    homes = {name: number[home] for name, home in weights.homes.items() if home in number}
    kv_homes = [number[home] if flags.kv_offload else gpus for home in caches]
    setting = Setting(model, flags, n_ctx, mla, merges_projections(flags), homes, kv_homes, gpus, spread=spread)
    for device, size in zip(made, main_compute_buffers(setting), strict=True):
        device.compute = size
    if flags.mtp:
        for device, size in zip(made, draft_compute_buffers(setting), strict=True):
            device.draft_compute = size


def _add_cuda(
    made: Sequence[Device],
    model: Model,
    flags: Flags,
    weights: Weights,
    devices: Sequence[int],
    *,
    mla: int,
    nvlink: bool,
) -> None:
    """Add what CUDA itself takes of each GPU."""
    gpus = made[:-1]
    main = _main_gpu(flags, len(gpus))
    host_layers = HOST in devices[: model.n_layer - model.n_draft]
    host_experts = any(home == HOST and "_exps." in name for name, home in weights.homes.items())
    for number, gpu in enumerate(gpus):
        if flags.split_mode == "none" and number != main:
            gpu.cuda = CUDA_CONTEXT
            continue
        draft = flags.mtp and devices[model.n_layer - 1] == number
        gpu.cuda += bytes_at_ready(draft=flags.mtp, gpus=len(gpus), spread=flags.splits_tensors, nvlink=nvlink)
        if flags.splits_tensors:
            own = {"host_layers": host_layers and number == main, "host_experts": host_experts and number == main}
            gpu.pools = spread_growth(flags, mla, draft=draft, **own)
        else:
            gpu.pools = growth(flags, mla, draft=draft)


def _add_outputs(host: Device, model: Model, flags: Flags) -> None:
    """Add logits, kept for each slot, and with MTP logits and states of a whole batch, twice (llama.cpp:7478)."""
    if flags.mtp:
        host.outputs = 2 * (model.n_vocab + model.n_embd) * flags.batch_size * 4
    else:
        host.outputs = model.n_vocab * max(flags.parallel, 1) * 4


def _is_uncertain(model: Model, flags: Flags, gpus: Sequence[int], mla: int, walked: Sequence[int]) -> bool:
    """Return whether 64 MiB on one GPU, less than drivers differ by, move a layer."""
    if len(gpus) < 2 or any(flags.tensor_split) or flags.split_mode != "layer":
        return False
    nearby = [(gpus[0] + change, *gpus[1:]) for change in (-64 * MIB, 64 * MIB)]
    return any(walk_layers(model, flags, free, mla) != walked for free in nearby)
