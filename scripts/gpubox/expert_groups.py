"""Routed experts by where they go, in the words of a profile and as tensor overrides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.placement.overrides import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

MATRICES = ("gate", "up", "down", "gate_up")


@dataclass(frozen=True)
class Group:
    """Expert matrices of one kind on one device.

    Attributes:
        device: `CPU`, `CUDA0`, …
        tensors: `gate`, `up` and `down`, or some of them; `gate_up` where the file has them merged.
        layers: their layers.
    """

    device: str
    tensors: tuple[str, ...]
    layers: tuple[int, ...]

    @property
    def pattern(self) -> str:
        """The group as a rule of `-ot`."""
        numbers = "|".join(map(str, self.layers))
        return rf"blk\.({numbers})\.ffn_({'|'.join(self.tensors)})_exps\.weight"

    def words(self) -> dict[str, object]:
        """Return the group as an entry of a profile's `experts`."""
        entry: dict[str, object] = {"layers": ranges(self.layers), "device": self.device}
        named = [
            name
            for name in ("gate", "up", "down")
            if name in self.tensors or (name != "down" and "gate_up" in self.tensors)
        ]
        if len(named) < 3:
            entry["tensors"] = named
        return entry


@dataclass(frozen=True)
class Expert:
    """One expert matrix: its layer, its kind, its bytes in a CUDA buffer, and the GPU of its layer."""

    layer: int
    kind: str
    size: int
    home: int


def ranges(layers: Sequence[int]) -> str:
    """Return layer numbers as `3-6,40`."""
    parts: list[list[int]] = []
    for layer in layers:
        if parts and layer == parts[-1][1] + 1:
            parts[-1][1] = layer
        else:
            parts.append([layer, layer])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def groups_of(experts: Sequence[Expert], homes: Sequence[int]) -> list[Group]:
    """Return rules that put each matrix into its home: only what leaves its layer's GPU needs one."""
    by_layer: dict[tuple[int, int], list[str]] = {}
    for expert, home in zip(experts, homes, strict=True):
        if home != expert.home:
            by_layer.setdefault((home, expert.layer), []).append(expert.kind)
    groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for (home, layer), kinds in by_layer.items():
        groups.setdefault((home, tuple(kinds)), []).append(layer)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] == HOST, item[0][0], len(item[0][1])))
    return [
        Group("CPU" if home == HOST else f"CUDA{home}", kinds, tuple(sorted(layers)))
        for (home, kinds), layers in ordered
    ]
