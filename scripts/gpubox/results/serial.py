"""JSON as the results keep it: compact, ASCII, and numbers that every reader understands."""

from __future__ import annotations

import json


def dumps(value: object) -> str:
    """Return the value as one line of JSON; NaN and infinity, which JSON lacks, raise ValueError."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
