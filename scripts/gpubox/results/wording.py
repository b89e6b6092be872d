"""Numbers as people read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpubox.results.metrics import Metric
    from gpubox.results.stats import Estimate

NOTHING = "-"


def estimate(value: Estimate | None, metric: Metric) -> str:
    """Return `31.42 ±0.21`, the mean and half its interval; the mean alone of a single sample, a hyphen without one."""
    if value is None:
        return NOTHING
    mean = f"{value.mean:.{metric.digits}f}"
    return mean if value.half_width is None else f"{mean} ±{value.half_width:.{metric.digits}f}"


def number(value: float | None, metric: Metric) -> str:
    """Return a single value with the metric's decimals, or a hyphen."""
    return NOTHING if value is None else f"{value:.{metric.digits}f}"


def ratio(value: float | None) -> str:
    """Return a share of 1 with two decimals, or a hyphen."""
    return NOTHING if value is None else f"{value:.2f}"


def moment(iso: str) -> str:
    """Return an ISO 8601 time with zone as UTC to the minute."""
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def compact(value: object) -> str:
    """Return a recorded value on one line: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
