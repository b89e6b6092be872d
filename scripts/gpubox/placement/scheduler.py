"""How the engine spreads a graph over its devices, and how large each device's compute buffer becomes.

This follows ggml_backend_sched_split_graph (ggml-backend.cpp:1406) and the graph allocator (ggml-alloc.c) of
ik_llama.cpp at 29a54f4 step by step: their result is the buffer size that the server prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.placement.best_fit import BestFit
from gpubox.placement.tensor_graph import IN_PLACE, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.placement.tensor_graph import TensorGraph

GPU_ALIGNMENT = 128
HOST_ALIGNMENT = 32
_MAX_INPUTS = 32  # of one split (GGML_SCHED_MAX_SPLIT_INPUTS)


def compute_buffers(graph: TensorGraph, devices: int) -> list[int]:
    """Return the compute buffer of each device, bytes, the host last.

    Args:
        graph: its weights and caches name their device: 0 to `devices` - 1 are GPUs, `devices` is the host.
        devices: the number of GPUs.
    """
    host = devices
    _assign(graph.nodes, host)
    for node in graph.inputs:
        node.device = host
    program = _split(graph.nodes)
    alignments = [GPU_ALIGNMENT] * devices + [HOST_ALIGNMENT]
    return _peaks(program, graph.inputs, [BestFit(alignment) for alignment in alignments])


def _own_device(node: Node, host: int) -> int | None:
    """Return where a node must or had better run, None where its neighbours decide (pass 1)."""
    if node.fixed is not None:
        return node.fixed
    if node.root is not None and node.root.home is not None:
        return node.root.home
    for source in node.sources:
        if source.weight:
            assert source.home is not None
            takes_over = source.home == host and host > 0 and node.offloads
            return 0 if takes_over else source.home
    return None


def _assign(nodes: Sequence[Node], host: int) -> None:
    """Give every node a device: its own, else that of a GPU neighbour, else that of any neighbour (passes 1 to 4)."""
    computed = [node for node in nodes if node.op != "view"]
    devices = [_own_device(node, host) for node in computed]
    forth = range(len(devices))
    for over_host, order in ((False, forth), (False, reversed(forth)), (True, forth), (True, reversed(forth))):
        current: int | None = None
        for index in order:
            device = devices[index]
            if device is None:
                devices[index] = current
            else:
                current = device if over_host or device != host else None
    for node, device in zip(computed, devices, strict=True):
        node.device = host if device is None else device
    for node in nodes:
        if node.op == "view" and node.device is None:
            assert node.root is not None
            node.device = host if node.root.device is None else node.root.device


def _split(nodes: Sequence[Node]) -> list[Node]:
    """Cut the graph where the device changes, and add copies of what lies elsewhere (pass 5).

    Returns:
        The nodes in the order in which they are allocated, with copies at the start of their split.
    """
    program: list[Node] = []
    copies: dict[tuple[int, int], Node] = {}
    pending: list[Node] = []  # nodes of the current split
    fetched: list[Node] = []  # what the current split copies
    current: int | None = None

    def close() -> None:
        for source in fetched:
            dependency = Node("none", 0, None, [source], root=source.root or source)
            copy = copies[id(source), current]  # type: ignore[index]  # a split with nodes has a device
            program.extend((dependency, copy))
        program.extend(pending)
        pending.clear()
        fetched.clear()

    for node in nodes:
        if node.op == "view":
            pending.append(node)
            continue
        device = node.device
        assert device is not None
        foreign_weight = fetched and any(source.weight and source.home != device for source in node.sources)
        if current is not None and (device != current or node.cuts or foreign_weight or len(fetched) >= _MAX_INPUTS):
            close()
        current = device
        for index, source in enumerate(node.sources):
            if source.device == device:
                continue
            copy = copies.get((id(source), device))
            if copy is None and node.op == "reduce":
                copy = copies[id(source), device] = source  # the sum is written where each part lies
            if copy is None:
                copy = Node("none", source.size, source.layout)
                copies[id(source), device] = copy
                copy.device = device
                fetched.append(source)
            node.sources[index] = copy
        pending.append(node)
    close()
    return program


def _peaks(program: Sequence[Node], inputs: Sequence[Node], buffers: Sequence[BestFit]) -> list[int]:
    """Return each buffer's peak, bytes, walking the program as ggml_gallocr_alloc_graph_impl does.

    The inputs are allocated before all else.
    """
    for node in program:
        if node.root is not None and node.op != "none":
            node.root.views += 1
        for source in node.sources:
            source.children += 1
    for node in inputs:
        _allocate(node, buffers)
    for node in program:
        for source in node.sources:
            _allocate(source, buffers)
        _allocate(node, buffers)
        for source in node.sources:
            _release(source, buffers)
    return [buffer.peak for buffer in buffers]


def _allocate(node: Node, buffers: Sequence[BestFit]) -> None:
    if node.offset is not None or node.home is not None or node.root is not None:
        return
    if node.op in IN_PLACE and _write_over(node):
        return
    assert node.device is not None
    node.offset = buffers[node.device].allocate(node.size)


def _write_over(node: Node) -> bool:
    """Let a node take the place of a source that nobody else needs, and return whether there is one.

    A view never gives its place away: the allocator does not count it as its own (ggml-alloc.c:494).
    """
    for source in node.sources:
        alone = source.children == 1 and not source.views
        if alone and source.layout == node.layout and source.root is None and source.offset is not None:
            node.offset, source.offset = source.offset, None
            return True
    return False


def _release(source: Node, buffers: Sequence[BestFit]) -> None:
    """Note that one tensor less needs `source`, and free it, or what it looks into, after the last."""
    source.children -= 1
    if source.children or source.views:
        return
    owner = source
    if source.root is not None:
        owner = source.root
        owner.views -= 1
        if owner.views or owner.children:
            return
    if owner.offset is not None:
        assert owner.device is not None
        buffers[owner.device].free(owner.offset, owner.size)
        owner.offset = None
