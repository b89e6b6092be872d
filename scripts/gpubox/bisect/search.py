"""Where to look next in a line of commits, some of which can't be measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def bounds(last: int, fast: Iterable[int], slow: Iterable[int]) -> tuple[int, int]:
    """Return the last fast commit before the first slow one, and that slow one, by position.

    Args:
        last: position of the end that is known to be slow; the other end, 0, is known to be fast.
        fast: positions of commits that are as fast as the beginning.
        slow: positions of those that are not.
    """
    high = min(slow, default=last)
    return max((position for position in fast if position < high), default=0), high


def next_position(low: int, high: int, unusable: Collection[int]) -> int | None:
    """Return which commit to measure between a fast one and a slow one; None where none is left.

    Without unusable ones it is the middle. What doesn't build mostly stands in a row of others that don't, and the more of
    them were met, the longer that row may be: the k-th one's neighbour at distance d is taken to be usable with probability
    1 - 2^(-d / 2^(k - 1)), and the commit that is expected to rule out the most is chosen. Of two that are equal it is the
    nearer to the middle, then the earlier.

    Args:
        low: position of the fast one.
        high: of the slow one.
        unusable: positions that can't be measured.
    """
    bad = [position for position in unusable if low < position < high]
    row = 2.0 ** min(len(bad) - 1, 30)

    def worth(position: int) -> tuple[float, float, int]:
        distance = min((abs(position - one) for one in bad), default=math.inf)
        ruled_out = min(position - low, high - position)
        return (1 - 2.0 ** (-distance / row)) * ruled_out, -abs(2 * position - low - high), -position

    left = [position for position in range(low + 1, high) if position not in unusable]
    return max(left, key=worth, default=None)


def steps_left(low: int, high: int) -> int:
    """Return how many measurements are left between a fast one and a slow one where all can be measured."""
    return max(0, (high - low - 1).bit_length())
