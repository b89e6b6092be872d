"""Intervals of means and differences of means, for the 3 to 50 repetitions that a benchmark can afford.

A mean has Student's interval: exact for normal data at every n, and it costs microseconds, so that thousands of runs
can be summarised when read. A difference has a bootstrap interval (`bootstrap.py`), and Fieller's for fewer values than
can be resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from statistics import fmean
from typing import TYPE_CHECKING

from gpubox.results.bootstrap import MIN_VALUES, RESAMPLES, ratio_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean and how far it can be trusted, in the unit of the values.

    Attributes:
        mean: of the values.
        lo, hi: ends of the confidence interval; None where n is 1.
        n: how many values.
    """

    mean: float
    lo: float | None
    hi: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the interval's width, or None without an interval."""
        return None if self.lo is None or self.hi is None else (self.hi - self.lo) / 2


class Verdict(Enum):
    """What can be said of B beside A."""

    HIGHER = "higher"
    LOWER = "lower"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Difference:
    """How much higher the mean of B is than the mean of A.

    Attributes:
        percent: (mean of B / mean of A - 1) x 100.
        lo, hi: ends of its confidence interval, percent; None where the values don't bound it.
        n_a, n_b: how many values; equal when paired.
        paired: whether value i of A and value i of B were compared with each other.
        confidence: of the interval, 0 to 1.
    """

    percent: float
    lo: float | None
    hi: float | None
    n_a: int
    n_b: int
    paired: bool
    confidence: float = CONFIDENCE

    @property
    def verdict(self) -> Verdict:
        """Higher or lower only where the interval excludes zero."""
        if self.lo is not None and self.lo > 0:
            return Verdict.HIGHER
        if self.hi is not None and self.hi < 0:
            return Verdict.LOWER
        return Verdict.UNDECIDED

    def sentence(self, higher: str = "faster", lower: str = "slower") -> str:
        """Say the verdict.

        Args:
            higher: what B is where its mean is higher.
            lower: what B is where its mean is lower.
        """
        if self.lo is None or self.hi is None:
            why = "too few samples" if min(self.n_a, self.n_b) < 2 else "the samples vary too much"
            return f"no difference can be claimed ({why})"
        interval = f"{self.confidence * 100:g} % CI"
        match self.verdict:
            case Verdict.HIGHER:
                return f"B is {higher} by {self.percent:.1f} % ({interval} {self.lo:.1f} to {self.hi:.1f})"
            case Verdict.LOWER:
                return f"B is {lower} by {-self.percent:.1f} % ({interval} {-self.hi:.1f} to {-self.lo:.1f})"
            case Verdict.UNDECIDED:
                return f"no difference can be claimed ({interval} {self.lo:+.1f} to {self.hi:+.1f} %)"


def interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of one or more values with Student's confidence interval.

    Args:
        values: at least one, independent of each other.
        confidence: how often such an interval holds the true mean, 0 to 1.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    n, mean = len(values), fmean(values)
    if n == 1:
        return Estimate(mean, None, None, 1)
    half = t_quantile(confidence, n - 1) * math.sqrt(_variance(values, mean) / n)
    return Estimate(mean, mean - half, mean + half, n)


def variation(values: Sequence[float]) -> float:
    """Return the coefficient of variation of positive values: standard deviation / mean; 0.0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    mean = fmean(values)
    return math.sqrt(_variance(values, mean)) / mean


def difference(
    a: Sequence[float],
    b: Sequence[float],
    *,
    paired: bool,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Difference:
    """Return the relative difference of the means of two series of positive values.

    The interval is that of `bootstrap.ratio_interval`. With fewer than MIN_VALUES values on a side it is Fieller's for
    a ratio of means (Fieller 1954, J. R. Stat. Soc. B 16:175): zero lies outside exactly when the paired t test, or
    Welch's for unpaired series (degrees of freedom rounded down), rejects that the means are equal.

    Args:
        a: at least one value.
        b: at least one value; as many as `a` and in the same order when paired.
        paired: whether value i of both was taken under the same conditions.
        confidence: of the interval, 0 to 1.
        resamples: of the bootstrap.

    Raises:
        ValueError: a series is empty, the mean of `a` is not positive, or paired series differ in length.
    """
    if paired and len(a) != len(b):
        raise ValueError(f"paired series differ in length: {len(a)} and {len(b)}")
    if not a or not b:
        raise ValueError("a difference needs at least one value on each side")
    mean_a = fmean(a)
    if mean_a <= 0:
        raise ValueError(f"a relative difference needs a positive mean to start from, not {mean_a}")
    ratio = fmean(b) / mean_a
    lo, hi = _ends(a, b, mean_a, ratio, paired=paired, confidence=confidence, resamples=resamples)
    return Difference((ratio - 1) * 100, lo, hi, len(a), len(b), paired, confidence)


def _ends(
    a: Sequence[float],
    b: Sequence[float],
    mean_a: float,
    ratio: float,
    *,
    paired: bool,
    confidence: float,
    resamples: int,
) -> tuple[float, float] | tuple[None, None]:
    if min(len(a), len(b)) >= MIN_VALUES:
        found = ratio_interval(a, b, paired=paired, confidence=confidence, resamples=resamples)
        if found is not None:
            return (found[0] - 1) * 100, (found[1] - 1) * 100
    return _fieller(a, b, mean_a, ratio, paired=paired, confidence=confidence)


def _fieller(
    a: Sequence[float], b: Sequence[float], mean_a: float, ratio: float, *, paired: bool, confidence: float
) -> tuple[float, float] | tuple[None, None]:
    n_a, n_b = len(a), len(b)
    if min(n_a, n_b) < 2:
        return None, None
    # Variances of both means and their covariance.
    v_a, v_b = _covariance(a, a) / n_a, _covariance(b, b) / n_b
    c = _covariance(a, b) / n_a if paired else 0.0
    freedom = n_a - 1
    if not paired and v_a + v_b > 0:
        welch = (v_a + v_b) ** 2 / (v_a**2 / (n_a - 1) + v_b**2 / (n_b - 1))
        freedom = math.floor(welch * (1 + 1e-12))  # 3.9999999 is 4
    k = (t_quantile(confidence, freedom) / mean_a) ** 2
    if k * v_a >= 1:
        return None, None
    root = math.sqrt(max(0.0, k * (v_b - 2 * ratio * c + ratio**2 * v_a - k * (v_a * v_b - c**2))))
    middle, scale = ratio - k * c, 1 - k * v_a
    return ((middle - root) / scale - 1) * 100, ((middle + root) / scale - 1) * 100


def _variance(values: Sequence[float], mean: float) -> float:
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _covariance(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = fmean(x), fmean(y)
    return math.fsum((one - mean_x) * (other - mean_y) for one, other in zip(x, y, strict=True)) / (len(x) - 1)


@lru_cache(maxsize=1024)
def t_quantile(confidence: float, freedom: int) -> float:
    """Return the t that Student's distribution stays within, on both sides of zero, with this probability.

    Args:
        confidence: 0 to 1, both excluded.
        freedom: degrees of freedom, 1 or more.
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        low, high = high, high * 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    # Abramowitz & Stegun (1964), 26.7.3 and 26.7.4: finite sums for whole degrees of freedom.
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
