"""One layer that is spread over all GPUs (split modes `graph` and `attn`), as a piece of the computation graph.

Each GPU computes its heads and its columns, and the parts are summed up where they lie, in f16. Source:
build_deepseek2_tp_attention (graphs/build_deepseek2.cpp:10-322), llm_build_std_moe_ffn and llm_build_ffn
(llama-build-context.cpp:744-1700) of ik_llama.cpp at 29a54f4, for models with latent attention.
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.ggml_types import whole_row_bytes
from gpubox.placement.attention import norm
from gpubox.placement.feed_forward import dense, experts
from gpubox.placement.tensor_graph import F16, I32

if TYPE_CHECKING:
    from gpubox.placement.attention import Pass
    from gpubox.placement.graph_split import LayerShares
    from gpubox.placement.tensor_graph import Node

_FEWEST_CELLS = 1024  # of the cache, from which K and V are expanded (k_pp_opt_min_kv)
_FEWEST_IN_F16 = 33  # tokens from which parts are summed up in f16 (reduce_type)


def spread_layer(
    run: Pass, shares: LayerShares, layer: int, source: Node, outputs: Node | None, *, expand: bool, main_gpu: int
) -> Node:
    """Add a spread layer and return its result.

    Args:
        run: the pass.
        shares: what each GPU computes.
        layer: its number.
        source: the layer's input.
        outputs: the rows that are kept, for the last layer.
        expand: whether K and V are expanded (MLA 2 and 3, long batches) instead of absorbed.
        main_gpu: the GPU that computes what is not spread.
    """
    graph = run.graph
    cur = _attention(run, shares, source, expand=expand and run.n_kv >= _FEWEST_CELLS)
    rows = graph.tokens
    if outputs is not None:
        rows = outputs.size // I32
        cur = graph.op("get_rows", run.model.n_embd, cur, outputs, rows=rows)
    return _feed_forward(run, shares, layer, cur, rows, main_gpu=main_gpu)


def _on_gpu(run: Pass, layer: int, gpu: int) -> Pass:
    """Return the pass as one GPU sees it, on which a part of every weight of the layer lies."""
    spread = {name: gpu for name in run.model.layers[layer] if run.homes.get(name, run.gpus) != run.gpus}
    return replace(run, homes=ChainMap(spread, dict(run.homes)))


def _input(run: Pass, source: Node, gpu: int) -> Node:
    """Return a GPU's copy of a sum, which lies where its part lay, or the source (get_input_tensor_sm_graph)."""
    if source.op != "reduce":
        return source
    for part in source.sources:
        if part.fixed == gpu:
            return source if part is source.root else part
    extra = run.graph.op("leaf", run.model.n_embd, unit=F16)
    extra.fixed = extra.device = gpu
    source.sources.append(extra)
    return extra


def _shrunk(run: Pass, part: Node, rows: int) -> Node:
    return run.graph.op("cast", run.model.n_embd, part, rows=rows, unit=F16) if rows >= _FEWEST_IN_F16 else part


def _attention(run: Pass, shares: LayerShares, source: Node, *, expand: bool) -> Node:
    graph, width = run.graph, run.model.n_embd
    parts: dict[int, Node] = {}
    for gpu, heads in enumerate(shares.heads):
        if not heads:
            continue
        taken = _input(run, source, gpu)
        part = graph.op("mul_mat", width, graph.weight(0, gpu), _heads(run, taken, gpu, heads, expand=expand))
        if not parts:
            part = graph.op("add", width, part, taken)
        parts[gpu] = graph.expand(_shrunk(run, part, graph.tokens))
    return graph.expand(graph.reduce(parts))


def _heads(run: Pass, source: Node, gpu: int, heads: int, *, expand: bool) -> Node:
    """Return what one GPU's heads attend to, [head_v * heads, tokens]."""
    model, graph = run.model, run.graph
    rope, rank, value, nope = model.n_rot, model.kv_rank, model.head_v, model.head_k - model.n_rot
    weight = graph.weight(0, gpu)
    cur = norm(run, source, model.n_embd, weight)
    if model.q_rank:
        q = graph.expand(graph.op("mul_mat", model.q_rank, weight, cur))
        q = graph.op("mul_mat", model.head_k * heads, weight, norm(run, q, model.q_rank, weight))
    else:
        q = graph.expand(graph.op("mul_mat", model.head_k * heads, weight, cur))
    q_nope, q_rope = graph.view(q), graph.view(q)
    latent = graph.expand(graph.op("mul_mat", rank + rope, weight, cur))
    k_rope, compressed = graph.view(latent), graph.view(latent)
    q_rope = graph.op("rope", rope * heads, q_rope, run.position)
    k_rope = graph.op("rope", rope, k_rope, run.position)
    compressed = norm(run, compressed, rank, weight)
    cache = graph.cache(gpu)
    graph.expand(graph.store(graph.op("concat", rank + rope, graph.view(k_rope), compressed), cache))
    row = whole_row_bytes(run.cache_type, rank + rope) * run.n_kv
    if not expand:
        absorbed = graph.op("mul_mat", rank * heads, weight, graph.view(q_nope))
        both = graph.op("concat", (rank + rope) * heads, graph.view(q_rope), absorbed)
        attended = graph.op("flash_attn", rank * heads, both, graph.view(cache, row), graph.view(cache, row), run.mask)
        kqv = graph.op("mul_mat", value * heads, weight, graph.view(attended))
        return graph.view(graph.op("cont", value * heads, graph.view(kqv)))
    latents, rotated = graph.view(cache, row), graph.view(cache, row)
    if run.cache_type.name != "f16":
        rotated = graph.op("cast", rope, rotated, rows=run.n_kv, unit=F16)
    k_rope = graph.op("repeat", rope * heads, rotated, rows=run.n_kv, unit=F16)
    v = graph.view(graph.op("mul_mat", value * heads, graph.view(weight), latents, rows=run.n_kv))
    k_nope = graph.view(graph.op("mul_mat", nope * heads, graph.view(weight), latents, rows=run.n_kv))
    v = graph.op("cast", value * heads, v, rows=run.n_kv, unit=F16)
    k_nope = graph.op("cast", nope * heads, k_nope, rows=run.n_kv, unit=F16)
    graph.expand(v)
    graph.expand(k_nope)
    k = graph.expand(graph.op("concat", model.head_k * heads, k_rope, k_nope, rows=run.n_kv, unit=F16))
    both = graph.expand(graph.view(graph.op("concat", model.head_k * heads, q_rope, q_nope)))
    return graph.view(graph.op("flash_attn", value * heads, both, k, v, run.mask))


def _feed_forward(run: Pass, shares: LayerShares, layer: int, source: Node, rows: int, *, main_gpu: int) -> Node:
    graph, model = run.graph, run.model
    routed = shares.columns.get("_exps")
    if model.tensor(layer, "ffn_gate_inp.weight") is not None and routed is None:
        return _around_host_experts(run, shares, layer, source, rows, main_gpu=main_gpu)
    suffix = "" if routed is None else "_exps"
    parts: dict[int, Node] = {}
    for gpu, columns in enumerate(shares.columns[suffix]):
        if not columns:
            continue
        own = _on_gpu(run, layer, gpu)
        cur = graph.op("norm", model.n_embd, graph.weight(0, gpu), _input(run, source, gpu), rows=rows)
        cur.cuts = suffix == "_exps" or source.op != "reduce"
        if suffix:
            shared = shares.columns.get("_shexp")
            part = experts(own, layer, cur, rows, width=columns)
            if shared is not None:
                beside = dense(own, layer, cur, rows, "_shexp", width=shared[gpu])
                part = graph.op("add", model.n_embd, part, beside, rows=rows)
        else:
            part = dense(own, layer, cur, rows, "", width=columns)
        parts[gpu] = graph.expand(_shrunk(run, part, rows))
    last = list(parts)[-1]
    unit = F16 if rows >= _FEWEST_IN_F16 else 4
    parts[last] = graph.op("add", model.n_embd, parts[last], source, rows=rows, unit=unit)
    return graph.expand(graph.reduce(parts))


def _around_host_experts(run: Pass, shares: LayerShares, layer: int, source: Node, rows: int, *, main_gpu: int) -> Node:
    """Return a layer's output whose routed experts are on the host; its shared ones are spread."""
    graph, model = run.graph, run.model
    cur = graph.op("norm", model.n_embd, graph.weight(0, main_gpu), source, rows=rows)
    routed = experts(_on_gpu(run, layer, main_gpu), layer, cur, rows)
    routed = graph.expand(graph.op("add", model.n_embd, routed, source, rows=rows))
    shared = shares.columns.get("_shexp")
    if shared is None:
        return routed
    adding = main_gpu if shared[main_gpu] else next(gpu for gpu, columns in enumerate(shared) if columns)
    parts: dict[int, Node] = {}
    for gpu, columns in enumerate(shared):
        if not columns:
            continue
        cur = graph.op("norm", model.n_embd, graph.weight(0, gpu), source, rows=rows)
        part = dense(_on_gpu(run, layer, gpu), layer, cur, rows, "_shexp", width=columns)
        if gpu == adding:
            part = graph.op("add", model.n_embd, part, routed, rows=rows)
        parts[gpu] = graph.expand(_shrunk(run, part, rows))
    return graph.expand(graph.reduce(parts))
