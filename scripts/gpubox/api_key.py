"""Read an API key from a file: never from a command line, where every user of the machine can see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from pathlib import Path


def read_api_key(path: Path) -> str:
    """Return the first key in a file of keys, one a line (llama-server's `--api-key-file`).

    Raises:
        GpuboxError: the file is missing, unreadable or holds no key.
    """
    try:
        keys = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise GpuboxError(str(path), f"the API key can't be read: {reason}", "check the path and its mode") from None
    if not keys:
        raise GpuboxError(str(path), "holds no API key", "put one key on a line")
    return keys[0]
