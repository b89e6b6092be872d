"""The KV cache, by layer.

Source: llama_model::cache_size (llama-model.cpp:2104) and llama_kv_cache_init (llama.cpp:812-1180) of ik_llama.cpp at
29a54f4. With MLA and flash attention it is one tensor of K's type, [kv_rank + n_rot, n_ctx]; MLA 1 and 3 do not differ. A type
whose blocks a head does not divide into, at which the engine aborts, is the lint's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.ggml_types import whole_row_bytes

if TYPE_CHECKING:
    from gpubox.placement.flags import Flags
    from gpubox.placement.model import Model

_PADDING = 256  # cells, with flash attention; 32 without (llama.cpp:2037)


def context_cells(model: Model, flags: Flags) -> int:
    """Return the cells of the cache: the context, or the trained one, padded (llama.cpp:6982-6987)."""
    cells = flags.ctx_size or model.n_ctx_train
    padding = _PADDING if flags.flash_attn else 32
    return -(-cells // padding) * padding


def layer_cache_bytes(model: Model, flags: Flags, layer: int, n_ctx: int, mla: int) -> int:
    """Return the bytes of one layer's cache of `n_ctx` cells."""
    k_type, v_type = flags.kv_type(key=True), flags.kv_type(key=False)
    if model.mla and mla:
        width = model.kv_rank + model.n_rot
        if flags.flash_attn:
            return whole_row_bytes(k_type, width) * n_ctx
        if mla == 1:
            return whole_row_bytes(k_type, width) * n_ctx + whole_row_bytes(v_type, model.kv_rank * n_ctx)
        return whole_row_bytes(v_type, width) * n_ctx
    heads = model.n_head_kv[layer]
    return whole_row_bytes(k_type, model.head_k) * heads * n_ctx + whole_row_bytes(v_type, model.head_v * heads) * n_ctx
