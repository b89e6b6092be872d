"""The attention of one layer as a piece of the computation graph: latent (MLA) and grouped-query.

Only what shapes memory is told: sizes, order, what is a view, what runs where. Flash attention is taken to be on.
Source: graphs/build_deepseek2.cpp:326-760 and llama-build-context.cpp:1832-3080 of ik_llama.cpp at 29a54f4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.ggml_types import whole_row_bytes
from gpubox.placement.latent_weights import computed_weights, kv_b_row_bytes, latent_source
from gpubox.placement.tensor_graph import F16, F32, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpubox.ggml_types import GgmlType
    from gpubox.placement.model import Model
    from gpubox.placement.tensor_graph import TensorGraph

_MASK_PAD = 16  # rows (GGML_KQ_MASK_PAD)


@dataclass(frozen=True)
class Pass:
    """One pass of the engine over a batch.

    Attributes:
        model: what is computed.
        graph: where it is written down.
        n_kv: cells of the cache that are looked at: all of them when buffers are sized.
        cache_type: type of the (K) cache.
        max_batch: cap of the expanded K and V, MiB; 0: none.
        merged: whether Q and K/V projections are merged.
        fused_moe: whether experts' up and gate are one operation.
        fused_up_gate: whether a dense layer's up and gate are one operation.
        fused_sum: whether experts are weighed and summed in one operation.
        homes: the device of every weight, by name.
        position: the positions' input.
        mask: the attention mask's input.
        gpus: the number of GPUs.
    """

    model: Model
    graph: TensorGraph
    n_kv: int
    cache_type: GgmlType
    max_batch: int
    merged: bool
    fused_moe: bool
    fused_up_gate: bool
    fused_sum: bool
    homes: Mapping[str, int]
    position: Node
    mask: Node
    gpus: int

    def weight(self, layer: int, name: str) -> Node | None:
        """Return a layer's weights by their short name, or None where it has none."""
        full = f"blk.{layer}.{name}"
        if full not in self.homes:
            return None
        tensor = self.model.tensors[full]
        padding = -tensor.ne[0] % 512 if tensor.type.block > 1 else 0  # ggml-cuda.cu:746
        size = tensor.nbytes + (whole_row_bytes(tensor.type, padding) if padding else 0)
        return self.graph.weight(size, self.homes[full])

    def need(self, layer: int, name: str) -> Node:
        """Return a layer's weights that the computation can't do without."""
        weight = self.weight(layer, name)
        return weight if weight is not None else self.graph.weight(0, 0)


def mask_bytes(n_kv: int, tokens: int) -> int:
    """Return the bytes of the attention mask: f16, rows padded (build-context.cpp:374)."""
    return n_kv * -(-tokens // _MASK_PAD) * _MASK_PAD * F16


def norm(run: Pass, source: Node, width: int, weight: Node | None) -> Node:
    """Return the normalised `source` (ggml_fused_rms_norm, which does not write over its source)."""
    return run.graph.op("norm", width, *([weight] if weight else []), source)


def heads_per_step(n_head: int, size_mib: int, cap_mib: int) -> int:
    """Return how many heads MLA 3 expands at a time (build_deepseek2.cpp:497-508).

    Args:
        n_head: all heads.
        size_mib: K and V of all heads in f32, whole MiB.
        cap_mib: `-amb`; 0: none.
    """
    if cap_mib <= 0 or size_mib <= cap_mib:
        return n_head
    for steps in range(2, n_head):
        if n_head % steps == 0 and size_mib // steps <= cap_mib:
            return n_head // steps
    return 1


def latent_attention(run: Pass, layer: int, source: Node, cache: Node, *, expand: bool) -> Node:
    """Add one layer's latent attention and return its output, [n_embd, tokens].

    Args:
        run: the pass.
        layer: its number.
        source: the layer's input.
        cache: the layer's KV cache.
        expand: whether K and V are expanded head by head (MLA 2 and 3, long batches) instead of absorbed.
    """
    model, graph = run.model, run.graph
    heads = model.n_head[layer]
    rope, rank = model.n_rot, model.kv_rank
    value = model.head_v
    cur = norm(run, source, model.n_embd, run.weight(layer, "attn_norm.weight"))
    q, latent, k_rope_source = _projections(run, layer, cur)
    q_nope, q_rope = graph.view(q), graph.view(q)
    k_rope, compressed = graph.view(k_rope_source), graph.view(latent)
    graph.expand(q_rope)
    graph.expand(k_rope)
    q_rope = graph.op("rope", rope * heads, q_rope, run.position)
    k_rope = graph.op("rope", rope, k_rope, run.position)
    graph.expand(q_rope)
    graph.expand(k_rope)
    compressed = norm(run, compressed, rank, run.weight(layer, "attn_kv_a_norm.weight"))
    graph.expand(graph.store(graph.op("concat", rank + rope, graph.view(k_rope), compressed), cache))
    row = whole_row_bytes(run.cache_type, rank + rope)
    if expand:
        cur = _expanded(run, layer, (q_rope, q_nope), cache, row)
    else:
        absorbed = graph.op("mul_mat", rank * heads, _half(run, layer, "attn_k_b.weight"), graph.view(q_nope))
        q_full = graph.op("concat", (rank + rope) * heads, graph.view(q_rope), absorbed)
        keys, values = graph.view(cache, row * run.n_kv), graph.view(cache, row * run.n_kv)
        attended = graph.op("flash_attn", rank * heads, q_full, keys, values, run.mask)
        kqv = graph.op("mul_mat", value * heads, _half(run, layer, "attn_v_b.weight"), graph.view(attended))
        cur = graph.view(graph.op("cont", value * heads, graph.view(kqv)))
    graph.expand(cur)
    return graph.op("mul_mat", model.n_embd, run.need(layer, "attn_output.weight"), cur)


def _projections(run: Pass, layer: int, cur: Node) -> tuple[Node, Node, Node]:
    """Return Q, and the compressed K/V twice: to take its latent and its rotated part from."""
    model, graph = run.model, run.graph
    width = model.head_k * model.n_head[layer]
    latent_width = model.kv_rank + model.n_rot
    if not model.q_rank and run.merged:
        merged = graph.op("mul_mat", width + latent_width, run.need(layer, "attn_q.weight"), cur)
        q, latent = graph.view(merged), graph.view(merged)
        return q, latent, latent
    if not model.q_rank:
        q = graph.op("mul_mat", width, run.need(layer, "attn_q.weight"), cur)
        latent = graph.op("mul_mat", latent_width, run.need(layer, "attn_kv_a_mqa.weight"), cur)
        graph.expand(q)
        graph.expand(latent)
        return q, latent, latent
    q_norm, q_b = run.weight(layer, "attn_q_a_norm.weight"), run.need(layer, "attn_q_b.weight")
    if run.merged:
        merged = graph.op("mul_mat", model.q_rank + latent_width, run.need(layer, "attn_q_a.weight"), cur)
        q = graph.op("mul_mat", width, q_b, norm(run, graph.view(merged), model.q_rank, q_norm))
        latent = graph.view(merged)
        return q, latent, latent
    q_a = graph.op("mul_mat", model.q_rank, run.need(layer, "attn_q_a.weight"), cur)
    latent = graph.op("mul_mat", latent_width, run.need(layer, "attn_kv_a_mqa.weight"), cur)
    graph.expand(q_a)
    graph.expand(latent)
    return graph.op("mul_mat", width, q_b, norm(run, q_a, model.q_rank, q_norm)), latent, latent


def _half(run: Pass, layer: int, name: str) -> Node:
    """Return `attn_k_b` or `attn_v_b`, from the file or computed at load."""
    weight = run.weight(layer, name)
    if weight is not None:
        return weight
    size = computed_weights(run.model, layer, 1).get(name, 0)
    return run.graph.weight(size, run.homes[latent_source(run.model, layer)])


def _expanded(run: Pass, layer: int, q: tuple[Node, Node], cache: Node, row: int) -> Node:
    """Expand K and V for some heads at a time and attend (build_deepseek2.cpp:490-600)."""
    model, graph, n_kv = run.model, run.graph, run.n_kv
    heads, rope = model.n_head[layer], model.n_rot
    nope, value = model.head_k - rope, model.head_v
    wkv_b = graph.weight(0, run.homes[latent_source(model, layer)])
    at_once = heads_per_step(heads, (nope + value) * heads * n_kv * F32 // 2**20, run.max_batch)
    slice_bytes = kv_b_row_bytes(model, layer) * (nope + value) * at_once
    latent = graph.view(cache, row * n_kv)
    rotated = graph.view(cache, row * n_kv)
    unit = run.cache_type.bytes / run.cache_type.block
    if run.gpus and run.cache_type.name != "f16":  # f16, since repeating quantised rows is not trusted (lines 515-520)
        unit = F16
        rotated = graph.op("cast", rope, rotated, rows=n_kv, unit=unit)
    k_rope = graph.op("repeat", rope * at_once, rotated, rows=n_kv, unit=unit)
    q_full = graph.view(graph.op("concat", (rope + nope) * heads, *q))
    graph.expand(q_full)
    cur: Node | None = None
    for step in range(heads // at_once):
        both = graph.op("mul_mat", (nope + value) * at_once, graph.view(wkv_b, slice_bytes), latent, rows=n_kv)
        v = graph.op("cast", value * at_once, graph.view(both), rows=n_kv, unit=unit)
        k_nope = graph.op("cast", nope * at_once, graph.view(both), rows=n_kv, unit=unit)
        graph.expand(k_nope)
        graph.expand(v)
        k = graph.expand(graph.op("concat", (rope + nope) * at_once, k_rope, k_nope, rows=n_kv, unit=unit))
        piece = graph.view(graph.op("flash_attn", value * at_once, graph.view(q_full), k, v, run.mask))
        cur = graph.op("concat", value * at_once * (step + 1), cur, piece) if cur else piece
        graph.expand(cur)
    assert cur is not None
    return cur


def grouped_attention(run: Pass, layer: int, source: Node, cache: tuple[Node, Node], outputs: Node | None) -> Node:
    """Add one layer's grouped-query attention and return its output with the input added.

    Args:
        run: the pass.
        layer: its number.
        source: the layer's input, [n_embd, tokens].
        cache: the layer's K and V cache.
        outputs: the rows that are kept, for the last layer; its output has as many.
    """
    model, graph = run.model, run.graph
    heads, heads_kv = model.n_head[layer], model.n_head_kv[layer]
    width, width_k, width_v = model.head_k * heads, model.head_k * heads_kv, model.head_v * heads_kv
    cur = norm(run, source, model.n_embd, run.weight(layer, "attn_norm.weight"))
    fused = run.weight(layer, "attn_qkv.weight")
    if fused is not None or run.merged:
        qkv = graph.op("mul_mat", width + width_k + width_v, fused or run.need(layer, "attn_q.weight"), cur)
        bias = run.weight(layer, "attn_q.bias") or run.weight(layer, "attn_qkv.bias")
        qkv = graph.op("add", width + width_k + width_v, bias, qkv) if bias else qkv
        q, k, v = graph.view(qkv), graph.view(qkv), graph.view(qkv)
    else:
        parts = [("attn_q", width), ("attn_k", width_k), ("attn_v", width_v)]
        made = [graph.op("mul_mat", wide, run.need(layer, f"{name}.weight"), cur) for name, wide in parts]
        for part in made:
            graph.expand(part)
        for index, (name, wide) in enumerate(parts):
            bias = run.weight(layer, f"{name}.bias")
            if bias is not None:
                made[index] = graph.expand(graph.op("add", wide, made[index], bias))
        q, k, v = graph.view(made[0]), graph.view(made[1]), made[2]
    for which, wide in (("q", width), ("k", width_k)):
        weight = run.weight(layer, f"attn_{which}_norm.weight")
        if weight is not None:
            normed = graph.expand(norm(run, q if which == "q" else k, wide, weight))
            q, k = (normed, k) if which == "q" else (q, normed)
    q = graph.op("rope", width, q, run.position)
    k = graph.op("rope", width_k, k, run.position)
    graph.expand(q)
    graph.expand(k)
    graph.expand(v)
    graph.expand(graph.store(k, cache[0]))
    graph.expand(graph.store(v, cache[1]))
    keys = graph.view(cache[0], whole_row_bytes(run.cache_type, model.head_k) * heads_kv * run.n_kv)
    values = graph.view(cache[1], whole_row_bytes(run.cache_type, model.head_v) * heads_kv * run.n_kv)
    attended = graph.view(graph.op("flash_attn", model.head_v * heads, graph.view(q), keys, values, run.mask))
    graph.expand(attended)
    cur = graph.op("mul_mat", model.n_embd, run.need(layer, "attn_output.weight"), attended)
    if outputs is None:
        return graph.op("add", model.n_embd, cur, source)
    kept = outputs.size // 4
    cur = graph.op("get_rows", model.n_embd, cur, outputs, rows=kept)
    return graph.op("add", model.n_embd, cur, graph.op("get_rows", model.n_embd, source, outputs, rows=kept), rows=kept)
