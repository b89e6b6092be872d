"""Which repetitions of two runs belong together: those that ran in turns, so that what disturbs one disturbs the other."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpubox.record import Run, Sample

    Values = Callable[[Sequence[Sample]], Sequence[float | None]]


def are_paired(a: Run, b: Run, samples_a: Sequence[Sample], samples_b: Sequence[Sample]) -> bool:
    """Return whether two runs are of one batch and their measured samples alternate in time."""
    return a.batch == b.batch and a.id != b.id and _in_turns(samples_a, samples_b)


def both_sides(
    values: Values, samples_a: Sequence[Sample], samples_b: Sequence[Sample], *, paired: bool
) -> tuple[list[float], list[float]]:
    """Return the known values of the valid samples of two runs.

    Args:
        values: from valid samples to one value each, None where a sample has none.
        samples_a: of the one run.
        samples_b: of the other.
        paired: leave out on both sides what is invalid or unknown on one, so that value i of both belong together.
    """
    if not paired:
        known_a, known_b = (
            [value for value in values([s for s in samples if s.valid]) if value is not None]
            for samples in (samples_a, samples_b)
        )
        return known_a, known_b
    both = [(x, y) for x, y in zip(_measured(samples_a), _measured(samples_b), strict=False) if x.valid and y.valid]
    values_a, values_b = values([x for x, _ in both]), values([y for _, y in both])
    known = [(x, y) for x, y in zip(values_a, values_b, strict=True) if x is not None and y is not None]
    return [x for x, _ in known], [y for _, y in known]


def _in_turns(samples_a: Sequence[Sample], samples_b: Sequence[Sample]) -> bool:
    starts_a, starts_b = (
        [datetime.fromisoformat(s.started_at) for s in _measured(samples)] for samples in (samples_a, samples_b)
    )
    if not starts_a or not starts_b:
        return False
    return min(starts_a) < max(starts_b) and min(starts_b) < max(starts_a)


def _measured(samples: Sequence[Sample]) -> list[Sample]:
    return [s for s in samples if s.kind == "measured"]
