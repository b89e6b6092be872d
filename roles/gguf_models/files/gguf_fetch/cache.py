"""The Hugging Face cache of a box, as huggingface_hub lays it out, and what we keep beside it.

models--ORG--REPO/
  blobs/ETAG                  the bytes; of a large file the ETag is its SHA-256
  snapshots/COMMIT/NAME       a relative link to the blob: here it is whole and checked
  .gpubox/ETAG.part           bytes on their way
  .gpubox/ETAG.ranges         which of them are there, JSON
  .gpubox/ETAG.verified       SHA-256, size, mtime and inode of the checked blob, JSON
.locks/gpubox-fetch.lock      held by whoever writes; its text says who
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .errors import FetchError
from .ranges import ByteRanges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

    from .ranges import Range


@dataclass(frozen=True)
class Verified:
    """A blob as it was when its hash was right; `inode` is 0 where an earlier version wrote the record."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int = 0

    @classmethod
    def now(cls, path: Path, sha256: str) -> Self:
        """Return the record of a file that has this hash."""
        stat = path.stat()
        return cls(sha256, stat.st_size, stat.st_mtime_ns, stat.st_ino)

    def still_fits(self, path: Path) -> bool:
        """Tell whether the file looks untouched since, by size, mtime and inode."""
        stat = path.stat()
        same = (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)
        return same and self.inode in {0, stat.st_ino}


class RepoCache:
    """One repository in the cache.

    Args:
        cache: folder of the cache.
        repo: ORG/NAME.
    """

    def __init__(self, cache: Path, repo: str) -> None:
        self.folder = cache / f"models--{repo.replace('/', '--')}"

    def blob(self, etag: str) -> Path:
        """Return where the bytes lie once they are whole."""
        return self.folder / "blobs" / etag

    def snapshot(self, revision: str, name: str) -> Path:
        """Return the link that says: whole and checked."""
        return self.folder / "snapshots" / revision / name

    def own(self, etag: str, suffix: str) -> Path:
        """Return a file that we keep beside the blob."""
        return self.folder / ".gpubox" / f"{etag}.{suffix}"

    def verified(self, etag: str) -> Verified | None:
        """Return the record of a blob's check, or None where there is none to trust."""
        try:
            return Verified(**json.loads(self.own(etag, "verified").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def in_place(self, revision: str, name: str, sha256: str | None) -> bool:
        """Tell whether a file is linked, was checked, and looks untouched since; reads no content."""
        link = self.snapshot(revision, name)
        if not link.is_symlink() or not link.exists():
            return False
        record = self.verified(link.readlink().name)
        return record is not None and sha256 in {None, record.sha256} and record.still_fits(link)

    def publish(self, revision: str, name: str, etag: str, sha256: str) -> None:
        """Record that the blob is right, then link it into the snapshot; a crash between leaves nothing half-made."""
        blob = self.blob(etag)
        self.own(etag, "verified").parent.mkdir(exist_ok=True)
        write_whole(self.own(etag, "verified"), json.dumps(asdict(Verified.now(blob, sha256))))
        link = self.snapshot(revision, name)
        link.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(blob, link.parent)
        if link.is_symlink() and str(link.readlink()) == target:
            return
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)

    def read_ranges(self, etag: str) -> ByteRanges:
        """Return which bytes of a file on its way are there."""
        part = self.own(etag, "part")
        try:
            ranges = json.loads(self.own(etag, "ranges").read_text())
            size = part.stat().st_size
        except (OSError, ValueError):
            return ByteRanges()
        return ByteRanges((start, min(end, size)) for start, end in ranges)

    def write_ranges(self, etag: str, ranges: list[Range]) -> None:
        """Keep which bytes of a file on its way are there."""
        write_whole(self.own(etag, "ranges"), json.dumps(ranges))

    def drop(self, etag: str) -> None:
        """Delete a file on its way, and the record of the blob."""
        for suffix in ("ranges", "part", "verified"):
            self.own(etag, suffix).unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a small file, all of it or nothing."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(cache: Path, doing: str, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the cache alone; the kernel lets go of it when the process ends, however it ends.

    Args:
        cache: folder of the cache; made if it is missing.
        doing: the verb, told to whoever waits.
        on_wait: called once, with who holds the cache, before waiting.

    Raises:
        FetchError: the cache can't be written.
    """
    path = cache / ".locks" / "gpubox-fetch.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as exc:
        remedy = "run as the owner of the cache, or choose another folder"
        raise FetchError(str(cache), exc.strerror or "can't be written", remedy) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            on_wait(f"{cache}: waits for {file.read() or 'another process'}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        file.write(f"process {os.getpid()} (gguf_fetch {doing}, since {since})")
        file.flush()
        yield
