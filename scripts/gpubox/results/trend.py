"""Whether the values of a series rise or fall with time: a server that still warms up, a GPU that throttles."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import factorial, sqrt
from statistics import NormalDist, fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNIFICANCE = 0.02
SMALLEST = 0.03
EXACT_UP_TO = 50


def trend(values: Sequence[float]) -> float:
    """Return the change from the first value to the last along the trend, relative to the mean; 0.0 without a trend.

    There is a trend where Mann and Kendall's test says so at 2 %, two-sided (Mann 1945, Econometrica 13:245), and the
    change along the Theil-Sen line is more than 3 % of the mean: a smaller one hides in no interval that matters.
    Four values or fewer can't show one: even all in order, they are so by chance once in twelve times. Of 1,000 seeded
    runs without a trend, 1 has a flag where repetitions vary by 1 % and 20 where they vary by 2 %; of those that rise or
    fall by 6 % over ten repetitions 91 to 99 of 100 have the right one (tests/benchmarks/bench_flags.py).

    Args:
        values: positive, oldest first.
    """
    n = len(values)
    pairs = list(combinations(range(n), 2))
    score = sum((values[j] > values[i]) - (values[j] < values[i]) for i, j in pairs)
    if not pairs or _chance(n, abs(score)) >= SIGNIFICANCE:
        return 0.0
    slope = median((values[j] - values[i]) / (j - i) for i, j in pairs)
    change = slope * (n - 1) / fmean(values)
    return change if abs(change) > SMALLEST else 0.0


@lru_cache(maxsize=1024)
def _chance(n: int, score: int) -> float:
    """Return how often n values without a trend score this much or more, in either direction."""
    most = n * (n - 1) // 2
    if n > EXACT_UP_TO:
        return 2 * NormalDist().cdf(-(score - 1) / sqrt(n * (n - 1) * (2 * n + 5) / 18)) if score > 0 else 1.0
    # With d pairs out of order the score is most - 2 d, so that many in order by chance is what `extreme` counts.
    extreme = sum(_orders(n)[: (most - score) // 2 + 1])
    return min(1.0, 2 * extreme / factorial(n))


@lru_cache(maxsize=EXACT_UP_TO)
def _orders(n: int) -> tuple[int, ...]:
    """Return how many orders of n values have 0, 1, 2, … pairs out of order (Mahonian numbers)."""
    if n < 2:
        return (1,)
    before = _orders(n - 1)
    return tuple(sum(before[max(0, d - n + 1) : d + 1]) for d in range(n * (n - 1) // 2 + 1))
