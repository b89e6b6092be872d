"""Split modes `graph` and `attn`: every layer is spread over all GPUs.

A port of create_split and of what create_tensors does with it (load-tensors.cpp:365-440, 4028-4090 and 4590-5010 of
ik_llama.cpp at 29a54f4): heads and feed-forward columns are shared out in proportion to free memory, corrected by what
each GPU holds so far; norms, routers and MLA's compressed projections are kept by each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.ggml_types import tensor_bytes, whole_row_bytes
from gpubox.placement.cuda_pools import in_pages
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
class LayerShares:
    """What of a layer each GPU computes.

    Attributes:
        heads: of its attention, by GPU.
        columns: of its feed-forward parts, by GPU; a part is known by the end of its weights' names: "", `_exps`, `_shexp`.
    """

    heads: tuple[int, ...]
    columns: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class GraphSplit:
    """What each GPU gets of the layers that are spread, bytes by GPU.

    Attributes:
        weights: of the spread tensors.
        kv: of the KV cache; MLA's is kept whole by each GPU (llama.cpp:985).
        transposed: MLA's computed copies of `attn_k_b`, with MLA 2 and 3 (llama.cpp:2590-2730).
        spread: the names of the spread tensors; the others stay whole where they are.
        layers: how each spread layer is shared out.
        unused: ends of pages that nothing uses, since every piece is an allocation of its own (ggml-cuda.cu:841-880).
    """

    weights: tuple[int, ...]
    kv: tuple[int, ...]
    transposed: tuple[int, ...]
    spread: frozenset[str]
    layers: Mapping[int, LayerShares]
    unused: tuple[int, ...]


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
    model: Model,
    flags: Flags,
    points: Sequence[float],
    homes: Mapping[str, int],
    *,
    n_ctx: int,
    mla: int,
    first: int,
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
    sharing = _Sharing(model, points, homes)
    kv, transposed = [0] * len(points), [0] * len(points)
    layers = {}
    for layer in range(first, model.n_layer - model.n_draft):
        by_head = sharing.give_attention(layer)
        columns = sharing.give_feed_forward(layer)
        layers[layer] = LayerShares(tuple(by_head), columns)
        whole = layer_cache_bytes(model, flags, layer, n_ctx, mla)
        for gpu, heads in enumerate(by_head):
            if heads:
                own = whole if model.mla else whole * heads // model.n_head[layer]
                copy = _transposed_bytes(model, layer, heads) if mla > 1 else 0
                kv[gpu] += own
                transposed[gpu] += copy
                sharing.unused[gpu] += in_pages(own) - own + in_pages(copy) - copy
    return GraphSplit(
        tuple(sharing.used), tuple(kv), tuple(transposed), frozenset(sharing.spread), layers, tuple(sharing.unused)
    )


class _Sharing:
    """Tensors being given to GPUs, layer by layer.

    Attributes:
        used: bytes that each GPU holds so far.
        spread: the names of what was given.
        unused: bytes of each GPU's pages that nothing uses.
    """

    def __init__(self, model: Model, points: Sequence[float], homes: Mapping[str, int]) -> None:
        self.used = [0] * len(points)
        self.spread: set[str] = set()
        self.unused = [0] * len(points)
        self._model = model
        self._points = points
        self._homes = homes

    def give_attention(self, layer: int) -> list[int]:
        """Give a layer's attention, norms and router, and return the heads of each GPU."""
        model = self._model
        heads, heads_kv = model.n_head[layer], model.n_head_kv[layer]
        unit = _HEADS_AT_ONCE if model.mla else max(heads // max(heads_kv, 1), 1)
        by_head = create_split(heads, unit, self._points, self.used)
        for name in model.layers[layer]:
            short = name[len(f"blk.{layer}.") :]
            last = len(model.tensors[name].ne) - 1  # heads lie along the last dimension
            if short.endswith(_MIRRORED):
                self._give(layer, short, [1] * len(by_head), -1)
            elif short in _BY_HEAD:
                per_head = 1 if short in {"attn_k_b.weight", "attn_v_b.weight"} else model.head_k
                self._give(layer, short, [given * per_head for given in by_head], last)
            elif short in _BY_HEAD_KV:
                width = model.head_k if "attn_k" in short else model.head_v
                self._give(layer, short, [given * heads_kv // max(heads, 1) * width for given in by_head], last)
            elif short == "attn_output.weight":
                self._give(layer, short, [given * model.head_v for given in by_head], 0)
        return by_head

    def give_feed_forward(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Give a layer's dense part, routed experts and shared experts, and return the columns of each GPU by part."""
        given = {}
        for down, ups in _FEED_FORWARD:
            tensor = self._model.tensor(layer, down)
            if tensor is None or self._homes.get(f"blk.{layer}.{down}", HOST) == HOST:
                continue
            columns = create_split(tensor.ne[0], max(tensor.type.block, _COLUMNS_AT_ONCE), self._points, self.used)
            self._give(layer, down, columns, 0)
            given[down.removeprefix("ffn_down").removesuffix(".weight")] = tuple(columns)
            for up in ups:
                doubled = 2 if "gate_up" in up else 1
                self._give(layer, up, [column * doubled for column in columns], 1)
        return given

    def _give(self, layer: int, name: str, pieces: Sequence[int], dimension: int) -> None:
        tensor = self._model.tensor(layer, name)
        full = f"blk.{layer}.{name}"
        if tensor is None or self._homes.get(full, HOST) == HOST:
            return
        self.spread.add(full)
        for gpu, piece in enumerate(pieces):
            if piece > 0:
                size = _piece_bytes(tensor, piece, dimension)
                self.used[gpu] += size
                self.unused[gpu] += in_pages(size) - size


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
    return whole_row_bytes(tensor.type, model.kv_rank) * (model.head_k - model.n_rot) * heads
