"""The verb `fetch`: bring the cache to what the manifest says."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .cache import RepoCache, hash_file
from .download import Download
from .errors import FetchError, SeveralFaultsError
from .hub import Hub
from .local_models import check_local_models
from .manifest import read_token
from .patience import Patience
from .progress import in_gb
from .transfer import Transfer

if TYPE_CHECKING:
    from .hub import RemoteFile
    from .manifest import HubModel, Manifest
    from .progress import Progress


def not_in_place(manifest: Manifest) -> tuple[HubModel, ...]:
    """Return the models that lack files, each with those files only; looks at the disk alone, and reads no content."""
    lacking = []
    for model in dict.fromkeys(manifest.hub_models):
        repo = RepoCache(manifest.cache, model.repo)
        files = tuple(file for file in model.files if not repo.in_place(model.revision, file.name, file.sha256))
        if files:
            lacking.append(replace(model, files=files))
    return tuple(lacking)


def fetch(manifest: Manifest, progress: Progress) -> list[str]:
    """Fetch and check what is not in place; the caller holds the cache.

    Returns:
        The files that were put in place, `ORG/REPO/NAME`.

    Raises:
        FetchError: what is wrong, one fault a line; what is whole is in place, and another run goes on with the rest.
    """
    token = read_token(manifest.token_file)
    check_local_models(manifest)
    lacking = not_in_place(manifest)
    if not lacking:
        return []
    if manifest.offline:
        places = [f"{model.repo}/{file.name}" for model in lacking for file in model.files]
        remedy = "copy the cache from another box, or set gguf_models_offline to false"
        raise SeveralFaultsError(
            [FetchError(place, "not in the cache, and the network is off limits", remedy) for place in places]
        )
    hub = Hub(manifest.endpoint, token)
    files = _describe(manifest, hub, lacking, progress)
    downloads: dict[tuple[str, str], Download] = {}
    for file in files:
        if (file.repo, file.etag) not in downloads and not _adopt(manifest, file, progress):
            downloads[file.repo, file.etag] = Download(file, RepoCache(manifest.cache, file.repo))
    if downloads:
        _transfer(manifest, hub, list(downloads.values()), progress)
    for file in files:
        RepoCache(manifest.cache, file.repo).publish(file.revision, file.name, file.etag, file.sha256)
    return [file.place for file in files]


def _describe(manifest: Manifest, hub: Hub, models: tuple[HubModel, ...], progress: Progress) -> list[RemoteFile]:
    """Ask the hub about all models, so that every fault of the profiles is told at once."""
    files: list[RemoteFile] = []
    faults: list[FetchError] = []
    for model in models:
        place = f"{manifest.endpoint}/{model.repo}"
        patience = Patience(place, manifest.attempts, manifest.retry_wait_s, threading.Event(), progress.say)
        try:
            files += patience.insist(partial(hub.describe, model))
        except FetchError as fault:
            faults.append(fault)
    if faults:
        raise SeveralFaultsError(faults)
    return files


def _adopt(manifest: Manifest, file: RemoteFile, progress: Progress) -> bool:
    """Take a blob that is there already, after checking it; a wrong one is deleted."""
    repo = RepoCache(manifest.cache, file.repo)
    blob = repo.blob(file.etag)
    if not blob.exists():
        return False
    record = repo.verified(file.etag)
    if record is None or not record.still_fits(blob):
        progress.say(f"{file.place}: checks the bytes that are there")
        if hash_file(blob) != file.sha256:
            progress.say(f"{file.place}: the bytes that are there are wrong; deletes and fetches them")
            blob.unlink()
            repo.drop(file.etag)
            return False
    repo.publish(file.revision, file.name, file.etag, file.sha256)
    return True


def _transfer(manifest: Manifest, hub: Hub, downloads: list[Download], progress: Progress) -> None:
    size = sum(download.file.size for download in downloads)
    done = sum(download.done for download in downloads)
    free = shutil.disk_usage(manifest.cache).free - manifest.reserve_bytes
    if size - done > free:
        fault = f"{in_gb(size - done)} GB to fetch, but only {in_gb(max(free, 0))} GB are free"
        if manifest.reserve_bytes:
            fault += f" beside the {in_gb(manifest.reserve_bytes)} GB to keep free"
        remedy = "make room (gguf_models_gc lists what no profile needs), or set gguf_models_cache to a larger disk"
        raise FetchError(str(manifest.cache), fault, remedy)
    progress.begin(size, done)
    Transfer(
        hub,
        downloads,
        connections=manifest.connections,
        attempts=manifest.attempts,
        retry_wait_s=manifest.retry_wait_s,
    ).run(progress.tick)
