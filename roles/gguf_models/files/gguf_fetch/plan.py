"""What a box lacks, by a look at its disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .cache import RepoCache

if TYPE_CHECKING:
    from .manifest import HubModel, Manifest


def not_in_place(manifest: Manifest) -> tuple[HubModel, ...]:
    """Return the models that lack files, each with those files only; looks at the disk alone, and reads no content."""
    lacking = []
    for model in dict.fromkeys(manifest.hub_models):
        repo = RepoCache(manifest.cache, model.repo)
        files = tuple(file for file in model.files if not repo.in_place(model.revision, file.name, file.sha256))
        if files:
            lacking.append(replace(model, files=files))
    return tuple(lacking)
