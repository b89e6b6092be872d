"""What time it is for whoever measures: the time of day at the start of this process, and the time that has run since.

A clock that is set while something is measured (NTP, a resumed laptop, a person) would otherwise put samples before their
run, and a box's readings to another sample than theirs.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

_START = time.time() - time.monotonic()


def now_s() -> float:
    """Return seconds since 1970, which never run backwards while this process lives."""
    return _START + time.monotonic()


def now() -> datetime:
    """Return the same as a moment with zone."""
    return datetime.fromtimestamp(now_s(), UTC)
