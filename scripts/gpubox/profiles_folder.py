"""Where the operator's profiles are; alone, because most verbs need no more of them, and reading them takes pydantic."""

from __future__ import annotations

import os
from pathlib import Path


def profiles_folder(given: Path | None = None) -> Path:
    """Return the folder of the profiles.

    `given`, else `$GPUBOX_INVENTORY/profiles`, else `inventory/profiles` of the current folder or one above it, else
    that of the checkout which this package runs from.
    """
    if given is not None:
        return given
    if inventory := os.environ.get("GPUBOX_INVENTORY"):
        return Path(inventory) / "profiles"
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "inventory" / "profiles").is_dir():
            return folder / "inventory" / "profiles"
    return here / "inventory" / "profiles"
