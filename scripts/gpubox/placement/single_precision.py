"""The engine's 32-bit floating-point numbers, where their rounding decides something."""

from __future__ import annotations

import struct

_F32 = struct.Struct("f")


def f32(value: float) -> float:
    """Return the nearest 32-bit number."""
    rounded: float = _F32.unpack(_F32.pack(value))[0]
    return rounded
