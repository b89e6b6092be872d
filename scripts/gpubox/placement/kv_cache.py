"""The KV cache, by layer.

Source: llama_model::cache_size (llama-model.cpp:2104) and llama_kv_cache_init (llama.cpp:812-1180) of ik_llama.cpp at
29a54f4. With MLA and flash attention it is one tensor of K's type, [kv_rank + n_rot, n_ctx]; MLA 1 and 3 do not differ. A type
whose blocks a head does not divide into, at which the engine aborts, is the lint's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.ggml_types import whole_row_bytes
from gpubox.placement.weights import gpu_bytes

if TYPE_CHECKING:
    from gpubox.ggml_types import GgmlType
    from gpubox.placement.flags import Flags
    from gpubox.placement.model import Model

_PADDING = 256  # cells, with flash attention; 32 without (llama.cpp:2037)


def context_cells(model: Model, flags: Flags) -> int:
    """Return the cells of the cache: the context, or the trained one, padded (llama.cpp:6982-6987)."""
    cells = flags.ctx_size or model.n_ctx_train
    padding = _PADDING if flags.flash_attn else 32
    return -(-cells // padding) * padding


def layer_cache_bytes(model: Model, flags: Flags, layer: int, n_ctx: int, mla: int, *, on_gpu: bool = False) -> int:
    """Return the bytes of one layer's cache of `n_ctx` cells; a CUDA buffer pads them, which the server prints."""
    tensors = _tensors(model, flags, layer, n_ctx, mla)
    return sum(gpu_bytes(*tensor) if on_gpu else tensor[2] for tensor in tensors)


def _tensors(model: Model, flags: Flags, layer: int, n_ctx: int, mla: int) -> list[tuple[GgmlType, int, int]]:
    """Return type, row length and bytes of each tensor of a layer's cache."""
    k_type, v_type = flags.kv_type(key=True), flags.kv_type(key=False)
    if model.mla and mla:
        width = model.kv_rank + model.n_rot
        whole = v_type if mla > 1 and not flags.flash_attn else k_type
        latent = (whole, width, whole_row_bytes(whole, width) * n_ctx)
        if flags.flash_attn or mla > 1:
            return [latent]
        values = model.kv_rank * n_ctx
        return [latent, (v_type, values, whole_row_bytes(v_type, values))]
    heads = model.n_head_kv[layer]
    k_bytes = whole_row_bytes(k_type, model.head_k) * heads * n_ctx
    values = model.head_v * heads
    return [(k_type, model.head_k, k_bytes), (v_type, values * n_ctx, whole_row_bytes(v_type, values) * n_ctx)]
