"""The manifest: which models a box needs, and how to get them. The role writes it, as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import FetchError, SeveralFaultsError


@dataclass(frozen=True)
class WantedFile:
    """One file of a repository; `sha256` is the expected hash, or None to take the hub's."""

    name: str
    sha256: str | None = None


@dataclass(frozen=True)
class HubModel:
    """Files of one commit (40 hex digits) of a Hugging Face repository."""

    repo: str
    revision: str
    files: tuple[WantedFile, ...]


@dataclass(frozen=True)
class LocalModel:
    """A GGUF that somebody else put on the box."""

    path: Path
    sha256: str | None = None


@dataclass(frozen=True)
class Manifest:
    """All that one run needs.

    Attributes:
        path: the manifest itself.
        cache: folder of the Hugging Face cache (`HF_HUB_CACHE`).
        hub_models: what to fetch.
        local_models: what to check.
        endpoint: URL of the hub.
        token_file: file with the access token, or None.
        offline: whether the network is off limits.
        connections: byte ranges fetched at the same time, over all files.
        attempts: failures in a row, without a byte between them, after which a range is given up.
        retry_wait_s: the first wait after a failure, seconds; it doubles up to 60.
        reserve_bytes: disk space to leave free.
    """

    path: Path
    cache: Path
    hub_models: tuple[HubModel, ...]
    local_models: tuple[LocalModel, ...]
    endpoint: str
    token_file: Path | None
    offline: bool
    connections: int
    attempts: int
    retry_wait_s: float
    reserve_bytes: int


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        FetchError: it can't be read; or all that is wrong in its models, one fault a line.
    """
    try:
        document = json.loads(path.read_text())
    except OSError as exc:
        raise FetchError(str(path), exc.strerror or "can't be read", "run the role gguf_models first") from None
    except ValueError as exc:
        raise FetchError(str(path), f"not JSON ({exc})", "run the role gguf_models again") from None
    hub_models: list[HubModel] = []
    local_models: list[LocalModel] = []
    faults: list[FetchError] = []
    for index, model in enumerate(document["models"]):
        place = f"{path}: models[{index}]"
        if "path" in model:
            local_models.append(LocalModel(Path(model["path"]), model.get("sha256")))
            continue
        faults += _faults(place, model)
        files = tuple(WantedFile(file["name"], file.get("sha256")) for file in model["files"])
        hub_models.append(HubModel(model["repo"], model["revision"], files))
    if faults:
        raise SeveralFaultsError(faults)
    return Manifest(
        path=path,
        cache=Path(document["cache"]),
        hub_models=tuple(hub_models),
        local_models=tuple(local_models),
        endpoint=document["endpoint"].rstrip("/"),
        token_file=Path(document["token_file"]) if document["token_file"] else None,
        offline=document["offline"],
        connections=document["connections"],
        attempts=document["attempts"],
        retry_wait_s=document["retry_wait_s"],
        reserve_bytes=document["reserve_bytes"],
    )


def _faults(place: str, model: dict[str, Any]) -> list[FetchError]:
    """Find what would write outside the cache, or fetch something that can change."""
    faults = []
    if not re.fullmatch(r"(?!.*(--|\.\.))\w[\w.-]*/\w[\w.-]*", model["repo"]):
        faults.append(FetchError(f"{place}.repo", f"{model['repo']!r} is not ORG/NAME"))
    if not re.fullmatch(r"[0-9a-f]{40}", model["revision"]):
        fault = f"{model['revision']!r} is not a commit of 40 hex digits"
        faults.append(FetchError(f"{place}.revision", fault, "a branch or tag can change: pin its commit"))
    for index, file in enumerate(model["files"]):
        name = PurePosixPath(file["name"])
        if name.is_absolute() or ".." in name.parts or name.suffix != ".gguf":
            faults.append(
                FetchError(f"{place}.files[{index}].name", f"{file['name']!r} is not a GGUF in the repository")
            )
        if file.get("sha256") and not re.fullmatch(r"[0-9a-f]{64}", file["sha256"]):
            faults.append(FetchError(f"{place}.files[{index}].sha256", f"{file['sha256']!r} is not 64 hex digits"))
    return faults


def read_token(path: Path | None) -> str | None:
    """Read the access token, which nobody but its owner may read.

    Raises:
        FetchError: the file is missing, empty or open to others.
    """
    if path is None:
        return None
    try:
        mode = path.stat().st_mode & 0o777
        token = path.read_text().strip()
    except OSError as exc:
        fault = exc.strerror or "can't be read"
        raise FetchError(str(path), fault, "write the token of the hub there, mode 0600") from None
    if mode & 0o077:
        raise FetchError(str(path), f"others may read the token (mode {mode:04o})", f"chmod 600 {path}")
    if not token:
        raise FetchError(str(path), "no token in it", "write the token of the hub there")
    return token
