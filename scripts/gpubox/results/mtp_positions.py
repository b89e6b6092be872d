"""How far rounds of drafting get: the share of them that accepts at least one draft, at least two, and so on.

No server tells it. But the tokens of a round are sent together, so that they can be told apart by when they arrived; and
the server tells how many rounds there were. What is found is only believed where both fit: where so many gaps between
arrivals stand out clearly, and every token arrived by itself.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gpubox.results.mtp import rounds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpubox.record import Sample

# The shortest gap between two rounds is at least so many times the longest within one.
CLEARLY = 3.0


def tokens_of_rounds(sample: Sample) -> list[int] | None:
    """Return how many tokens each round of an answer gave, in order; None where arrivals don't tell rounds apart."""
    rounds = rounds_of(sample)
    if rounds is None or len(sample.arrivals_ms) != sample.delivered_n:
        return None
    gaps = [after - before for before, after in pairwise(sample.arrivals_ms)]
    ranked = sorted(range(len(gaps)), key=lambda index: -gaps[index])
    between, within = ranked[: rounds.count], ranked[rounds.count :]
    if len(between) < rounds.count or (within and gaps[between[-1]] < CLEARLY * gaps[within[0]]):
        return None
    ends = [*sorted(between), len(gaps)]
    return [end - begin for begin, end in pairwise(ends)]


def reached(samples: Iterable[Sample]) -> tuple[float, ...]:
    """Return the share of rounds that accepted at least 1, 2, … drafts; empty where no answer tells.

    The last round of each answer, which its limit may have cut, is left out.

    Args:
        samples: valid ones, with their arrivals.
    """
    counts: list[int] = []
    proposed = 0
    for sample in samples:
        tokens, rounds = tokens_of_rounds(sample), rounds_of(sample)
        if tokens is not None and rounds is not None:
            counts += tokens[:-1]
            proposed = max(proposed, -(-rounds.drafted // rounds.count))
    if not counts:
        return ()
    positions = max(proposed, max(counts) - 1)
    return tuple(sum(count > position for count in counts) / len(counts) for position in range(1, positions + 1))


def in_words(shares: Sequence[float]) -> str:
    """Return the shares as a sentence's part: `at least 1 draft in 92 % of rounds, 2 in 80 %`."""
    first, *rest = [f"{position} in {share * 100:.0f} %" for position, share in enumerate(shares, 1)]
    return ", ".join([f"at least {first} of the rounds", *rest])
