"""The numbers behind a verdict on MTP, as the columns that the terminal, Markdown and the page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.results.metrics import TG
from gpubox.results.wording import NOTHING, estimate, ratio

if TYPE_CHECKING:
    from gpubox.results.mtp import MtpVerdict

HEADS = (
    "Workload",
    "TG t/s without",
    "TG t/s with",
    "Acceptance",
    "Break-even",
    "Drafts a round",
    "Tokens a round",
    "Token ms",
    "Round ms",
    "Round / token",
)


def row_of(verdict: MtpVerdict) -> tuple[str, ...]:
    """Return one cell for each of `HEADS`."""
    rates = verdict.workload, estimate(verdict.without, TG), estimate(verdict.with_drafts, TG)
    told = verdict.drafting
    if told is None:
        return (*rates, *[NOTHING] * (len(HEADS) - len(rates)))
    return (
        *rates,
        ratio(told.acceptance),
        ratio(told.break_even),
        f"{told.drafts_per_round:.2f}",
        f"{told.tokens_per_round:.2f}",
        f"{told.token_ms:.2f}",
        f"{told.round_ms:.2f}",
        ratio(told.cost),
    )
