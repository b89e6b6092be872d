"""A computation graph of the engine, as far as its memory is concerned: tensors, what they are made from, and order.

Nodes enter the graph as ggml_build_forward_expand lets them: what a tensor is made from first, from left to right
(ggml.c, ggml_visit_parents). The order decides which buffers can be used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

F32 = 4
F16 = 2
I32 = 4

# Operations that may write over one of their sources (ggml-alloc.c, ggml_op_can_inplace).
IN_PLACE = frozenset({"add", "mul", "div", "scale", "unary", "rope", "soft_max"})


class Node:
    """A tensor of the graph.

    Attributes:
        op: what makes it: `leaf`, `input`, `view`, `cpy`, or an operation; only some names matter, see `IN_PLACE`.
        size: bytes that it takes when it is allocated, or copied to another device.
        layout: equal for tensors of equal type, shape and strides.
        sources: what it is made from.
        root: of a view, the tensor that it looks into.
        home: the device of a tensor that has its memory already (weights, KV cache); None for computed ones.
        weight: whether it holds weights.
        offloads: whether a GPU would rather copy the weights than leave this operation to the CPU.
        fixed: the device that it runs on whatever its sources are; None where they decide.
        cuts: whether a new split of the graph begins with it.
        seen: whether it is in the graph.
        device: where it is computed or lies; None until the scheduler says so.
        children: how many nodes still need it, while buffers are sized.
        views: how many views look into it, while buffers are sized.
        offset: where in its device's buffer it lies; None while it has no place of its own.
    """

    __slots__ = (
        "children", "cuts", "device", "fixed", "home", "layout", "offloads", "offset", "op", "root", "seen", "size",
        "sources", "views", "weight",
    )  # fmt: skip  # a list

    def __init__(  # the class says what they are
        self,
        op: str,
        size: int,
        layout: Hashable,
        sources: Sequence[Node] = (),
        *,
        root: Node | None = None,
        home: int | None = None,
        weight: bool = False,
        offloads: bool = False,
    ) -> None:
        self.op = op
        self.size = size
        self.layout = layout
        self.sources = list(sources)
        self.root = root
        self.home = home
        self.weight = weight
        self.offloads = offloads
        self.fixed: int | None = None
        self.cuts = False
        self.seen = False
        self.device = home if root is None else root.home
        self.children = 0
        self.views = 0
        self.offset: int | None = None


class TensorGraph:
    """The graph of one pass over `tokens` tokens."""

    def __init__(self, tokens: int, *, offload_from: int = 32) -> None:
        """Start an empty graph.

        Args:
            tokens: of the pass.
            offload_from: fewest tokens for which a GPU takes over work on CPU weights (GGML_CUDA_MIN_BATCH_OFFLOAD).
        """
        self.tokens = tokens
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self._offload_from = offload_from

    def expand(self, node: Node) -> Node:
        """Append a tensor and all that it is made from, unless they are in the graph."""
        if not node.seen:
            self._visit(node)
        return node

    def _visit(self, node: Node) -> None:
        node.seen = True
        for source in node.sources:
            if not source.seen:
                self._visit(source)
        if node.op == "input":
            self.inputs.append(node)
        elif node.op != "leaf":
            self.nodes.append(node)

    def input(self, size: int) -> Node:
        """Return a tensor that the engine fills before each pass, `size` bytes."""
        return Node("input", size, None)

    def weight(self, size: int, home: int) -> Node:
        """Return a tensor of weights, `size` bytes, on a device."""
        return Node("leaf", size, None, home=home, weight=True)

    def cache(self, home: int) -> Node:
        """Return one layer's KV cache on a device."""
        return Node("leaf", 0, None, home=home)

    def op(self, name: str, width: int, *sources: Node, rows: int | None = None, unit: float = F32) -> Node:
        """Return the result of an operation.

        Args:
            name: of the operation.
            width: elements per row.
            sources: what it is made from, weights first where it has any.
            rows: of the result; by default one per token.
            unit: bytes per element; of a quantised type a fraction.
        """
        rows = self.tokens if rows is None else rows
        offloads = rows >= self._offload_from and name != "get_rows"
        return Node(name, int(width * rows * unit), (width, rows, unit), sources, offloads=offloads)

    def experts(self, name: str, width: int, *sources: Node, used: int, of: int, rows: int) -> Node:
        """Return the result of an operation on the experts that each token goes through.

        A GPU takes over work on CPU experts where on average enough tokens meet each (ggml-cuda.cu:5053-5066).
        """
        offloads = rows >= self._offload_from and rows * used >= self._offload_from * of
        return Node(name, width * used * rows * F32, (width, used, rows), sources, offloads=offloads)

    def view(self, of: Node, size: int = 0) -> Node:
        """Return a view; `size` bytes are what a copy of it takes."""
        return Node("view", size or of.size, None, [of], root=of.root or of)

    def reduce(self, parts: Mapping[int, Node]) -> Node:
        """Return the sum of the parts that several GPUs computed, which each of them has in place of its part (ggml_reduce).

        Args:
            parts: by GPU; at least one.
        """
        for gpu, part in parts.items():
            part.fixed = gpu
        last = list(parts)[-1]
        node = Node("reduce", parts[last].size, None, list(parts.values()), root=parts[last])
        node.fixed = last
        node.cuts = True
        return node

    def store(self, value: Node, cache: Node) -> Node:
        """Return the operation that writes a value into the cache, where the cache lies."""
        return Node("cpy", 0, None, [value, self.view(cache)], root=cache)
