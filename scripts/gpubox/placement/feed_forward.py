"""The feed-forward part of one layer, dense or of experts, as a piece of the computation graph.

Source: llama-build-context.cpp:744-1540 and graphs/build_deepseek2.cpp:850-930 of ik_llama.cpp at 29a54f4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.placement.tensor_graph import F32, Node

if TYPE_CHECKING:
    from gpubox.placement.attention import Pass


def feed_forward(run: Pass, layer: int, source: Node, rows: int) -> Node:
    """Add a layer's feed-forward part and return its output with the input added, [n_embd, rows].

    Args:
        run: the pass.
        layer: its number.
        source: the output of its attention.
        rows: tokens in it.
    """
    model, graph = run.model, run.graph
    weight = run.weight(layer, "ffn_norm.weight") or run.weight(layer, "post_attention_norm.weight")
    cur = graph.op("norm", model.n_embd, *([weight] if weight else []), source, rows=rows)
    if model.tensor(layer, "ffn_gate_inp.weight") is None:
        out = dense(run, layer, cur, rows, "")
        return graph.op("add", model.n_embd, out, source, rows=rows)
    routed = experts(run, layer, cur, rows)
    has_shared = model.tensor(layer, "ffn_up_shexp.weight") is not None
    if model.mla:
        out = (
            graph.op("add", model.n_embd, routed, dense(run, layer, cur, rows, "_shexp"), rows=rows)
            if has_shared
            else routed
        )
        return graph.op("add", model.n_embd, out, source, rows=rows)
    # A llama of experts (Mixtral) adds the normed input instead (build_llama.cpp:169-182).
    added = cur if model.architecture == "llama" else source
    routed = graph.expand(graph.op("add", model.n_embd, routed, added, rows=rows))
    if not has_shared:
        return routed
    shared = dense(run, layer, cur, rows, "_shexp")
    return graph.expand(graph.op("add", model.n_embd, routed, shared, rows=rows))


def dense(run: Pass, layer: int, cur: Node, rows: int, suffix: str, *, width: int = 0) -> Node:
    """Add a feed-forward part without experts and return its output.

    Args:
        run: the pass.
        layer: its number.
        cur: its input, normalised.
        rows: tokens in it.
        suffix: of the weights' names: `_shexp` for shared experts.
        width: columns that are computed here; 0: all.
    """
    model, graph = run.model, run.graph
    up = model.tensor(layer, f"ffn_up{suffix}.weight")
    gate = model.tensor(layer, f"ffn_gate{suffix}.weight")
    down = run.need(layer, f"ffn_down{suffix}.weight")
    width = width or (up.ne[1] if up else model.n_embd)
    up_weight = run.need(layer, f"ffn_up{suffix}.weight")
    if up is None or gate is None:
        raised = graph.op("unary", width, graph.op("mul_mat", width, up_weight, cur, rows=rows), rows=rows)
        return graph.op("mul_mat", model.n_embd, down, raised, rows=rows)
    gate_weight = run.need(layer, f"ffn_gate{suffix}.weight")
    if run.fused_up_gate and up.type.block > 1 and up.type == gate.type:
        joined = graph.op("fused_up_gate", width, up_weight, gate_weight, cur, rows=rows)
    else:
        raised = graph.op("mul_mat", width, up_weight, cur, rows=rows)
        gated = graph.op("mul_mat", width, gate_weight, cur, rows=rows)
        joined = graph.op("fused_mul_unary", width, gated, raised, rows=rows)
    return graph.op("mul_mat", model.n_embd, down, joined, rows=rows)


def experts(run: Pass, layer: int, cur: Node, rows: int, *, width: int = 0) -> Node:
    """Add the router and the routed experts and return their weighed sum.

    Args:
        run: the pass.
        layer: its number.
        cur: their input, normalised.
        rows: tokens in it.
        width: columns of each expert that are computed here; 0: all.
    """
    model, graph = run.model, run.graph
    used, of = model.n_expert_used, model.n_expert
    logits = graph.op("mul_mat", of, run.need(layer, "ffn_gate_inp.weight"), cur, rows=rows)
    probs = graph.op("unary" if model.architecture != "qwen3moe" else "soft_max", of, logits, rows=rows)
    bias = run.weight(layer, "exp_probs_b.bias")
    biased = graph.op("add", of, probs, bias, rows=rows) if bias else probs
    sorted_ = graph.op("argsort", of, biased, rows=rows)
    chosen = graph.view(sorted_)
    weights = graph.op("get_rows", used, graph.view(probs), chosen, rows=rows)
    if model.norms_experts:
        flat = graph.view(weights)
        weights = graph.view(graph.op("div", used, flat, graph.op("sum_rows", 1, flat, rows=rows), rows=rows))
    if model.scales_experts:
        weights = graph.op("scale", used, weights, rows=rows)
    graph.expand(weights)
    tokens = graph.view(cur)
    merged = model.tensor(layer, "ffn_gate_up_exps.weight")
    up, gate = model.tensor(layer, "ffn_up_exps.weight"), model.tensor(layer, "ffn_gate_exps.weight")
    if merged is not None:
        width = width or merged.ne[1] // 2
        weight = run.need(layer, "ffn_gate_up_exps.weight")
        joined = graph.experts("moe_up_gate", width, weight, tokens, chosen, used=used, of=of, rows=rows)
    else:
        width = width or (up.ne[1] if up else model.n_embd)
        up_weight, gate_weight = run.need(layer, "ffn_up_exps.weight"), run.need(layer, "ffn_gate_exps.weight")
        if run.fused_moe and (up is None or gate is None or up.type == gate.type):
            joined = graph.experts(
                "moe_up_gate", width, up_weight, gate_weight, tokens, chosen, used=used, of=of, rows=rows
            )
        else:
            raised = graph.experts("mul_mat_id", width, up_weight, tokens, chosen, used=used, of=of, rows=rows)
            gated = graph.experts("mul_mat_id", width, gate_weight, tokens, chosen, used=used, of=of, rows=rows)
            graph.expand(raised)
            graph.expand(gated)
            joined = graph.op("fused_mul_unary", width * used, gated, raised, rows=rows)
    down = run.need(layer, "ffn_down_exps.weight")
    out = graph.experts("mul_mat_id", model.n_embd, down, joined, chosen, used=used, of=of, rows=rows)
    if run.fused_sum:
        return graph.op("mul_multi_add", model.n_embd, out, weights, rows=rows)
    weighed = Node("mul", model.n_embd * used * rows * F32, out.layout, [out, weights])
    return graph.op("multi_add", model.n_embd, graph.view(weighed), rows=rows)
