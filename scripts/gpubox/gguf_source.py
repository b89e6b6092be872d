"""Where the bytes of a GGUF come from: what all sources have in common, and a local file.

Sources give pieces on demand, so a 200 GB model costs its header only; see `gguf_http` for servers.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gpubox.errors import ModelFileError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

DOWNLOAD_AGAIN = "download or copy it again"


class Source(Protocol):
    """Bytes at offsets.

    Attributes:
        place: the path or URL, for messages; without anything secret.
        size: bytes in all.
    """

    place: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only at the end, or where the server gives less at a time."""

    def close(self) -> None:
        """Let go of the file or connection."""


class FileSource:
    """A local file.

    Args:
        path: the file; links are followed.

    Raises:
        ModelFileError: if it is missing, not a regular file, or can't be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.place = str(path)
        try:
            # Opening a FIFO would wait for its writer, so look first.
            mode = Path(path).stat().st_mode
            if stat.S_ISDIR(mode):
                raise ModelFileError(self.place, "is a directory", "name the .gguf file in it")
            if not stat.S_ISREG(mode):
                raise ModelFileError(self.place, "is not a regular file", "name a .gguf file")
            self._fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            if Path(path).is_symlink():
                fault = f"is a link to {Path(path).readlink()}, which does not exist"
                raise ModelFileError(self.place, fault, DOWNLOAD_AGAIN) from None
            raise ModelFileError(self.place, "does not exist", "check the path") from None
        except ValueError:
            raise ModelFileError(self.place, "is no path: it holds a zero byte", "check the path") from None
        except OSError as error:
            raise _unreadable(self.place, error) from None
        self.size = os.fstat(self._fd).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, fewer at the end of the file."""
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            raise _unreadable(self.place, error) from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _unreadable(place: str, error: OSError) -> ModelFileError:
    return ModelFileError(place, f"can't be read: {reason_of(error)}", "check its permissions and the path")


def reason_of(error: Exception) -> str:
    """Return what an exception says, to stand behind a colon."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
