"""Which GPU each layer goes to.

A port of get_layer_sizes and of the walk over the layers in llm_load_tensors (llama.cpp:3128 and 3495-3640 of
ik_llama.cpp at 29a54f4), with the engine's 32-bit floating-point sums, since a boundary can depend on their rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.ggml_types import type_named, whole_row_bytes
from gpubox.placement.kv_cache import layer_cache_bytes
from gpubox.placement.model import is_expert
from gpubox.placement.single_precision import f32
from gpubox.placement.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.placement.flags import Flags
    from gpubox.placement.model import Model

MARGIN = 1024 * MIB  # what the engine leaves of each GPU's free memory (k_default_mem_margin)


@dataclass(frozen=True)
class LayerSizes:
    """What the engine believes each layer takes, bytes; its own belief, not what is allocated.

    Attributes:
        layers: weights and KV cache by layer, the output layer last.
        compute: the largest compute buffer of any layer.
    """

    layers: tuple[float, ...]
    compute: float


def layer_sizes(model: Model, flags: Flags, n_ctx: int, mla: int) -> LayerSizes:
    """Return the engine's estimate by layer (get_layer_sizes, llama.cpp:3128-3345).

    It counts the computed `wkv_b` of MLA twice and in q8_0, and also where MLA 1 needs none; it counts the KV cache of
    an MTP layer that is not loaded.
    """
    mtp = flags.mtp and model.n_draft > 0
    sizes: list[float] = []
    compute = 0.0
    for layer in range(model.n_layer):
        loaded = mtp or not model.is_draft(layer)
        size = float(sum(model.tensors[name].nbytes for name in model.layers[layer])) if loaded else 0.0
        needed = _activation_bytes(model, flags, layer) if loaded else float(model.n_embd * flags.ubatch_size * 4)
        if model.mla and loaded:
            size += _believed_wkv_b(model, layer)
            needed = max(needed, _believed_expansion(model, flags, layer, n_ctx, mla))
        compute = max(compute, needed)
        sizes.append(size + layer_cache_bytes(model, flags, layer, n_ctx, mla))
    head = model.tensors.get("output.weight") or model.tensors["token_embd.weight"]
    outputs = flags.worst_graph_tokens or flags.ubatch_size
    sizes.append(head.nbytes + max(model.n_vocab * outputs * 4 - compute, 0.0))
    return LayerSizes(tuple(sizes), compute)


def split_points(shares: Sequence[float]) -> list[float]:
    """Return the cumulative shares, 0 to 1, in the engine's arithmetic (llama.cpp:3530-3538)."""
    total = 0.0
    points = []
    for share in shares:
        total = f32(total + f32(share))
        points.append(total)
    return [f32(point / total) for point in points] if total else points


def assign_layers(sizes: LayerSizes, points: Sequence[float], first: int, last: int, n_layer: int) -> list[int]:
    """Return the GPU of each layer and of the output (llama.cpp:3560 and 3611-3640).

    Args:
        sizes: the engine's estimate.
        points: `split_points`, one for each GPU.
        first: the first layer that goes to a GPU.
        last: one more than the last; the output counts as layer `n_layer`.
        n_layer: layers without the output.

    Returns:
        A GPU for each of the `n_layer` + 1; those outside `first` to `last` get the last GPU, as in the engine.
    """
    gpus = len(points)
    devices = [gpus - 1] * (n_layer + 1)
    if gpus < 2:
        return devices
    total = sizes.compute * gpus
    for layer in range(first, last):
        total += sizes.layers[layer]
    layer = first
    loaded = 0.0
    for gpu, point in enumerate(points):
        loaded = f32(loaded + sizes.compute)
        limit = f32(point * total)
        while layer < last:
            size = sizes.layers[layer]
            fits = loaded + size <= limit
            if not fits and not loaded + size - limit < f32(limit - loaded):
                break
            devices[layer] = gpu
            loaded = f32(loaded + size)
            layer += 1
            if not fits:
                break
    return devices


def _activation_bytes(model: Model, flags: Flags, layer: int) -> float:
    """Return what the engine believes a layer computes: its widest feed-forward part and its input."""
    experts = shared = dense = 0
    norms = False
    prefix = len(f"blk.{layer}.")
    for full in model.layers[layer]:
        name, tensor = full[prefix:], model.tensors[full]
        if name.endswith((".bias", ".scale")):
            continue
        rows = tensor.ne[1] if len(tensor.ne) > 1 else 1
        if is_expert(full):
            experts += rows * flags.ubatch_size * model.n_expert_used * 4
        elif name in {"ffn_up_shexp.weight", "ffn_gate_shexp.weight", "ffn_down_shexp.weight"}:
            shared += rows * flags.ubatch_size * 4
        elif name in {"ffn_up.weight", "ffn_gate.weight", "ffn_down.weight"}:
            dense += rows * flags.ubatch_size * 4
        norms = norms or name.endswith("_norm.weight")
    return float(max(experts, shared, dense) + model.n_embd * flags.ubatch_size * 4 * (2 if norms else 1))


def _believed_wkv_b(model: Model, layer: int) -> float:
    """Return the engine's estimate of `wkv_b` (llama.cpp:3287-3296)."""
    k_b, v_b = model.tensor(layer, "attn_k_b.weight"), model.tensor(layer, "attn_v_b.weight")
    both = model.tensor(layer, "attn_kv_b.weight")
    if both is not None:
        return both.nbytes / 2 * ((k_b is None) + (v_b is None))
    if k_b is None or v_b is None:
        return 0.0
    q8_0 = type_named("q8_0")
    assert q8_0 is not None
    kind = q8_0 if k_b.type.block > 1 else k_b.type
    heads = v_b.ne[2] if len(v_b.ne) > 2 else 1
    return float(whole_row_bytes(kind, v_b.ne[0]) * (v_b.ne[1] + k_b.ne[1]) * heads * 2)


def _believed_expansion(model: Model, flags: Flags, layer: int, n_ctx: int, mla: int) -> float:
    """Return the engine's estimate of expanded K and V with MLA 3 (llama.cpp:3298-3316)."""
    v_b = model.tensor(layer, "attn_v_b.weight")
    if mla != 3 or v_b is None:
        return 0.0
    heads = v_b.ne[2] if len(v_b.ne) > 2 else 1
    cap = flags.attention_max_batch
    size = 2 * v_b.ne[1] * heads * n_ctx * 4 / MIB
    at_once = heads
    if 0 < cap < size:
        at_once = 1
        for steps in range(2, heads):
            if heads % steps == 0 and size / steps <= cap:
                at_once = heads // steps
                break
    return 2.0 * v_b.ne[1] * at_once * n_ctx * 4
