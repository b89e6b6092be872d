"""Which weights are loaded, where each comes to lie, and how large the buffers are that the server prints.

Source: llama-load-tensors.cpp and llama.cpp:3860-4020 of ik_llama.cpp at 29a54f4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.ggml_types import whole_row_bytes
from gpubox.placement.model import MERGES_UP_GATE, layer_of
from gpubox.placement.overrides import HOST
from gpubox.placement.scheduler import GPU_ALIGNMENT, HOST_ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.ggml_types import GgmlType
    from gpubox.gguf import Tensor
    from gpubox.placement.flags import Flags
    from gpubox.placement.model import Model
    from gpubox.placement.overrides import Rule

_ROW_PADDING = 512  # elements (MATRIX_ROW_PADDING)
# Loaded for a draft layer although MTP is off (load-tensors.cpp:2803; with merged projections also 2780).
_ALWAYS_LOADED = ("attn_k_b.weight", "attn_v_b.weight")
_MERGED = ("attn_q_a.weight", "attn_kv_a_mqa.weight")
_WITH_LAYER = ("_norm.weight", ".bias", "ffn_gate_inp.weight")
_MERGED_LITE = ("attn_q.weight", "attn_kv_a_mqa.weight")  # where Q is not compressed (load-tensors.cpp:2647)


@dataclass(frozen=True)
class Weights:
    """Where the weights are.

    Attributes:
        homes: the device of each loaded tensor; HOST or a GPU. The output has its own entry also where the model has
            none and uses a copy of the embedding.
        taken_by: the rule that moved a tensor, by name.
        gpu_bytes: of each GPU's buffer.
        host_bytes: of the host's buffer.
        mapped: whether the host's buffer is the mapped file, page cache, and not memory of its own.
    """

    homes: Mapping[str, int]
    taken_by: Mapping[str, Rule]
    gpu_bytes: tuple[int, ...]
    host_bytes: int
    mapped: bool


def merges_projections(flags: Flags) -> bool:
    """Return whether `--merge-qkv` is in force: split mode graph turns it off (load-tensors.cpp:4395)."""
    return flags.merge_qkv and not flags.splits_tensors


def place_weights(
    model: Model,
    flags: Flags,
    layer_devices: Sequence[int],
    rules: Sequence[Rule],
    kv_devices: Sequence[int],
    *,
    gpus: int,
) -> Weights:
    """Return where every weight goes with split modes `layer` and `none`.

    Args:
        model: the model.
        flags: the flags.
        layer_devices: a device for each layer and one for the output; HOST or a GPU.
        rules: tensor overrides in the order in which they are tried.
        kv_devices: the device of each layer's KV cache; in split mode none the layer's small tensors are there too.
        gpus: the number of GPUs.
    """
    homes: dict[str, int] = {}
    taken_by: dict[str, Rule] = {}
    merged = merges_projections(flags)
    for name, tensor in model.tensors.items():
        layer = layer_of(name)
        if layer is not None and not _is_loaded(model, flags, layer, name, merged=merged):
            continue
        with_layer = flags.split_mode == "none" and _follows_layer(model, layer, name)
        homes[name] = _default_home(model, kv_devices if with_layer else layer_devices, layer, name)
        if merged and _is_merged(model, layer, name):
            continue  # a merged tensor is made past the overrides (load-tensors.cpp:2782)
        rule = next((rule for rule in rules if rule.device is not None and rule.matches(tensor.name)), None)
        if rule is not None and rule.device is not None:
            homes[name], taken_by[name] = rule.device, rule
    if "output.weight" not in homes:
        homes["output.weight"] = layer_devices[-1]
    overridden = any(rule.device == HOST for rule in taken_by.values())
    maps = flags.mmap and not merged and not overridden and not _merges_experts(model, flags)
    gpu_bytes = [0] * gpus
    host_bytes = 0
    for name, home in homes.items():
        tensor = model.tensors.get(name) or model.tensors["token_embd.weight"]
        if home == HOST:
            host_bytes += _rounded(tensor.nbytes, HOST_ALIGNMENT)
        elif home < gpus:
            gpu_bytes[home] += gpu_tensor_bytes(tensor)
    if maps:
        host_bytes = _mapped_span(model, homes)
    return Weights(homes, taken_by, tuple(gpu_bytes), host_bytes, maps)


def is_merged_projection(model: Model, flags: Flags, name: str) -> bool:
    """Return whether `--merge-qkv` puts a tensor into another, which no override reaches."""
    return merges_projections(flags) and _is_merged(model, layer_of(name), name)


def gpu_tensor_bytes(tensor: Tensor) -> int:
    """Return what a tensor takes in a CUDA buffer."""
    return gpu_bytes(tensor.type, tensor.ne[0], tensor.nbytes)


def gpu_bytes(kind: GgmlType, width: int, size: int) -> int:
    """Return what `size` bytes in rows of `width` take in a CUDA buffer: quantised rows padded, then aligned (ggml-cuda.cu:746)."""
    padding = -width % _ROW_PADDING
    if kind.block > 1 and padding:
        size += whole_row_bytes(kind, padding)
    return _rounded(size, GPU_ALIGNMENT)


def _is_loaded(model: Model, flags: Flags, layer: int, name: str, *, merged: bool) -> bool:
    if not model.is_draft(layer) or flags.mtp:
        return True
    if model.architecture != "glm-dsa":
        return False
    return name.endswith(_ALWAYS_LOADED) or (merged and name.endswith(_MERGED))


def _default_home(model: Model, layer_devices: Sequence[int], layer: int | None, name: str) -> int:
    if layer is not None:
        if name.endswith("nextn.embed_tokens.weight") and model.architecture == "glm4moe":
            return HOST
        return layer_devices[layer]
    if name.startswith("output"):
        return layer_devices[-1]
    if name.startswith("rope_"):
        return layer_devices[0]
    return HOST  # the input stays on the host (llama.cpp:3499)


def _follows_layer(model: Model, layer: int | None, name: str) -> bool:
    """Return whether split mode none leaves a tensor with its layer (llama.cpp:3819: `buft`, not `buft_matrix`)."""
    return layer is not None and (model.is_draft(layer) or name.endswith(_WITH_LAYER))


def _is_merged(model: Model, layer: int | None, name: str) -> bool:
    if layer is None:
        return False
    if model.mla:
        both = _MERGED if model.q_rank else _MERGED_LITE
        known = model.architecture in {"glm-dsa", "deepseek2"}
        return known and name.endswith(both) and _same_type(model, layer, both)
    parts = ("attn_q.weight", "attn_k.weight", "attn_v.weight")
    return name.endswith(parts) and _same_type(model, layer, parts)


def _same_type(model: Model, layer: int, names: Sequence[str]) -> bool:
    tensors = [model.tensor(layer, name) for name in names]
    return all(tensors) and len({tensor.type.id for tensor in tensors if tensor is not None}) == 1


def _merges_experts(model: Model, flags: Flags) -> bool:
    return flags.merge_up_gate and model.architecture in MERGES_UP_GATE and model.n_expert > 0


def _mapped_span(model: Model, homes: Mapping[str, int]) -> int:
    """Return the bytes from the first to the last of the host's tensors in each file, as one mapping covers them."""
    spans: dict[int, tuple[int, int]] = {}
    for name, home in homes.items():
        tensor = model.tensors.get(name)
        if tensor is None or home != HOST:
            continue
        first, last = spans.get(tensor.part, (tensor.offset, 0))
        spans[tensor.part] = min(first, tensor.offset), max(last, tensor.offset + tensor.nbytes)
    return sum(last - first for first, last in spans.values())


def _rounded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
