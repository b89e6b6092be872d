"""The files of a model: are they there, are they what was verified, and how much of them has been read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FETCH = "run playbooks/models.yml"
_SPLIT = re.compile(r"(?P<stem>.*)-00001-of-(?P<count>\d{5})\.gguf")


def all_parts(models: Iterable[str]) -> list[Path]:
    """Return the files of a model; of a split one whose first part alone is named, every part."""
    named = list(models)
    match = _SPLIT.fullmatch(named[0]) if len(named) == 1 else None
    if match:
        count = int(match["count"])
        named = [f"{match['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    return [Path(name) for name in named]


def check(file: Path, sizes: Mapping[str, int]) -> int:
    """Return a file's size in bytes, after the checks that need no reading of it.

    A file of the Hugging Face cache must be as it was when its hash was checked; any other must be a GGUF, and as long
    as when it last served.

    Args:
        file: of a model.
        sizes: bytes of files when they last served, by path.

    Raises:
        ModelFileError: it is missing, or not what it was.
    """
    try:
        with file.open("rb") as opened:
            magic = opened.read(4)
        stat = file.stat()
    except OSError as error:
        raise ModelFileError(str(file), f"can't be read: {error.strerror}", FETCH) from error
    if magic != b"GGUF":
        raise ModelFileError(str(file), f"is not a GGUF (begins with {magic!r})", FETCH)
    record = _verified(file)
    expected = record[0] if record else sizes.get(str(file), stat.st_size)
    if stat.st_size != expected:
        fault = f"has {stat.st_size} bytes and had {expected} when it was last known to be right"
        raise ModelFileError(str(file), fault, f"{FETCH}; if the file is new on purpose, playbooks/profiles.yml")
    if record and stat.st_mtime_ns != record[1]:
        raise ModelFileError(str(file), "was changed after its hash was checked", FETCH)
    return stat.st_size


def hashed(file: Path) -> bool:
    """Whether somebody has checked the file's hash and wrote it down beside it."""
    return _verified(file) is not None


def _verified(file: Path) -> tuple[int, int] | None:
    """Return size and mtime (ns) of a file of the cache when its hash was right."""
    if not file.is_symlink():
        return None
    blob = file.resolve()
    try:
        record = json.loads((blob.parents[1] / ".gpubox" / f"{blob.name}.verified").read_text())
        return int(record["size"]), int(record["mtime_ns"])
    except (OSError, ValueError, KeyError, IndexError):
        return None
