"""The whole computation graph with which the engine sizes its compute buffers, and their sizes.

One pass of `-ub` tokens over a full cache (llama.cpp:7395-7440). After some layers that are alike the space they leave
behind repeats itself, so a long run of them is represented by fewer; `representatives` off computes them all, to the same end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gpubox.placement.attention import Pass, grouped_attention, latent_attention, mask_bytes, norm
from gpubox.placement.feed_forward import feed_forward
from gpubox.placement.scheduler import compute_buffers
from gpubox.placement.spread_layer import spread_layer
from gpubox.placement.tensor_graph import F32, I32, TensorGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from gpubox.placement.flags import Flags
    from gpubox.placement.graph_split import LayerShares
    from gpubox.placement.model import Model
    from gpubox.placement.tensor_graph import Node

_FEWEST_FOR_PP = 128  # tokens from which MLA 2 and 3 expand K and V (build_deepseek2.cpp:776)
# Layers of a run until what each leaves free in the buffers repeats itself, and a multiple of how often it does; found by
# trying thousands of placements against all of their layers.
_SETTLING, _PERIOD = 4, 12
_UNUSED = ("indexer.", "nextn.")  # loaded, but no part of the graph

# Searches place a model dozens of times, and most of their graphs are alike.
_sized: WeakKeyDictionary[Model, dict[Hashable, tuple[int, ...]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Setting:
    """What a pass depends on.

    Attributes:
        model: the model.
        flags: the flags in force.
        n_ctx: cells of the KV cache.
        mla: the MLA variant in force; 0 for other models.
        merged: whether projections are merged.
        homes: the device of every loaded weight by name; the host is number `gpus`.
        kv_homes: the device of each layer's KV cache.
        gpus: the number of GPUs.
        representatives: whether few layers stand for all alike.
        spread: the layers that are spread over all GPUs.
    """

    model: Model
    flags: Flags
    n_ctx: int
    mla: int
    merged: bool
    homes: Mapping[str, int]
    kv_homes: Sequence[int]
    gpus: int
    representatives: bool = True
    spread: Mapping[int, LayerShares] = field(default_factory=dict)


def main_compute_buffers(setting: Setting) -> list[int]:
    """Return the compute buffers of the main context by device, the host last; bytes."""
    layers = _representatives(setting)
    return _remembered("main", setting, layers, lambda: _main(setting, layers))


def _main(setting: Setting, layers: Sequence[int]) -> list[int]:
    model, flags = setting.model, setting.flags
    tokens = min(flags.ubatch_size, setting.n_ctx)
    run = _begin(setting, tokens)
    graph = run.graph
    cur = graph.op("get_rows", model.n_embd, _outside(run, "token_embd.weight"), graph.input(tokens * I32))
    mtp = flags.mtp and model.n_draft > 0
    kept = tokens if mtp else min(flags.worst_graph_tokens or tokens, tokens)
    outputs = None if mtp else graph.input(kept * I32)
    for layer in layers:
        last = layer == layers[-1]
        cur = _layer(run, setting, layer, cur, outputs if last else None)
    cur = graph.op("norm", model.n_embd, _outside(run, "output_norm.weight"), cur, rows=kept)
    graph.expand(graph.op("mul_mat", model.n_vocab, _head(run), cur, rows=kept))
    return compute_buffers(graph, setting.gpus)


def draft_compute_buffers(setting: Setting) -> list[int]:
    """Return the compute buffers of the MTP context by device, the host last; bytes (build_deepseek2.cpp:960)."""
    return _remembered("draft", setting, [setting.model.n_layer - 1], lambda: _draft(setting))


def _draft(setting: Setting) -> list[int]:
    model, flags = setting.model, setting.flags
    tokens = min(flags.ubatch_size, setting.n_ctx)
    kept = min(flags.worst_graph_tokens or tokens, tokens)
    layer = model.n_layer - 1
    run = _begin(setting, tokens)
    graph = run.graph
    embedding = run.weight(layer, "nextn.embed_tokens.weight") or _outside(run, "token_embd.weight")
    hidden = graph.input(model.n_embd * tokens * F32)
    token = graph.op("get_rows", model.n_embd, embedding, graph.input(tokens * I32))
    normed = norm(run, token, model.n_embd, run.weight(layer, "nextn.enorm.weight"))
    state = norm(run, hidden, model.n_embd, run.weight(layer, "nextn.hnorm.weight"))
    both = graph.op("concat", 2 * model.n_embd, normed, state)
    cur = graph.op("mul_mat", model.n_embd, run.need(layer, "nextn.eh_proj.weight"), both)
    cur = _layer(run, setting, layer, cur, graph.input(kept * I32), draft=True)
    cur = graph.op("norm", model.n_embd, run.need(layer, "nextn.shared_head_norm.weight"), cur, rows=kept)
    head = run.weight(layer, "nextn.shared_head_head.weight") or _head(run)
    graph.expand(graph.op("mul_mat", model.n_vocab, head, cur, rows=kept))
    return compute_buffers(graph, setting.gpus)


def _remembered(context: str, setting: Setting, layers: Sequence[int], compute: Callable[[], list[int]]) -> list[int]:
    """Return what `compute` gives for these layers, from memory where such a graph was sized before."""
    graphs = _sized.setdefault(setting.model, {})
    homes = [setting.homes.get(name) for name in ("token_embd.weight", "output_norm.weight", "output.weight")]
    placing = {"overrides": (), "n_gpu_layers": 0, "n_cpu_moe": 0, "tensor_split": (), "ctx_size": 0}
    key = (
        context,
        replace(setting.flags, **placing),  # type: ignore[arg-type]  # the fields that only move weights
        (setting.n_ctx, setting.mla, setting.merged, setting.gpus),
        tuple(homes),
        tuple(_signature(setting, layer) for layer in layers),
    )
    if key not in graphs:
        graphs[key] = tuple(compute())
    return list(graphs[key])


def _begin(setting: Setting, tokens: int) -> Pass:
    graph = TensorGraph(tokens)
    flags = setting.flags
    return Pass(
        model=setting.model,
        graph=graph,
        n_kv=setting.n_ctx,
        cache_type=flags.kv_type(key=True),
        max_batch=flags.attention_max_batch,
        merged=setting.merged,
        fused_moe=flags.fused_moe,
        fused_up_gate=flags.fused_up_gate,
        fused_sum=flags.fused_mul_multiadd,
        homes=setting.homes,
        position=graph.input(tokens * I32),
        mask=graph.input(mask_bytes(setting.n_ctx, tokens)),
        gpus=setting.gpus,
    )


def _layer(run: Pass, setting: Setting, layer: int, source: Node, outputs: Node | None, *, draft: bool = False) -> Node:
    """Add one layer, of whose result the rows `outputs` are kept, and return its result."""
    model, graph = run.model, run.graph
    home = setting.kv_homes[layer]
    kept = outputs.size // I32 if outputs is not None else graph.tokens
    shares = setting.spread.get(layer)
    if shares is not None and model.mla:
        expand = setting.mla > 1 and graph.tokens >= _FEWEST_FOR_PP
        main_gpu = min(max(setting.flags.main_gpu, 0), setting.gpus - 1)
        return spread_layer(run, shares, layer, source, outputs, expand=expand, main_gpu=main_gpu)
    if model.mla and setting.mla:
        expand = not draft and setting.mla > 1 and graph.tokens >= _FEWEST_FOR_PP
        cur = latent_attention(run, layer, source, graph.cache(home), expand=expand)
        if draft:
            cur = graph.op("add", model.n_embd, cur, source)
            cur = cur if outputs is None else graph.op("get_rows", model.n_embd, cur, outputs, rows=kept)
        else:
            if outputs is not None:
                cur = graph.op("get_rows", model.n_embd, cur, outputs, rows=kept)
                source = graph.op("get_rows", model.n_embd, source, outputs, rows=kept)
            cur = graph.op("add", model.n_embd, cur, source, rows=kept)
    else:
        cur = grouped_attention(run, layer, source, (graph.cache(home), graph.cache(home)), outputs)
    return feed_forward(run, layer, cur, kept)


def _representatives(setting: Setting) -> list[int]:
    """Return the layers that stand for all: of each run of equal ones as many as leave the buffers as the whole run does."""
    model = setting.model
    layers = range(model.n_layer - model.n_draft)
    if not setting.representatives:
        return list(layers)
    chosen: list[int] = []
    for _, equal in groupby(layers, key=lambda layer: _signature(setting, layer)):
        run = list(equal)
        surplus = max(len(run) - _SETTLING, 0) // _PERIOD * _PERIOD
        chosen += run[surplus:]
    return chosen


def _signature(setting: Setting, layer: int) -> tuple[object, ...]:
    """Return what decides a layer's part in the graph: its weights' names, sizes and homes, and its cache's home."""
    model = setting.model
    prefix = len(f"blk.{layer}.")
    weights = [
        (name[prefix:], model.tensors[name].nbytes, setting.homes[name])
        for name in model.layers[layer]
        if name in setting.homes and not name.startswith(_UNUSED, prefix)
    ]
    shares = setting.spread.get(layer)
    shared = shares and (shares.heads, *sorted(shares.columns.items()))
    return (setting.kv_homes[layer], shared, tuple(sorted(weights)))


def _outside(run: Pass, name: str) -> Node:
    """Return weights outside the layers."""
    tensor = run.model.tensors.get(name)
    return run.graph.weight(tensor.nbytes if tensor else 0, run.homes.get(name, 0))


def _head(run: Pass) -> Node:
    """Return the output matrix; models without one use a copy of the embedding (load-tensors.cpp:519)."""
    tensor = run.model.tensors.get("output.weight") or run.model.tensors["token_embd.weight"]
    return run.graph.weight(tensor.nbytes, run.homes["output.weight"])
