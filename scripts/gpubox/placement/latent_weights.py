"""What latent attention computes from its weights at load, beside the buffers that the server prints.

A file has either `attn_kv_b`, or its two halves `attn_k_b` and `attn_v_b`, and attention needs both forms: the halves to
absorb, the whole to expand. Source: llm_prepare_mla (llama.cpp:2309-2860 of ik_llama.cpp at 29a54f4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.ggml_types import type_named, whole_row_bytes

if TYPE_CHECKING:
    from gpubox.ggml_types import GgmlType
    from gpubox.placement.model import Model


def computed_weights(model: Model, layer: int, mla: int) -> dict[str, int]:
    """Return what is computed for a layer: names behind `blk.N.`, and bytes.

    Args:
        model: a model with latent attention.
        layer: its number.
        mla: the MLA variant in force; 1 never expands, so it needs no `attn_kv_b`.
    """
    heads, nope = model.n_head[layer], model.head_k - model.n_rot
    whole, half = model.tensor(layer, "attn_kv_b.weight"), model.tensor(layer, "attn_k_b.weight")
    if not mla or (whole is None and half is None):
        return {}
    if whole is not None and half is None:
        kind = whole.type if whole.type.block == 1 else _named("q8_0")
        return {
            "attn_k_b.weight": whole_row_bytes(kind, nope) * model.kv_rank * heads,
            "attn_v_b.weight": whole_row_bytes(whole.type, model.kv_rank) * model.head_v * heads,
        }
    if whole is None and mla > 1:
        return {"attn_kv_b.weight": kv_b_row_bytes(model, layer) * (nope + model.head_v) * heads}
    return {}


def kv_b_row_bytes(model: Model, layer: int) -> int:
    """Return the bytes of a row of `attn_kv_b`: the file's own, or computed in q8_0, f16 or bf16 (llama.cpp:2836)."""
    whole = model.tensor(layer, "attn_kv_b.weight")
    if whole is not None:
        return whole_row_bytes(whole.type, model.kv_rank)
    halves = [model.tensor(layer, f"attn_{name}_b.weight") for name in "kv"]
    types = {tensor.type.name for tensor in halves if tensor is not None}
    return whole_row_bytes(_named(types.pop() if types in ({"bf16"}, {"f16"}) else "q8_0"), model.kv_rank)


def latent_source(model: Model, layer: int) -> str:
    """Return the full name of the tensor beside which the computed ones lie."""
    name = "attn_k_b.weight" if model.tensor(layer, "attn_kv_b.weight") is None else "attn_kv_b.weight"
    return f"blk.{layer}.{name}"


def _named(name: str) -> GgmlType:
    kind = type_named(name)
    assert kind is not None
    return kind
