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
    placed = _assign(graph.nodes, host)
    for node in graph.inputs:
        placed[id(node)] = host
    program, placed = _split(graph.nodes, placed, host)
    alignments = [GPU_ALIGNMENT] * devices + [HOST_ALIGNMENT]
    return _Allocation(program, placed, alignments).peaks(graph.inputs)


def _own_device(node: Node, host: int) -> int | None:
    """Return where a node must or had better run, None where its neighbours decide (pass 1)."""
    if node.root is not None and node.root.home is not None:
        return node.root.home
    for source in node.sources:
        if source.weight:
            assert source.home is not None
            takes_over = source.home == host and host > 0 and node.offloads
            return 0 if takes_over else source.home
    return None


def _assign(nodes: Sequence[Node], host: int) -> dict[int, int]:
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
    placed = {id(node): host if device is None else device for node, device in zip(computed, devices, strict=True)}
    for node in nodes:
        if node.op == "view":
            assert node.root is not None
            home = node.root.home
            placed[id(node)] = placed.get(id(node.root), host) if home is None else home
    return placed


def _split(nodes: Sequence[Node], placed: dict[int, int], host: int) -> tuple[list[Node], dict[int, int]]:
    """Cut the graph where the device changes, and add copies of what lies elsewhere (pass 5).

    Returns:
        The nodes in the order in which they are allocated, with copies at the start of their split; and their devices.
    """
    program: list[Node] = []
    placed = dict(placed)
    copies: dict[tuple[int, int], Node] = {}
    pending: list[Node] = []  # nodes of the current split
    fetched: list[Node] = []  # what the current split copies
    current: int | None = None

    def device_of(node: Node) -> int:
        home = node.home if node.root is None else node.root.home
        return placed.get(id(node), host) if home is None else home

    def close() -> None:
        for source in fetched:
            dependency = Node("none", 0, None, [source], root=source.root or source)
            placed[id(dependency)] = device_of(source)
            copy = copies[id(source), current]  # type: ignore[index]  # a split with nodes has a device
            program.extend((dependency, copy))
        program.extend(pending)
        pending.clear()
        fetched.clear()

    for node in nodes:
        if node.op == "view":
            pending.append(node)
            continue
        device = placed[id(node)]
        foreign_weight = bool(fetched) and any(source.weight and source.home != device for source in node.sources)
        if current is not None and (device != current or foreign_weight or len(fetched) >= _MAX_INPUTS):
            close()
        current = device
        for index, source in enumerate(node.sources):
            if device_of(source) == device:
                continue
            copy = copies.get((id(source), device))
            if copy is None:
                copy = Node("none", source.size, source.layout)
                copies[id(source), device] = copy
                placed[id(copy)] = device
                fetched.append(source)
            node.sources[index] = copy
        pending.append(node)
    close()
    return program, placed


class _Allocation:
    """A walk over the program as ggml_gallocr_alloc_graph_impl makes it."""

    def __init__(self, program: Sequence[Node], placed: dict[int, int], alignments: Sequence[int]) -> None:
        """Count what is made from each tensor, and the views into it."""
        self._program = program
        self._placed = placed
        self._buffers = [BestFit(alignment) for alignment in alignments]
        self._children: dict[int, int] = {}
        self._views: dict[int, int] = {}
        self._lies: dict[int, tuple[int, int]] = {}  # device and offset of what is allocated
        for node in program:
            if node.root is not None and node.op != "none":
                self._views[id(node.root)] = self._views.get(id(node.root), 0) + 1
            for source in node.sources:
                self._children[id(source)] = self._children.get(id(source), 0) + 1

    def peaks(self, inputs: Sequence[Node]) -> list[int]:
        """Return each device's peak, bytes; the inputs are allocated before all else."""
        for node in inputs:
            self._allocate(node)
        for node in self._program:
            for source in node.sources:
                self._allocate(source)
            self._allocate(node)
            for source in node.sources:
                self._release(source)
        return [buffer.peak for buffer in self._buffers]

    def _allocate(self, node: Node) -> None:
        if node.home is not None or node.root is not None or id(node) in self._lies:
            return
        if node.op in IN_PLACE and self._write_over(node):
            return
        device = self._placed[id(node)]
        self._lies[id(node)] = (device, self._buffers[device].allocate(node.size))

    def _write_over(self, node: Node) -> bool:
        """Let a node take the place of a source that nobody else needs, and return whether there is one.

        A view never gives its place away: the allocator does not count it as its own (ggml-alloc.c:494).
        """
        for source in node.sources:
            alone = self._children.get(id(source)) == 1 and not self._views.get(id(source), 0)
            if source.layout == node.layout and alone and source.root is None and id(source) in self._lies:
                self._lies[id(node)] = self._lies.pop(id(source))
                return True
        return False

    def _release(self, source: Node) -> None:
        """Note that one tensor less needs `source`, and free it, or what it looks into, after the last."""
        self._children[id(source)] -= 1
        if self._children[id(source)] or self._views.get(id(source), 0):
            return
        owner = source
        if source.root is not None:
            owner = source.root
            self._views[id(owner)] = self._views.get(id(owner), 0) - 1
            if self._views[id(owner)] or self._children.get(id(owner)):
                return
        if id(owner) in self._lies:
            device, offset = self._lies.pop(id(owner))
            self._buffers[device].free(offset, owner.size)
