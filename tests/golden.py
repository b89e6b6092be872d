"""Whole files compared with those kept in a folder, none missing and none left over.

`make golden` (that is, `GPUBOX_GOLDEN=write` in the environment) writes the folder anew; git then shows what changed.
"""

from __future__ import annotations

import os
from difflib import unified_diff
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def compare(folder: Path, texts: Mapping[str, str]) -> None:
    """Assert that a folder holds exactly these files.

    Args:
        folder: the golden files; no subfolders.
        texts: what the files should hold, by name.
    """
    if os.environ.get("GPUBOX_GOLDEN") == "write":
        _write(folder, texts)
    kept = {path.name: path.read_bytes().decode() for path in folder.iterdir()} if folder.is_dir() else {}
    differences = [
        line
        for name in sorted(kept.keys() | texts.keys())
        for line in unified_diff(
            kept.get(name, "").splitlines(keepends=True),
            texts.get(name, "").splitlines(keepends=True),
            f"{folder.name}/{name} as kept" if name in kept else f"{folder.name}/{name} (not kept)",
            f"{folder.name}/{name} as written now" if name in texts else f"{folder.name}/{name} (left over)",
        )
    ]
    assert kept == texts, "run `make golden` if this is meant:\n" + "".join(differences)


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
