"""Rounds are told apart by when their tokens arrive, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.results.mtp_positions import in_words, reached, tokens_of_rounds
from results.records import a_sample

if TYPE_CHECKING:
    from gpubox.record import Sample

ROUND_MS = 50.0
ROUNDS = st.lists(st.integers(1, 5), min_size=2, max_size=30)


def answer(rounds: list[int], within_ms: float = 0.2) -> Sample:
    """Return an answer whose first token stands alone and whose rounds give so many tokens each, of 4 drafts."""
    arrivals = [100.0]
    for number, tokens in enumerate(rounds, 1):
        arrivals += [100 + number * ROUND_MS + each * within_ms for each in range(tokens)]
    count = len(arrivals)
    return a_sample(
        0,
        predicted_n=count,
        delivered_n=count,
        predicted_steps=count - 1,
        predicted_ms=len(rounds) * ROUND_MS,
        draft_n=4 * len(rounds),
        draft_n_accepted=sum(rounds) - len(rounds),
        arrivals_ms=tuple(arrivals),
    )


@given(ROUNDS)
def test_each_rounds_tokens_are_found(rounds: list[int]) -> None:
    assert tokens_of_rounds(answer(rounds)) == rounds


@given(ROUNDS)
def test_shares_never_rise_with_the_position(rounds: list[int]) -> None:
    shares = reached([answer(rounds)])
    assert len(shares) == 4
    assert list(shares) == sorted(shares, reverse=True)
    assert sum(shares) * (len(rounds) - 1) == pytest.approx(sum(rounds[:-1]) - len(rounds) + 1)


def test_where_gaps_are_all_alike_nothing_is_claimed() -> None:
    assert tokens_of_rounds(answer([3, 4, 2, 5], within_ms=10)) is None
    assert reached([answer([3, 4, 2, 5], within_ms=10)]) == ()


def test_where_several_tokens_arrived_in_one_piece_nothing_is_claimed() -> None:
    sample = answer([3, 4])
    assert tokens_of_rounds(a_sample(0, delivered_n=8, arrivals_ms=sample.arrivals_ms[:-1])) is None


def test_shares_are_put_in_words() -> None:
    assert in_words((0.92, 0.8)) == "at least 1 in 92 % of the rounds, 2 in 80 %"
