"""Where a profile's model header is read from: what is asked for, this machine's disk, or a shipped outline."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.gguf import GgufHeader, read_header
from gpubox.known_models import known_header

if TYPE_CHECKING:
    from gpubox.profile import Model as ProfileModel

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class ModelSource:
    """A header and where it comes from.

    Attributes:
        header: the header.
        told: whether it is a shipped outline and not the file's own.
    """

    header: GgufHeader
    told: bool = False


def find_header(model: ProfileModel, given: str | None = None, token_file: str | None = None) -> ModelSource:
    """Return the header of a profile's model.

    Args:
        model: the profile's model.
        given: a file or URL to read instead.
        token_file: a file with a bearer token for the URL's host.

    Raises:
        ModelFileError: the file can't be read or is faulty.
        GpuboxError: the model is nowhere to be found; says what to give.
    """
    if given is not None:
        return ModelSource(read_header(given, token_file))
    if model.path is not None:
        if Path(model.path).exists():
            return ModelSource(read_header(model.path))
        raise GpuboxError(model.path, "is not on this machine", "give a copy or its header's URL with --model")
    assert model.repo
    assert model.files
    name = model.files[0].name
    snapshot = _cache() / f"models--{model.repo.replace('/', '--')}" / "snapshots" / str(model.revision) / name
    if snapshot.exists():
        return ModelSource(read_header(snapshot))
    outline = known_header(model.repo, str(model.revision), name)
    if outline is not None:
        return ModelSource(outline, told=True)
    url = f"{HUB}/{model.repo}/resolve/{model.revision}/{name}"
    raise GpuboxError(
        f"{model.repo}/{name}", "is not on this machine", f"give --model {url}, which reads its header only"
    )


def _cache() -> Path:
    """Return the Hugging Face cache of this machine, by its environment variables."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    home = os.environ.get("HF_HOME") or os.path.join(  # noqa: PTH118  # as the hub's own library composes it
        os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"), "huggingface"
    )
    return Path(home) / "hub"
