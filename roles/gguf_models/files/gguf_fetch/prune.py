"""The verb `gc`: what no profile needs any more. Repositories that others fetched into the cache are not looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .cache import RepoCache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .manifest import Manifest


@dataclass(frozen=True)
class Unneeded:
    """A file or link that may go.

    Attributes:
        path: where it is.
        size: bytes that its removal frees; 0 for a link.
    """

    path: Path
    size: int


def unneeded(manifest: Manifest) -> list[Unneeded]:
    """Return what the manifest does not need: links first, then the blobs that only they used, and partial files."""
    needed: dict[Path, set[Path]] = {}
    for model in manifest.hub_models:
        repo = RepoCache(manifest.cache, model.repo)
        links = needed.setdefault(repo.folder, set())
        links |= {repo.snapshot(model.revision, file.name) for file in model.files}
    found: list[Unneeded] = []
    for folder in sorted(path.parent for path in manifest.cache.glob("models--*/.gpubox")):
        found += _unneeded_of_repo(folder, needed.get(folder, set()))
    return found


def _unneeded_of_repo(folder: Path, needed: set[Path]) -> list[Unneeded]:
    links = [path for path in _files(folder / "snapshots") if path not in needed]
    used = {path.resolve().name for path in needed if path.exists()}
    # A needed file that is still on its way has no link yet: its parts stay as long as the repository has such a file.
    arriving = any(not path.exists() for path in needed)
    blobs = [path for path in _files(folder / "blobs") if path.name not in used and not arriving]
    own = [path for path in _files(folder / ".gpubox") if path.stem not in used and not arriving]
    refs = list(_files(folder / "refs")) if not needed else []
    return [Unneeded(path, 0) for path in links] + [
        Unneeded(path, path.lstat().st_size) for path in (*blobs, *own, *refs)
    ]


def delete(manifest: Manifest, items: list[Unneeded]) -> None:
    """Delete the items, and the folders that are empty then."""
    for item in items:
        item.path.unlink()
    for folder in sorted({manifest.cache / item.path.relative_to(manifest.cache).parts[0] for item in items}):
        for path, _, _ in os.walk(folder, topdown=False):
            if not any(Path(path).iterdir()):
                Path(path).rmdir()


def _files(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        yield from (Path(path, name) for name in sorted(names))
