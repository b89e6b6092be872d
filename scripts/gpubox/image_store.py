"""What a box's image store holds of an image, and which older ones it no longer needs.

An image is recognised by the label of its build key. Two names tell how far it has come: `localhost/NAME:TAG` is given
last, after the image has run and its options were kept; `REGISTRY/NAME@sha256:…` is left by a pull by digest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gpubox.image_recipe import KEY_LABEL


@dataclass(frozen=True)
class Wanted:
    """The image that a box shall have.

    Attributes:
        key: its build key.
        tag: its tag.
        name: its repository, without a registry.
        registry: where it is shared, `HOST[:PORT][/PATH]`; empty where each box keeps its own.
    """

    key: str
    tag: str
    name: str
    registry: str = ""

    @property
    def finished(self) -> str:
        """The name that only a finished image has."""
        return f"localhost/{self.name}:{self.tag}"

    @property
    def shared(self) -> str:
        """Its name in the registry."""
        return f"{self.registry}/{self.name}:{self.tag}"


@dataclass(frozen=True)
class Old:
    """An image of another build key.

    Attributes:
        id: in the store.
        tag: its tag, or its id where it never got one.
        names: all its names.
        digests: all its digests, for finding out who names it.
    """

    id: str
    tag: str
    names: tuple[str, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True)
class StoreView:
    """What the store holds.

    Attributes:
        id: of the wanted image; empty where it isn't there.
        reference: repository and digest, for units; empty where it isn't there, or not from the registry.
        ready: whether it is there, has run, and is the registry's where there is a registry.
        old: images that are kept no longer, newest first; those of containers are not among them.
    """

    id: str
    reference: str
    ready: bool
    old: tuple[Old, ...]


def look(images: str, wanted: Wanted, keep: int) -> StoreView:
    """Say what the store holds.

    Args:
        images: `podman images --format json --filter label=gpubox.build-key`; an image with several names may occur
            several times.
        wanted: the image that the box shall have.
        keep: how many other images stay for going back: the most recently built.
    """
    by_id: dict[str, dict[str, Any]] = {image["Id"]: image for image in json.loads(images or "[]")}
    newest_first = sorted(by_id.values(), key=lambda image: (image["Created"], image["Id"]), reverse=True)
    mine = [image for image in newest_first if image["Labels"][KEY_LABEL] == wanted.key]
    others = [image for image in newest_first if image["Labels"][KEY_LABEL] != wanted.key]
    # Of two with one key, the finished one that a registry has is the one.
    mine.sort(key=lambda image: (bool(_reference(image, wanted)), wanted.finished in _names(image)), reverse=True)
    found = mine[0] if mine else None
    reference = _reference(found, wanted) if found else ""
    return StoreView(
        id=found["Id"] if found else "",
        reference=reference,
        ready=bool(found and reference and wanted.finished in _names(found)),
        old=tuple(_old(image) for image in [*mine[1:], *others[keep:]] if not image.get("Containers")),
    )


def _names(image: dict[str, Any]) -> list[str]:
    return image.get("Names") or []


def _reference(image: dict[str, Any], wanted: Wanted) -> str:
    if not wanted.registry:
        return f"localhost/{wanted.name}@{image['Digest']}"
    pulled = f"{wanted.registry}/{wanted.name}@"
    return next((name for name in _names(image) if name.startswith(pulled)), "")


def _old(image: dict[str, Any]) -> Old:
    names = tuple(_names(image))
    tags = [name.rpartition(":")[2] for name in names if name.startswith("localhost/")]
    digests = {name.rpartition("@")[2] for name in [*(image.get("RepoDigests") or []), f"@{image['Digest']}"]}
    return Old(image["Id"], tags[0] if tags else image["Id"][:12], names, tuple(sorted(digests)))
