"""JSON as the results keep it: compact, ASCII, and numbers that every reader understands."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any


def dumps(value: object) -> str:
    """Return the value as one line of JSON; NaN and infinity, which JSON lacks, raise ValueError."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


@lru_cache(maxsize=1024)
def loads(text: str) -> Any:  # noqa: ANN401  # any JSON value
    """Return the value of a text that `dumps` wrote.

    Equal texts give the same object, which nobody may change: ten thousand runs of one box share what describes it.
    """
    return json.loads(text)
