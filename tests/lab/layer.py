"""Cached images that boxes lie over: bases, and saved boxes on top of them.

A layer is named by its tag and by a key of all that went into it, so one whose recipe changed is built anew. One that a
newer one of its tag replaced goes when nobody has asked for it for a day: two working copies may differ in their
recipes and share the cache. A folder per layer:

    root/     what the layer adds, a lower folder of an overlay
    stores/   Podman's stores of a saved box, rootful and rootless, copied into each box
    below     the root folders under this one, topmost first, one a line; its time is when the layer was last asked for
    *.log     how it was built
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True)
class Layer:
    """An image that boxes lie over.

    Attributes:
        path: its folder.
        below: root folders of the layers under it, topmost first.
    """

    path: Path
    below: tuple[Path, ...] = ()

    @property
    def roots(self) -> tuple[Path, ...]:
        """The overlay's lower folders, topmost first."""
        return (self.path / "root", *self.below)

    @property
    def stores(self) -> Path:
        """The folder of Podman's stores; there is none where nothing was saved."""
        return self.path / "stores"

    @property
    def asked_for(self) -> float:
        """When the layer was last asked for, seconds since 1970."""
        return (self.path / "below").stat().st_mtime

    @property
    def tag(self) -> str:
        """What the layer is, less the key of what went into it."""
        return self.path.name.rpartition("-")[0]


class Layers:
    """The cache of layers.

    Args:
        folder: where it is, or shall be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Layer]:
        """Return the finished layers, the ones asked for last at the end."""
        found = sorted(self.folder.glob("*/below"), key=lambda file: file.stat().st_mtime_ns)
        return [
            Layer(file.parent, tuple(map(Path, file.read_text(encoding="utf-8").split("\n")[:-1]))) for file in found
        ]

    def get(self, tag: str, recipe: Iterable[str], build: Callable[[Path], None], under: Layer | None = None) -> Layer:
        """Return a layer, built first where it isn't there as its recipe says; other processes wait meanwhile.

        Args:
            tag: what it is.
            recipe: all that the result depends on, besides the layer under it.
            build: fills the folder that it is given with a `root`, and maybe `stores`.
            under: the layer under it.
        """
        key = hashlib.sha256("\0".join([*recipe, *map(str, under.roots if under else ())]).encode()).hexdigest()[:12]
        layer = Layer(self.folder / f"{tag}-{key}", under.roots if under else ())
        with locked(self.folder / f"{tag}.lock"):
            if not (layer.path / "below").exists():
                remove_tree(layer.path)
                layer.path.mkdir()
                build(layer.path)
                # Last, because it is what makes the layer a finished one.
                (layer.path / "below").write_text("".join(f"{root}\n" for root in layer.below), encoding="utf-8")
            # The file system's own clock ticks too coarsely to tell which of two was asked for last.
            now = time.time_ns()
            os.utime(layer.path / "below", ns=(now, now))
        return layer

    def prune(self, unused_since: float, in_use: Iterable[Path]) -> None:
        """Remove the layers that were replaced: another of their tag has been asked for since.

        Args:
            unused_since: a layer that was asked for after this time stays, seconds since 1970.
            in_use: root folders that boxes lie over; these stay, and so do the ones under layers that stay.
        """
        layers = self.all()
        newest = {layer.tag: layer for layer in layers}
        recent = [layer for layer in layers if layer.asked_for > unused_since]
        kept = {*in_use, *(root for layer in (*newest.values(), *recent) for root in layer.roots)}
        for layer in layers:
            if layer.roots[0] not in kept:
                remove_tree(layer.path)


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it, but nothing of a file system that is mounted there."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)
