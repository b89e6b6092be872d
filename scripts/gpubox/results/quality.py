"""How good the answers of two runs were, side by side in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpubox.results.metrics import NLL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.record import Sample


def compare_quality(a: Sequence[Sample], b: Sequence[Sample]) -> str:
    """Return what is known of both, `A …; B …`; an empty string where neither was looked at.

    Args:
        a: the samples of a run.
        b: those of another.
    """
    told = [quality_of(samples) for samples in (a, b)]
    return (
        "; ".join(f"{side} {text or 'was not checked'}" for side, text in zip("AB", told, strict=True))
        if any(told)
        else ""
    )


def quality_of(samples: Sequence[Sample]) -> str:
    """Return how good a run was, in words: its perplexity, or where the worst of its answers first goes wrong."""
    if likelihoods := NLL.known(samples):
        return f"has a perplexity of {math.exp(math.fsum(likelihoods) / len(likelihoods)):.3f}"
    checked = [(sample.clean_n, sample) for sample in samples if sample.valid and sample.clean_n is not None]
    if not checked:
        return ""
    clean, worst = min(checked, key=lambda one: one[0])
    faults = [flag for flag in worst.flags if flag.startswith("fault after")]
    return f"has a {faults[0]}" if faults else f"has no fault in {clean} tokens"
