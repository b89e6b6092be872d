"""Bytes from the hub to the cache: several ranges at once, each file hashed while it arrives, none published unchecked.

Workers take ranges from one queue, in file order, and write them where they belong. A hasher per file follows the part
that is there without a hole, reading it back from the page cache, so that the hash is known a moment after the last byte.
Which ranges are there is written down twice a second: a killed run loses no more than half a second of work.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from .errors import FetchError, PassingError, SeveralFaultsError, WrongBytesError
from .patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .download import Download
    from .hub import ByteStream, Hub
    from .ranges import Range

# Small enough for a CDN, which serves at most 50 GB in one answer, and to keep all connections busy to the end;
# large enough that setting up a connection costs nothing beside it.
SEGMENT = 64 << 20
TICK_S = 0.5


class Transfer:
    """All files of a run.

    Args:
        hub: where the bytes come from.
        downloads: what to get, in order.
        connections: ranges fetched at the same time.
        attempts: failures in a row after which a range is given up.
        retry_wait_s: first wait after a failure, seconds.
        segment: bytes that one worker takes at a time.
    """

    def __init__(
        self,
        hub: Hub,
        downloads: list[Download],
        *,
        connections: int,
        attempts: int,
        retry_wait_s: float,
        segment: int = SEGMENT,
    ) -> None:
        self._hub = hub
        self._downloads = downloads
        self._connections = connections
        self._attempts = attempts
        self._retry_wait_s = retry_wait_s
        # None stands for all that a file lacks, not yet split.
        self._queue: deque[tuple[Download, Range | None]] = deque((download, None) for download in downloads)
        self._segment = segment
        self._stopped = threading.Event()
        self._faults: list[FetchError] = []
        self._crash: BaseException | None = None
        self._trouble = ""

    def run(self, on_tick: Callable[[int, str], None]) -> None:
        """Fetch everything.

        Args:
            on_tick: called twice a second with the bytes that are there, and the trouble of the moment, if any.

        Raises:
            FetchError: what went wrong, one fault a line; what is whole is published, and the rest can go on later.
        """
        threads = [threading.Thread(target=self._guarded, args=(self._work,)) for _ in range(self._connections)]
        threads += [threading.Thread(target=self._guarded, args=(self._check, each)) for each in self._downloads]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                on_tick(sum(download.done for download in self._downloads), self._trouble)
                _join(threads, time.monotonic() + TICK_S)
                self._guarded(self._keep_ranges)
        finally:
            self._stopped.set()
            _join(threads, None)
            self._guarded(self._keep_ranges)
            for download in self._downloads:
                download.close()
        if self._crash:
            raise self._crash
        if self._faults:
            raise SeveralFaultsError(self._faults)

    def _guarded(self, job: Callable[..., None], *args: Download) -> None:
        """Run a job; keep its fault for the end of the run, and stop the others where they would only meet it too."""
        try:
            job(*args)
        except WrongBytesError as fault:
            self._faults.append(fault)
        except FetchError as fault:
            if not self._stopped.is_set():
                self._faults.append(fault)
            self._stopped.set()
        except BaseException as exc:  # noqa: BLE001 - raised again by the main thread
            self._crash = exc
            self._stopped.set()

    def _keep_ranges(self) -> None:
        for download in self._downloads:
            download.keep_ranges()

    def _check(self, download: Download) -> None:
        sha256 = download.hash_while_arriving(self._stopped)
        if sha256:
            download.finish(sha256)

    def _tell(self, trouble: str) -> None:
        self._trouble = trouble

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                download, segment = self._queue.popleft()
            except IndexError:
                return
            patience = Patience(download.file.place, self._attempts, self._retry_wait_s, self._stopped, tell=self._tell)
            reader = RangeReader(self._hub, download, patience, self._stopped)
            try:
                for start, end in [segment] if segment else self._take_first(download, reader):
                    reader.copy(start, end)
            finally:
                reader.close()

    def _take_first(self, download: Download, reader: RangeReader) -> list[Range]:
        """Open the first segment that a file lacks, to see whether the hub serves ranges of it.

        Returns:
            What this worker should read: that segment, the others being queued for everybody; or, from a hub that sends
            whole files only, all that is missing, over one connection.
        """
        missing = download.missing()
        if not missing:
            return []
        first, *others = [
            (at, min(at + self._segment, end)) for start, end in missing for at in range(start, end, self._segment)
        ]
        if reader.open(*first):
            return missing
        self._queue.extendleft((download, segment) for segment in reversed(others))
        return [first]


class RangeReader:
    """Copies ranges of one file, in rising order, over as many connections one after another as it takes.

    Args:
        hub: where the bytes come from.
        download: the file.
        patience: with failures.
        stopped: ends the copying early.
    """

    def __init__(self, hub: Hub, download: Download, patience: Patience, stopped: threading.Event) -> None:
        self._hub = hub
        self._download = download
        self._patience = patience
        self._stopped = stopped
        self._stream: ByteStream | None = None

    def open(self, start: int, end: int) -> bool:
        """Open a range; tell whether the hub ignores ranges and sends the whole file.

        Raises:
            FetchError: the hub refuses, or patience is at its end.
        """
        self.close()
        self._stream = self._patience.insist(lambda: self._hub.open(self._download.file, start, end))
        return self._stream.whole

    def copy(self, start: int, end: int) -> None:
        """Copy a range into the download.

        Raises:
            FetchError: the hub refuses, patience is at its end, or the disk is full.
        """
        at = start
        while at < end and not self._stopped.is_set():
            try:
                at += self._copy_some(at, end)
            except PassingError as fault:
                self.close()
                self._patience.failed(fault)
            else:
                self._patience.gained()

    def _copy_some(self, at: int, end: int) -> int:
        if self._stream and self._stream.whole:
            self._stream.skip_to(at)
        elif self._stream is None or self._stream.at != at:
            self.close()
            self._stream = self._hub.open(self._download.file, at, end)
        piece = self._stream.read(end - at)
        if not piece:
            raise PassingError("the connection ended early")
        self._download.write(at, memoryview(piece))
        return len(piece)

    def close(self) -> None:
        """Close the connection."""
        if self._stream:
            self._stream.close()
            self._stream = None


def _join(threads: Iterable[threading.Thread], deadline: float | None) -> None:
    """Wait until all threads have ended, or until a time of the monotonic clock."""
    for thread in threads:
        thread.join(None if deadline is None else max(deadline - time.monotonic(), 0))
