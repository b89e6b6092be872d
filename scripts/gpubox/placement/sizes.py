"""Memory sizes as people write them and as tables show them."""

from __future__ import annotations

import re

from gpubox.errors import GpuboxError

MIB = 2**20
GIB = 2**30

_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip  # a table
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_size(text: str, place: str) -> int:
    """Return a size in bytes: `81559MiB`, `24GiB` and `24G` count in 1024, `96GB` in 1000.

    Args:
        text: a number and a unit; without one it counts bytes.
        place: what the size is for, for messages.

    Raises:
        GpuboxError: the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _UNITS.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise GpuboxError(place, f"{text!r} is no size", "write a number and a unit, e.g. 96GB, 24GiB or 81559MiB")
    return round(float(match[1]) * factor)


def mib(size: float) -> float:
    """Return bytes as MiB, rounded to two digits as the engine prints them."""
    return round(size / MIB, 2)


def gib_text(size: float) -> str:
    """Return bytes as `12.3 GiB`."""
    return f"{size / GIB:.1f} GiB"
