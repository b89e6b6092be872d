"""Models that somebody else put on the box: checked, never changed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from .cache import Verified, hash_file, write_whole
from .errors import FetchError, SeveralFaultsError

if TYPE_CHECKING:
    from pathlib import Path

    from .manifest import LocalModel, Manifest

REMEDY = "put the model there, or mend model.path in the profile"


def check_local_models(manifest: Manifest, *, rehash: bool = False) -> None:
    """Check that every model with a path is a GGUF, with the expected hash where the profile names one.

    A hash is read once and remembered beside the manifest, with the file's size, mtime and inode.

    Raises:
        FetchError: all that is wrong, one fault a line.
    """
    memory = manifest.path.with_name("local-models.json")
    known = {} if rehash else _remembered(memory)
    faults: list[FetchError] = []
    fresh: dict[str, Verified] = {}
    for model in manifest.local_models:
        try:
            record = _check(model, known.get(str(model.path)))
        except FetchError as fault:
            faults.append(fault)
        else:
            if record:
                fresh[str(model.path)] = record
    if fresh != known:
        write_whole(memory, json.dumps({path: asdict(record) for path, record in fresh.items()}))
    if faults:
        raise SeveralFaultsError(faults)


def _check(model: LocalModel, known: Verified | None) -> Verified | None:
    place = str(model.path)
    try:
        with model.path.open("rb") as file:
            magic = file.read(4)
    except OSError as exc:
        raise FetchError(place, exc.strerror or "can't be read", REMEDY) from None
    if magic != b"GGUF":
        raise FetchError(place, f"not a GGUF (begins with {magic!r})", REMEDY)
    if model.sha256 is None:
        return None
    if known is None or not known.still_fits(model.path):
        before = Verified.now(model.path, "")  # a change while it is read must show
        known = replace(before, sha256=hash_file(model.path))
    if known.sha256 != model.sha256:
        fault = f"wrong bytes (SHA-256 {known.sha256}, the profile expects {model.sha256})"
        raise FetchError(place, fault, "replace the file, or mend model.sha256 in the profile")
    return known


def _remembered(path: Path) -> dict[str, Verified]:
    try:
        return {name: Verified(**record) for name, record in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError):
        return {}
