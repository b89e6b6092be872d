"""A hub with three small repositories, and a box that fetches from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fetch.box import REVISION, Box
from hub.server import Hub, HubFile, Repository, write_gguf_like

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 2_000_003  # no multiple of any block


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Return the folder of the files that the hub serves."""
    folder = tmp_path / "originals"
    folder.mkdir()
    for seed, name in enumerate(("a.gguf", "b.gguf", "small.gguf")):
        write_gguf_like(folder / name, 3000 if name == "small.gguf" else SIZE, seed)
    return folder


@pytest.fixture
def hub(originals: Path) -> Iterator[Hub]:
    """Serve `org/open` (a, b, a once more in a folder, a small one without LFS, one of 10^15 bytes) and two closed ones."""
    a, b = HubFile(originals / "a.gguf"), HubFile(originals / "b.gguf")
    files = {
        "a.gguf": a,
        "b.gguf": b,
        "UD-Q2/a-again.gguf": a,
        "small.gguf": HubFile(originals / "small.gguf", lfs=False),
        "huge.gguf": HubFile(originals / "small.gguf", claimed_size=10**15),
        "README.md": HubFile(originals / "small.gguf", lfs=False),
    }
    repositories = [
        Repository("org/open", REVISION, files),
        Repository("org/closed", REVISION, {"a.gguf": a}, token="hf_right"),  # noqa: S106 - of this hub alone
        Repository("org/gated", REVISION, {"a.gguf": a}, gated=True),
    ]
    with Hub(*repositories) as hub:
        yield hub


@pytest.fixture
def box(tmp_path: Path, hub: Hub) -> Box:
    """Return a bare box."""
    return Box(tmp_path / "box", hub.endpoint)
