"""Cached images that boxes lie over: bases, and saved boxes on top of them.

A layer is named by its tag and by a key of all that went into it, so one whose recipe changed is built anew; layers
that a newer one of their tag replaced go as soon as nothing lies over them. A folder per layer:

    root/     what the layer adds, a lower folder of an overlay
    stores/   Podman's stores of a saved box, rootful and rootless, copied into each box
    below     the root folders under this one, topmost first, one a line
    *.log     how it was built
"""

from __future__ import annotations

import hashlib
import inspect
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import mirror, release, root_folder
from .errors import ImageError
from .lock import locked
from .release import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .release import Release

_LAST_LINES = 15
# A box has no kernel of its own, and a container none of the box's devices.
_NOT_OF_AN_IMAGE = ("./boot", "./dev", "./proc", "./sys", "./run", "./tmp", "./lib/modules")


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
        """Return the finished layers, oldest first."""
        found = sorted(self.folder.glob("*/below"), key=lambda file: file.stat().st_mtime)
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
        return layer

    def prune(self, in_use: Iterable[Path]) -> None:
        """Remove the layers that a newer one of their tag replaced.

        Args:
            in_use: root folders that boxes lie over; these stay, and so do the ones under layers that stay.
        """
        newest = {layer.tag: layer for layer in self.all()}
        kept = {*in_use, *(root for layer in newest.values() for root in layer.roots)}
        for layer in self.all():
            if layer.roots[0] not in kept:
                remove_tree(layer.path)


def base(layers: Layers, wanted: Release, public_key: str) -> Layer:
    """Return a release's base layer, built where need be (about half a minute).

    Args:
        layers: the cache.
        wanted: the release.
        public_key: of the key that opens boxes.

    Raises:
        MirrorError: the release's packages can't be had here.
        ImageError: the image could not be built.
    """
    layers.folder.mkdir(parents=True, exist_ok=True)
    where_from = mirror.find(wanted, layers.folder)
    own_code = [
        inspect.getsource(module) for module in (inspect.getmodule(base), mirror, release, root_folder) if module
    ]
    recipe = [repr(wanted), repr(where_from), public_key, mirror.pip_conf(), *mirror.authorities(), *own_code]

    def build(folder: Path) -> None:
        components = " ".join(wanted.components)
        argv = [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            "--format=directory",
            f"--components={','.join(wanted.components)}",
            f"--keyring={where_from.keyring}",
            f"--include={','.join(PACKAGES)}",
            *(f"--aptopt={line}" for line in where_from.apt_conf.splitlines()),
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            wanted.name,
            str(folder / "root"),
            *(f"deb {url} {suite} {components}" for url, suite in where_from.sources),
        ]
        log = folder / "mmdebstrap.log"
        with log.open("wb") as written:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=written, stderr=written, check=False)
        if done.returncode:
            last_lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
            raise ImageError(wanted.name, "mmdebstrap could not build the base image", f"see {log}", last_lines)
        root_folder.configure(folder / "root", wanted, where_from, public_key)

    return layers.get(wanted.name, recipe, build)


def image_tar(of: Layer) -> Path:
    """Return a base's root folder as a tar that `podman import` takes: a container image to be had without a registry.

    It holds the mirror's address and this machine's authorities, so that builds inside work: never publish it.
    """
    finished = of.path / "image.tar"
    with locked(of.path / "image.lock"):
        if not finished.exists():
            begun = of.path / "image.tar.new"
            leave_out = [f"--exclude={folder}/*" for folder in _NOT_OF_AN_IMAGE]
            subprocess.run(["tar", "-C", str(of.roots[-1]), *leave_out, "-cf", str(begun), "."], check=True)
            begun.replace(finished)
    return finished


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it, but nothing of a file system that is mounted there."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)
