"""Models and the host's memory: how much a server has read of one, and reading one ahead into the page cache."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    OnProgress = Callable[[int, int], None]

CHUNK = 4 << 20
WINDOW_S = 15.0  # of which the speed of a load is taken
SPARE = 4 << 30  # bytes of memory that a prewarm leaves to the rest of the box


class LoadProgress:
    """How far a model has been loaded, and when it will be.

    Args:
        size: of the model, bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.done = 0
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, done: int, at_s: float) -> None:
        """Note that `done` bytes were read at a time in seconds; what was read twice counts once."""
        self.done = max(self.done, min(done, self.size))
        self._seen.append((at_s, self.done))
        while at_s - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    @property
    def remaining_s(self) -> float | None:
        """Seconds until all is read at the speed of the last 15; None where nothing moves."""
        (begun, first), (last, done) = self._seen[0], self._seen[-1]
        if done == first or last == begun:
            return None
        return (self.size - done) / (done - first) * (last - begun)

    def __str__(self) -> str:
        read = f"{in_words(self.done)} of {in_words(self.size)} read ({self.done * 100 // max(self.size, 1)} %)"
        remaining = self.remaining_s if self._seen else None
        return read if remaining is None or self.done == self.size else f"{read}, about {remaining:.0f} s to go"


def bytes_read(processes: Iterable[int], proc: Path = Path("/proc")) -> int:
    """Return how many bytes of a model the busiest of some processes holds or has read.

    A mapped file (llama.cpp's default) becomes resident page by page; without mmap it is read, and its pages may be
    pinned memory that the process never owned. The larger of both is how far it is.
    """
    most = 0
    for pid in processes:
        resident = _fields(proc / str(pid) / "status").get("VmRSS", 0) * 1024
        counters = _fields(proc / str(pid) / "io")
        most = max(most, resident, counters.get("rchar", 0), counters.get("read_bytes", 0))
    return most


def prewarm_fault(size: int, proc: Path = Path("/proc")) -> str:
    """Return why a model of `size` bytes should not be read into the page cache, or an empty string.

    What other processes have mapped counts as taken: the model that serves may be computed from there.
    """
    memory = _fields(proc / "meminfo")
    free = (memory.get("MemAvailable", 0) - memory.get("Mapped", 0)) * 1024
    if size + SPARE <= free:
        return ""
    return f"the model has {in_words(size)}, and {in_words(max(free - SPARE, 0))} of memory are free for it"


def prewarm(files: Sequence[Path], rate: float, on_progress: OnProgress, proc: Path = Path("/proc")) -> float:
    """Read files, so that the page cache has them.

    Args:
        files: of one model.
        rate: bytes per second at most of the disk; what the page cache has already is not held back.
        on_progress: told after each piece: bytes done, and of how many.
        proc: where procfs is mounted.

    Returns:
        The seconds that it took.

    Raises:
        GpuboxError: a file can't be read.
    """
    begun, done = time.monotonic(), 0
    counters = proc / "self" / "io"
    read_before = _fields(counters).get("read_bytes", 0)
    size = sum(file.stat().st_size for file in files)
    try:
        for file in files:
            with file.open("rb", buffering=0) as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
                while piece := len(opened.read(CHUNK)):
                    done += piece
                    on_progress(done, size)
                    from_disk = _fields(counters).get("read_bytes", 0) - read_before
                    time.sleep(max(begun + from_disk / rate - time.monotonic(), 0))
    except OSError as error:
        raise GpuboxError(str(file), f"can't be read: {error.strerror}", "check the disk: dmesg") from error
    return time.monotonic() - begun


def in_words(size: int) -> str:
    """Return a number of bytes as people say it: `0.7 MB`, `12.3 GB`, `184 GB`."""
    unit, value = ("GB", size / 1e9) if size >= 1e9 else ("MB", size / 1e6)
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def _fields(path: Path) -> dict[str, int]:
    """Return the `NAME: NUMBER` lines of a file of procfs; kB stay kB."""
    try:
        return {name: int(value) for name, value in re.findall(r"(?m)^(\w+):\s+(\d+)", path.read_text())}
    except OSError:
        return {}
