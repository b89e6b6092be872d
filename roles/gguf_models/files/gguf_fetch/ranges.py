"""A set of byte positions: which parts of a file are there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Range = tuple[int, int]  # first byte, and the one after the last


class ByteRanges:
    """Disjoint ranges in rising order; ranges that touch are one.

    Args:
        ranges: what is in the set from the start, in any order.
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Add the bytes from `start` up to, not including, `end`."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def missing(self, size: int) -> list[Range]:
        """Return the ranges of a file of `size` bytes that are not in the set."""
        starts = [0, *self._ends]
        ends = [*self._starts, size]
        return [(start, min(end, size)) for start, end in zip(starts, ends, strict=True) if start < min(end, size)]

    @property
    def prefix(self) -> int:
        """How many bytes from the first on are there without a hole."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    @property
    def total(self) -> int:
        """How many bytes are in the set."""
        return sum(self._ends) - sum(self._starts)

    def as_list(self) -> list[Range]:
        """Return the ranges in rising order."""
        return list(zip(self._starts, self._ends, strict=True))
