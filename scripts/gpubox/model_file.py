"""Which model exactly: the SHA-256 of a GGUF, hashed once and remembered while the file stays the same.

A 200 GB file takes minutes to hash, so the digest is kept under (device, inode, size, mtime in ns): a file with the same
four is taken to be the same file. The cache is one JSON object, replaced atomically under a lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Callable

    OnProgress = Callable[[int, int], None]

BLOCK = 8 * 2**20
SPLIT_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


@dataclass(frozen=True)
class PartFingerprint:
    """One file of a model.

    Attributes:
        path: the file.
        size: bytes.
        sha256: of its bytes, hexadecimal.
    """

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class ModelFingerprint:
    """A model, in one file or split into several.

    Attributes:
        path: the file that a server is given: the only one, or the first part.
        size: bytes, of all parts.
        sha256: the file's; for a split model that of its parts' digests, in order, each followed by a newline.
        parts: at least one.
    """

    path: Path
    size: int
    sha256: str
    parts: tuple[PartFingerprint, ...]


def fingerprint(path: Path, cache: Path | None = None, on_progress: OnProgress | None = None) -> ModelFingerprint:
    """Return a model's fingerprint, hashing only what the cache doesn't know.

    Args:
        path: the GGUF, or any part of a split one (`NAME-00001-of-00003.gguf`).
        cache: the digests' file; by default `$XDG_CACHE_HOME/gpubox/sha256.json`. A damaged one is replaced, one that
            can't be written is done without.
        on_progress: called with (bytes done, bytes of the model) after each block of 8 MiB that was hashed.

    Raises:
        ModelFileError: a file that is missing, a folder, unreadable, or changed while it was read.
    """
    cache = cache or default_cache()
    files = [(part, _look(part)) for part in parts_of(path)]
    total = sum(status.st_size for _, status in files)
    known = _load(cache)
    done = 0
    parts = []
    for part, status in files:
        key = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
        if key not in known:
            known[key] = _hash(part, status, on_progress, (done, total))
            _remember(cache, key, known[key])
        parts.append(PartFingerprint(part, status.st_size, known[key]))
        done += status.st_size
    digest = parts[0].sha256
    if len(parts) > 1:
        digest = hashlib.sha256("".join(f"{part.sha256}\n" for part in parts).encode()).hexdigest()
    return ModelFingerprint(parts[0].path, total, digest, tuple(parts))


def default_cache() -> Path:
    """Return where digests are kept, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpubox" / "sha256.json"


def parts_of(path: Path) -> list[Path]:
    """Return all files of the model that a path belongs to, in order; they need not exist."""
    match = SPLIT_NAME.fullmatch(path.name)
    if match is None:
        return [path]
    count = match["count"]
    return [path.with_name(f"{match['stem']}-{number:05}-of-{count}.gguf") for number in range(1, int(count) + 1)]


def _look(path: Path) -> os.stat_result:
    try:
        status = path.stat()
    except FileNotFoundError as exc:
        match = SPLIT_NAME.fullmatch(path.name)
        what = f"part {int(match['number'])} of {int(match['count'])} is missing" if match else "no such file"
        raise ModelFileError(str(path), what, "check the path, or download the model") from exc
    except OSError as exc:
        raise ModelFileError(str(path), f"can't be read: {exc.strerror}", "check the path and its permissions") from exc
    if stat.S_ISDIR(status.st_mode):
        raise ModelFileError(str(path), "is a folder", "name the .gguf file in it")
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(str(path), "is not a regular file", "name a .gguf file")
    return status


def _hash(path: Path, status: os.stat_result, on_progress: OnProgress | None, so_far: tuple[int, int]) -> str:
    done, total = so_far
    digest = hashlib.sha256()
    block = memoryview(bytearray(BLOCK))
    read = 0
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(block):
                digest.update(block[:count])
                read += count
                if on_progress:
                    on_progress(done + read, total)
            after = os.fstat(file.fileno())
    except OSError as exc:
        raise ModelFileError(str(path), f"can't be read: {exc.strerror}", "check its permissions and its disk") from exc
    if (read, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise ModelFileError(str(path), "changed while it was read", "wait until its download has ended")
    return digest.hexdigest()


def _load(cache: Path) -> dict[str, str]:
    try:
        known = json.loads(cache.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: value for key, value in known.items() if re.fullmatch(r"[0-9a-f]{64}", str(value))}


def _remember(cache: Path, key: str, sha256: str) -> None:
    """Add a digest; the lock keeps two processes from losing each other's."""
    with suppress(OSError):  # a read-only home costs time, it isn't a fault
        cache.parent.mkdir(parents=True, exist_ok=True)
        with cache.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            part = cache.with_suffix(".part")
            part.write_text(json.dumps({**_load(cache), key: sha256}, indent=0), encoding="utf-8")
            part.replace(cache)
