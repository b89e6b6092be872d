"""One file on its way: written in pieces, hashed in order, published only when the hash is right."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

from .errors import FetchError, WrongBytesError

if TYPE_CHECKING:
    from .cache import RepoCache
    from .hub import RemoteFile
    from .ranges import Range

BLOCK = 1 << 20


class Download:
    """A partial file and the knowledge of what is in it; safe to use from several threads.

    Args:
        file: what the hub says about it.
        repo: where it goes.

    Raises:
        FetchError: the cache can't be written.
    """

    def __init__(self, file: RemoteFile, repo: RepoCache) -> None:
        self.file = file
        self.repo = repo
        self._ranges = repo.read_ranges(file.etag)
        self._part = repo.own(file.etag, "part")
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise _disk_fault(repo, exc) from None
        self._settled = False
        self._changed = threading.Condition()

    @property
    def done(self) -> int:
        """Bytes that are there."""
        with self._changed:
            return self._ranges.total

    def missing(self) -> list[Range]:
        """Return the ranges still to come."""
        with self._changed:
            return self._ranges.missing(self.file.size)

    def write(self, at: int, view: memoryview) -> None:
        """Put bytes where they belong.

        Raises:
            FetchError: the disk is full or broken.
        """
        end = at + len(view)
        try:
            while len(view):
                view = view[os.pwrite(self._descriptor, view, end - len(view)) :]
        except OSError as exc:
            raise _disk_fault(self.repo, exc) from None
        with self._changed:
            self._ranges.add(at, end)
            self._changed.notify()

    def keep_ranges(self) -> None:
        """Write down which bytes are there, for the next run.

        Raises:
            FetchError: the disk is full or broken.
        """
        with self._changed:
            if not self._settled:
                try:
                    self.repo.write_ranges(self.file.etag, self._ranges)
                except OSError as exc:
                    raise _disk_fault(self.repo, exc) from None

    def hash_while_arriving(self, stopped: threading.Event) -> str | None:
        """Return the SHA-256 once all bytes are there, or None where the transfer was stopped before."""
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(BLOCK))
        at = 0
        while at < self.file.size:
            with self._changed:
                while (ready := self._ranges.prefix) <= at and not stopped.is_set():
                    self._changed.wait(0.2)
            if ready <= at or stopped.is_set():
                return None
            while at < ready:
                count = os.preadv(self._descriptor, [buffer[: ready - at]], at)
                if not count:
                    raise FetchError(str(self._part), "cut short by somebody else", "run again")
                digest.update(buffer[:count])
                at += count
        return digest.hexdigest()

    def finish(self, sha256: str) -> None:
        """Make the file a blob and link it, if its hash is right.

        Raises:
            FetchError: wrong bytes, which are deleted; or the disk is full or broken.
        """
        with self._changed:
            self._settled = True
        if sha256 != self.file.sha256:
            self.repo.drop(self.file.etag)
            fault = f"wrong bytes, deleted (SHA-256 {sha256}, expected {self.file.sha256})"
            raise WrongBytesError(self.file.place, fault, "run again; if it repeats, the hub or a mirror is damaged")
        try:
            os.fsync(self._descriptor)
            blob = self.repo.blob(self.file.etag)
            blob.parent.mkdir(parents=True, exist_ok=True)
            self._part.replace(blob)
            self.repo.own(self.file.etag, "ranges").unlink(missing_ok=True)
            self.repo.publish(self.file.revision, self.file.name, self.file.etag, self.file.sha256)
        except OSError as exc:
            raise _disk_fault(self.repo, exc) from None

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def _disk_fault(repo: RepoCache, exc: OSError) -> FetchError:
    return FetchError(
        str(repo.folder), exc.strerror or str(exc), "make room; what is there is kept, run again to go on"
    )
