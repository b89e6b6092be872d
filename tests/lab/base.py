"""The base image of a release, built with mmdebstrap from this machine's mirror."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING

from . import mirror, release, root_folder
from .errors import ImageError
from .lock import locked
from .release import PACKAGES

if TYPE_CHECKING:
    from pathlib import Path

    from .layer import Layer, Layers
    from .release import Release

_LAST_LINES = 15
# A box has no kernel of its own, and a container none of the box's devices.
_NOT_OF_AN_IMAGE = ("./boot", "./dev", "./proc", "./sys", "./run", "./tmp", "./lib/modules")


def build_base(layers: Layers, wanted: Release, public_key: str) -> Layer:
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
    own_code = map(inspect.getsource, (sys.modules[__name__], mirror, release, root_folder))
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
