"""The verb `verify`: are the bytes in the cache still the right ones?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cache import RepoCache, hash_file
from .errors import FetchError, SeveralFaultsError
from .local_models import check_local_models

if TYPE_CHECKING:
    from .manifest import Manifest
    from .progress import Progress


def verify(manifest: Manifest, progress: Progress, *, quick: bool) -> int:
    """Check every file of the manifest; a file with wrong bytes loses its link, so that nothing takes it for whole.

    Args:
        manifest: what should be there.
        progress: told about each file.
        quick: trust size and mtime where they are those of the last check, instead of hashing.

    Returns:
        How many files were checked.

    Raises:
        FetchError: all that is wrong, one fault a line.
    """
    faults: list[FetchError] = []
    checked = 0
    for model in dict.fromkeys(manifest.hub_models):
        repo = RepoCache(manifest.cache, model.repo)
        for file in model.files:
            place = f"{model.repo}/{file.name}"
            link = repo.snapshot(model.revision, file.name)
            record = repo.verified(link.readlink().name) if link.is_symlink() and link.exists() else None
            if record is None:
                faults.append(FetchError(place, "not in place", "run models.yml"))
                continue
            checked += 1
            if quick and record.still_fits(link):
                progress.say(f"{place}: untouched since its check")
            elif (sha256 := hash_file(link)) == record.sha256:
                progress.say(f"{place}: right")
                repo.publish(model.revision, file.name, link.readlink().name, record.sha256)
            else:
                repo.drop(link.readlink().name)
                link.unlink()
                fault = f"wrong bytes (SHA-256 {sha256}, expected {record.sha256})"
                faults.append(FetchError(place, fault, "run models.yml to fetch it again"))
    try:
        check_local_models(manifest, rehash=not quick)
    except FetchError as fault:
        faults.append(fault)
    if faults:
        raise SeveralFaultsError(faults)
    return checked + len(manifest.local_models)
