"""Split modes `graph` and `attn`: every layer is spread over all GPUs.

A port of create_split and of what create_tensors does with it (load-tensors.cpp:365-440, 4028-4090 and 4590-5010 of
ik_llama.cpp at 29a54f4): heads and feed-forward columns are shared out in proportion to free memory, corrected by what
each GPU holds so far; norms, routers and MLA's compressed projections are kept by each. Read from the source, not
measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.ggml_types import row_bytes, tensor_bytes
from gpubox.placement.kv_cache import layer_cache_bytes
from gpubox.placement.overrides import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.gguf import Tensor
    from gpubox.placement.flags import Flags
    from gpubox.placement.model import Model

_HEADS_AT_ONCE = 4  # of MLA, so that rows stay whole blocks and attention kernels apply (load-tensors.cpp:4041)
_COLUMNS_AT_ONCE = 16  # of a feed-forward part, unless its type's block is longer
_MIRRORED = ("_norm.weight", "ffn_gate_inp.weight", "exp_probs_b.bias", "attn_q_a.weight", "attn_kv_a_mqa.weight")
_BY_HEAD = ("attn_q_b.weight", "attn_k_b.weight", "attn_v_b.weight", "attn_q.weight", "attn_q.bias")
_BY_HEAD_KV = ("attn_k.weight", "attn_v.weight", "attn_k.bias", "attn_v.bias")
_FEED_FORWARD = (
    ("ffn_down.weight", ("ffn_up.weight", "ffn_gate.weight")),
    ("ffn_down_exps.weight", ("ffn_up_exps.weight", "ffn_gate_exps.weight", "ffn_gate_up_exps.weight")),
    ("ffn_down_shexp.weight", ("ffn_up_shexp.weight", "ffn_gate_shexp.weight")),
)


@dataclass(frozen=True)
class GraphSplit:
    """What each GPU gets of the layers that are spread, bytes by GPU.

    Attributes:
        weights: of the spread tensors.
        kv: of the KV cache; MLA's is kept whole by each GPU (llama.cpp:985).
        transposed: MLA's computed copies of `attn_k_b`, with MLA 2 and 3 (llama.cpp:2590-2730).
        spread: the names of the spread tensors; the others stay whole where they are.
    """

    weights: tuple[int, ...]
    kv: tuple[int, ...]
    transposed: tuple[int, ...]
    spread: frozenset[str]


def create_split(count: int, unit: int, points: Sequence[float], used: Sequence[int]) -> list[int]:
    """Return how much of `count`, in units, each GPU gets (create_split, load-tensors.cpp:365).

    Args:
        count: rows, columns or heads.
        unit: the least that can be given.
        points: cumulative shares of the GPUs.
        used: bytes that each GPU holds so far.
    """
    chunks = count // unit
    total = sum(used) + 1
    shares = [point - before for point, before in zip(points, [0.0, *points], strict=False)]
    wanted = [(2 * share - held / total) * chunks for share, held in zip(shares, used, strict=True)]
    result = [max(math.floor(want + 0.5), 0) for want in wanted]
    gpus = range(len(result))
    while sum(result) > chunks:
        result[max((gpu for gpu in gpus if result[gpu]), key=lambda gpu: result[gpu] - wanted[gpu])] -= 1
    while sum(result) < chunks:
        result[max(gpus, key=lambda gpu: wanted[gpu] - result[gpu])] += 1
    return [given * unit for given in result]


def split_by_graph(
    model: Model, flags: Flags, points: Sequence[float], homes: Mapping[str, int], n_ctx: int, mla: int, first: int
) -> GraphSplit:
    """Return what each GPU gets.

    Args:
        model: the model.
        flags: the flags.
        points: cumulative shares of the GPUs.
        homes: where each tensor goes; those on the host or moved by an override stay whole.
        n_ctx: cells of the KV cache.
        mla: the MLA variant in force.
        first: the first layer that is not on the host.
    """
    gpus = range(len(points))
    used = [0] * len(points)
    kv, transposed = [0] * len(points), [0] * len(points)
    spread: set[str] = set()

    def give(layer: int, name: str, pieces: Sequence[int], dimension: int) -> None:
        tensor = model.tensor(layer, name)
        full = f"blk.{layer}.{name}"
        if tensor is None or homes.get(full, HOST) == HOST:
            return
        spread.add(full)
        for gpu in gpus:
            if pieces[gpu] > 0:
                used[gpu] += _piece_bytes(tensor, pieces[gpu], dimension)

    for layer in range(first, model.n_layer - model.n_draft):
        everyone = [1] * len(points)
        heads, heads_kv = model.n_head[layer], model.n_head_kv[layer]
        if model.mla:
            by_head = create_split(heads, _HEADS_AT_ONCE, points, used)
        else:
            by_head = create_split(heads, max(heads // max(heads_kv, 1), 1), points, used)
        for name in model.layers[layer]:
            short = name[len(f"blk.{layer}.") :]
            if short.endswith(_MIRRORED):
                give(layer, short, everyone, -1)
            elif short in _BY_HEAD:
                per_head = 1 if short in {"attn_k_b.weight", "attn_v_b.weight"} else model.head_k
                give(layer, short, [head * per_head for head in by_head], _outer(model, layer, short))
            elif short in _BY_HEAD_KV:
                width = model.head_k if "attn_k" in short else model.head_v
                pieces = [head * heads_kv // max(heads, 1) * width for head in by_head]
                give(layer, short, pieces, _outer(model, layer, short))
            elif short == "attn_output.weight":
                give(layer, short, [head * model.head_v for head in by_head], 0)
        for down, ups in _FEED_FORWARD:
            tensor = model.tensor(layer, down)
            if tensor is None or homes.get(f"blk.{layer}.{down}", HOST) == HOST:
                continue
            columns = create_split(tensor.ne[0], max(tensor.type.block, _COLUMNS_AT_ONCE), points, used)
            give(layer, down, columns, 0)
            for up in ups:
                doubled = 2 if "gate_up" in up else 1
                give(layer, up, [column * doubled for column in columns], 1)
        for gpu in gpus:
            if by_head[gpu]:
                whole = layer_cache_bytes(model, flags, layer, n_ctx, mla)
                kv[gpu] += whole if model.mla else whole * by_head[gpu] // heads
                transposed[gpu] += _transposed_bytes(model, layer, by_head[gpu]) if mla > 1 else 0
    return GraphSplit(tuple(used), tuple(kv), tuple(transposed), frozenset(spread))


def _outer(model: Model, layer: int, name: str) -> int:
    """Return the dimension along which heads lie: the last."""
    tensor = model.tensor(layer, name)
    return len(tensor.ne) - 1 if tensor is not None else 0


def _piece_bytes(tensor: Tensor, piece: int, dimension: int) -> int:
    ne = list(tensor.ne)
    if dimension >= 0:
        ne[dimension] = piece
    blocks = -(-ne[0] // tensor.type.block) * tensor.type.block
    return tensor_bytes(tensor.type, [blocks, *ne[1:]])


def _transposed_bytes(model: Model, layer: int, heads: int) -> int:
    tensor = model.tensor(layer, "attn_k_b.weight")
    if tensor is None:
        return 0
    return row_bytes(tensor.type, model.kv_rank) * (model.head_k - model.n_rot) * heads
