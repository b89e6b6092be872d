"""The files of a model: are they there, are they what was verified, and how much of them has been read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FETCH = "run playbooks/models.yml"
LOCAL = Path("/var/lib/gpubox/gguf_models/local-models.json")  # where the role gguf_models keeps it by default
_SPLIT = re.compile(r"(?P<stem>.*)-00001-of-(?P<count>\d{5})\.gguf")


@dataclass(frozen=True)
class Record:
    """A file as it was when its hash was right; `inode` is 0 where an earlier version wrote it."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int


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

    A file whose hash was checked must be as it was then; any other must be a GGUF, and as long as when it last served.

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
    record = verified(file)
    expected = record.size if record else sizes.get(str(file), stat.st_size)
    if stat.st_size != expected:
        fault = f"has {stat.st_size} bytes and had {expected} when it was last known to be right"
        raise ModelFileError(str(file), fault, f"{FETCH}; if the file is new on purpose, playbooks/profiles.yml")
    if record and stat.st_mtime_ns != record.mtime_ns:
        raise ModelFileError(str(file), "was changed after its hash was checked", FETCH)
    return stat.st_size


def identity_fault(file: Path, sha256: str) -> str:
    """Return why a file that passes `check` is not the one that was verified or is wanted, or an empty string.

    Args:
        file: of a model.
        sha256: that the profile wants; empty where it names none.
    """
    record = verified(file)
    if record is None:
        return ""
    if sha256 and record.sha256 != sha256:
        return f"had SHA-256 {record.sha256[:12]}… when it was checked, and the profile wants {sha256[:12]}…; {FETCH}"
    if record.inode and file.stat().st_ino != record.inode:
        return f"is another file than the one whose hash was checked; {FETCH}"
    return ""


def hashed(file: Path) -> bool:
    """Whether somebody has checked the file's hash and wrote it down."""
    return verified(file) is not None


def verified(file: Path, local: Path = LOCAL) -> Record | None:
    """Return a file as it was when its hash was right; None where nobody checked it.

    Args:
        file: of the Hugging Face cache, which has a record beside it, or any other.
        local: where the records of any others are.
    """
    try:
        if file.is_symlink():
            blob = file.resolve()
            record = json.loads((blob.parents[1] / ".gpubox" / f"{blob.name}.verified").read_text())
        else:
            record = json.loads(local.read_text())[str(file)]
        return Record(record["sha256"], int(record["size"]), int(record["mtime_ns"]), int(record.get("inode", 0)))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
