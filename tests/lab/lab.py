"""Boxes made, counted and taken away."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from . import keeper, layer, machine
from .box import Box
from .errors import MachineError
from .layer import Layers
from .lock import locked
from .process import Process
from .record import claim, records
from .release import NOBLE, TRIXIE

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from .layer import Layer
    from .record import Record
    from .release import Release

# What is one box's alone and would be every box's if it were saved.
_NOT_SAVED = (
    "etc/hostname",
    "etc/machine-id",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "var/log/journal",
)


@dataclass(frozen=True)
class Saved:
    """A box that is prepared once and started from often.

    Attributes:
        tag: its name in the cache.
        release: what it runs.
        commands: what root's shell does in it, one after the other.
    """

    tag: str
    release: Release
    commands: tuple[str, ...]


def with_podman(release: Release) -> Saved:
    """Return a release with its own Podman installed as people do, and nothing else done to it."""
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes podman"
    return Saved(f"{release.name}-podman", release, ("apt-get -qq update", install, "apt-get clean"))


PODMAN = with_podman(TRIXIE)
NOBLE_PODMAN = with_podman(NOBLE)


def default_folder() -> Path:
    """Return where images and boxes are kept: $GPUBOX_LAB, else a folder of the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GPUBOX_LAB") or Path(cache) / "gpubox" / "lab").absolute()


class Lab:
    """A place for boxes, which are gone when the lab is closed or the process that opened it has ended.

    Args:
        folder: where images and boxes are kept; several processes may share it.
        keep: whether the boxes stay until somebody removes them.

    Raises:
        MachineError: this machine can't run boxes.
    """

    def __init__(self, folder: Path | None = None, *, keep: bool = False) -> None:
        machine.prepare()
        self.folder = folder or default_folder()
        if set(str(self.folder)) & set(":,\\"):
            raise MachineError(
                str(self.folder), "an overlay's path has no `:`, `,` or `\\`", "set GPUBOX_LAB to another"
            )
        self._keep = keep
        self._me = Process.of(os.getpid())
        self._boxes: list[Box] = []
        self._bases: dict[Release, Layer] = {}
        self._layers = Layers(self.folder / "layers")
        self._key = self._make_key()
        self.reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the boxes that this lab made, unless they are to be kept."""
        with ExitStack() as stack:
            for box in [] if self._keep else self._boxes:
                stack.callback(box.remove)
        self._boxes.clear()

    def reap(self) -> None:
        """End and remove the boxes whose process has gone. Their keepers do so too, unless they were killed as well."""
        with self._locked():
            for record in self.records():
                if record.abandoned():
                    keeper.remove(record)

    def records(self) -> list[Record]:
        """Return every box's record, whoever made it."""
        return records(self.folder / "boxes")

    def find(self, record: Record) -> Box:
        """Return a box that is there already."""
        return Box(record, self._key)

    def base(self, release: Release) -> Layer:
        """Return a release's base layer, built first where need be.

        Raises:
            MirrorError: the release's packages can't be had here.
            ImageError: it could not be built.
        """
        # Asked once only: reading the machine's settings takes as long as a box takes to boot.
        if release not in self._bases:
            public_key = self._key.with_suffix(".pub").read_text(encoding="utf-8")
            self._bases[release] = layer.base(self._layers, release, public_key)
            self._prune()
        return self._bases[release]

    def image_tar(self, release: Release = TRIXIE) -> Path:
        """Return a tar that `podman import` makes a container image of, without a registry."""
        return layer.image_tar(self.base(release))

    def saved(self, wanted: Saved) -> Layer:
        """Return a saved box as a layer, prepared first where need be.

        Raises:
            CommandError: one of its commands failed.
        """
        base = self.base(wanted.release)

        def build(folder: Path) -> None:
            box = self._make(wanted.release, base, None, self._me)
            box.start()
            for command in wanted.commands:
                box.run(command, limit_s=600)
            box.shut_down()
            upper = box.record.folder / "upper"
            for own in _NOT_SAVED:
                layer.remove_tree(upper / own)
            upper.rename(folder / "root")
            (box.record.folder / "stores").rename(folder / "stores")
            self.remove(box)

        found = self._layers.get(wanted.tag, wanted.commands, build, base)
        self._prune()
        return found

    def box(self, of: Release | Saved = TRIXIE, name: str | None = None) -> Box:
        """Return a new box that is up."""
        return self.boxes(1, of, [name])[0]

    def boxes(self, count: int, of: Release | Saved = TRIXIE, names: list[str | None] | None = None) -> list[Box]:
        """Return several new boxes that are up; they boot at the same time.

        Args:
            count: how many.
            of: a release, or a saved box.
            names: their host names; by default `box-` and a number.
        """
        if isinstance(of, Saved):
            release, under = of.release, self.saved(of)
        else:
            release, under = of, self.base(of)
        owner = None if self._keep else self._me
        made: list[Box] = []
        try:
            for name in names or [None] * count:
                made.append(self._make(release, under, name, owner))
                made[-1].power_on()
            for box in made:
                box.await_boot()
        except BaseException:
            for box in made:
                self.remove(box)
            raise
        return made

    def remove(self, box: Box) -> None:
        """Remove one box."""
        box.remove()
        self._boxes.remove(box)

    def clean(self) -> None:
        """Remove every box, whoever made it, and every image."""
        with self._locked():
            for record in self.records():
                keeper.remove(record)
            layer.remove_tree(self._layers.folder)

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.folder / "boxes.lock")

    def _make(self, release: Release, under: Layer, name: str | None, owner: Process | None) -> Box:
        with self._locked():
            record = claim(self.folder / "boxes", name, release.name, under.roots, owner)
        box = Box(record, self._key)
        self._boxes.append(box)
        box.install(under)
        return box

    def _prune(self) -> None:
        with self._locked():
            self._layers.prune([root for record in self.records() for root in record.roots])

    def _make_key(self) -> Path:
        key = self.folder / "id_ed25519"
        with self._locked():
            if not key.with_suffix(".pub").exists():
                key.unlink(missing_ok=True)
                subprocess.run(
                    ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "gpubox-lab", "-f", str(key)], check=True
                )
        return key
