"""Whether drafting pays: the laws of its arithmetic, whole sentences, and the server's counting of dropped tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpubox.results.mtp import MtpVerdict, Rounds, mtp_verdict, rounds_of
from results.records import a_sample, at, series

if TYPE_CHECKING:
    from gpubox.record import Sample

SPREAD = (1.0, 1.002, 0.998, 1.001, 0.999)


def drafted(rounds: int, proposed: int, accepted: int, ms: float, *, dropped: int = 0, index: int = 0) -> Sample:
    """Return a sample of so many rounds that each propose and accept so many tokens and take so long."""
    counted = 1 + rounds * (1 + accepted)
    delivered = counted - dropped
    return a_sample(
        index,
        predicted_n=counted,
        delivered_n=delivered,
        predicted_steps=delivered - 1,
        predicted_ms=rounds * ms,
        draft_n=rounds * proposed,
        draft_n_accepted=rounds * accepted,
        started_at=at(index * 60),
    )


def plain(token_ms: float) -> list[Sample]:
    return series([1e3 / token_ms / factor for factor in SPREAD], draft_n=None, draft_n_accepted=None)


def judged(proposed: int, accepted: int, round_ms: float, token_ms: float = 25.0) -> MtpVerdict:
    with_drafts = [drafted(40, proposed, accepted, round_ms * factor, index=i) for i, factor in enumerate(SPREAD)]
    found = mtp_verdict("w", plain(token_ms), with_drafts, paired=False)
    assert found is not None
    return found


def test_the_counts_of_a_real_server_give_its_rounds() -> None:
    # ik_llama.cpp 29a54f4, n_max 4, a limit of 200 tokens: 147 of 207 drafts accepted, 3 counted tokens dropped.
    sample = a_sample(
        predicted_n=200, delivered_n=197, predicted_steps=196, predicted_ms=520.0, draft_n=207, draft_n_accepted=147
    )
    assert rounds_of(sample) == Rounds(count=52, tokens=196, drafted=207, accepted=144, ms=520.0)


@given(rounds=st.integers(1, 200), proposed=st.integers(1, 16), accepted=st.integers(0, 16), dropped=st.integers(0, 16))
def test_dropped_tokens_change_no_count_of_rounds_and_are_no_accepted_drafts(
    rounds: int, proposed: int, accepted: int, dropped: int
) -> None:
    assume(accepted <= proposed)
    assume(dropped <= accepted)
    found = rounds_of(drafted(rounds, proposed, accepted, 50.0, dropped=dropped))
    assert found is not None
    assert (found.count, found.drafted, found.accepted) == (rounds, rounds * proposed, rounds * accepted - dropped)
    assert found.tokens == found.count + found.accepted


@settings(max_examples=60)
@given(
    proposed=st.integers(1, 8),
    accepted=st.integers(0, 8),
    round_ms=st.floats(20, 400),
    token_ms=st.floats(5, 100),
)
def test_drafting_pays_exactly_where_acceptance_exceeds_the_break_even(
    proposed: int, accepted: int, round_ms: float, token_ms: float
) -> None:
    assume(accepted <= proposed)
    steady = [drafted(40, proposed, accepted, round_ms, index=i) for i in range(2)]
    without = [replace(sample, predicted_ms=127 * token_ms) for sample in plain(token_ms)[:2]]
    found = mtp_verdict("w", without, steady, paired=False)
    assert found is not None
    told = found.drafting
    assert told is not None
    assert found.gain.percent / 100 + 1 == pytest.approx(told.tokens_per_round / told.cost)
    # The break-even is cut at 0, where a round is no longer than a token.
    at_break_even = 1 + max(told.break_even, (told.cost - 1) / proposed) * proposed
    assert at_break_even == pytest.approx(max(told.cost, 1))
    assume(abs(found.gain.percent) > 1e-6)
    assume(told.cost > 1)
    assert (found.gain.percent > 0) == (told.acceptance > told.break_even)


@settings(max_examples=40)
@given(proposed=st.integers(1, 4), accepted=st.integers(0, 4), round_ms=st.floats(20, 300))
def test_what_can_never_help_hurts_even_with_every_draft_accepted(
    proposed: int, accepted: int, round_ms: float
) -> None:
    assume(accepted <= proposed)
    found, best = judged(proposed, accepted, round_ms), judged(proposed, proposed, round_ms)
    assert found.drafting is not None
    if found.drafting.can_never_help:
        assert found.sentence.startswith("MTP hurts by")
        assert best.gain.percent < 0
        assert found.drafting.break_even > 1


def test_more_acceptance_at_the_same_time_of_a_round_gains_more_and_leaves_the_break_even() -> None:
    found = [judged(4, accepted, 60.0) for accepted in range(5)]
    assert [each.gain.percent for each in found] == sorted(each.gain.percent for each in found)
    assert len({round(each.drafting.break_even, 9) for each in found if each.drafting}) == 1


@pytest.mark.parametrize(
    ("accepted", "round_ms", "sentence"),
    [
        (3, 50.0, "MTP helps by 100.0 % (95 % CI 99.5 to 100.5); acceptance 0.75 is above the break-even of 0.25 (0.25 to 0.25)"),
        (1, 75.0, "MTP hurts by 33.3 % (95 % CI 33.2 to 33.5); acceptance 0.25 is below the break-even of 0.50 (0.50 to 0.50)"),
        (2, 150.0, "MTP hurts by 50.0 % (95 % CI 49.9 to 50.1); it can never help here, because a verify of 5.0 tokens costs 6.0 times one token"),
        (1, 50.0, "can't tell whether MTP helps (95 % CI -0.2 to +0.2 %); acceptance 0.25 is near the break-even of 0.25 (0.25 to 0.25)"),
    ],
    ids=["helps", "hurts", "never", "can't tell"],
)  # fmt: skip  # whole sentences
def test_the_verdict_is_a_sentence_with_its_reason(accepted: int, round_ms: float, sentence: str) -> None:
    assert judged(4, accepted, round_ms).sentence == sentence


def test_one_sample_on_a_side_decides_nothing() -> None:
    found = mtp_verdict("w", plain(25.0)[:1], [drafted(40, 4, 3, 50.0)], paired=False)
    assert found is not None
    assert found.sentence == (
        "can't tell whether MTP helps (too few samples, or they vary too much); "
        "acceptance 0.75 is near the break-even of 0.25"
    )


def test_counts_that_fit_no_number_of_rounds_give_no_reason() -> None:
    impossible = [replace(drafted(40, 4, 3, 50.0), draft_n_accepted=500)] * 2
    found = mtp_verdict("w", plain(25.0), impossible, paired=False)
    assert found is not None
    assert found.drafting is None
    assert found.sentence.endswith("; the server did not say what it drafted")


def test_without_any_rate_there_is_no_verdict() -> None:
    assert mtp_verdict("w", [], [drafted(40, 4, 3, 50.0)], paired=False) is None
