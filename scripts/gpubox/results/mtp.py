"""Whether multi-token prediction (MTP), or any drafting, pays on this box: the verdict and the reason.

With drafts the server works in rounds: it drafts some tokens, verifies them together, keeps those that it would have
generated itself and one more. Let t be the time of one token without drafts, T the time of a round, m the drafts of a
round and p the share of them that is accepted. A round gives 1 + p m tokens, so TG changes by the factor
(1 + p m) / (T / t). It pays where p exceeds the break-even (T / t - 1) / m, and can never pay where that exceeds 1.

Rounds are counted from what ik_llama.cpp says at 29a54f4: each adds its accepted drafts and one token to `predicted_n`
(server-context.cpp, line 4127) and its accepted drafts to `draft_n_accepted` (line 4132), tokens beyond the limit
included. Their difference, less the first token, is the number of rounds; tokens that were counted and then dropped are
subtracted from the accepted ones, since nobody received them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from gpubox.results.metrics import TG
from gpubox.results.pairing import both_sides
from gpubox.results.stats import CONFIDENCE, Difference, Estimate, Verdict, difference, interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.record import Sample


@dataclass(frozen=True)
class Rounds:
    """The rounds of one answer, or of several.

    Attributes:
        count: how many, those without a draft included.
        tokens: that were delivered, without the first one, which the prompt gives.
        drafted: tokens proposed.
        accepted: of these, kept and delivered.
        ms: how long the rounds took.
    """

    count: int
    tokens: int
    drafted: int
    accepted: int
    ms: float


def rounds_of(sample: Sample) -> Rounds | None:
    """Return the rounds of a sample; None where the server's counts are missing or fit no number of rounds."""
    if sample.predicted_n is None or not sample.predicted_ms or not sample.predicted_steps:
        return None
    dropped = sample.predicted_n - sample.delivered_n
    count = sample.predicted_steps + dropped - (sample.draft_n_accepted or 0)
    accepted = sample.predicted_steps - count
    if count < 1 or not 0 <= accepted <= (sample.draft_n or 0):
        return None
    return Rounds(count, sample.predicted_steps, sample.draft_n or 0, accepted, sample.predicted_ms)


@dataclass(frozen=True)
class Drafting:
    """How drafting went, over all valid samples of a run.

    Attributes:
        acceptance: delivered drafts / proposed drafts, 0 to 1.
        server_acceptance: accepted / proposed as the server counts, dropped tokens included.
        drafts_per_round: proposed drafts a round (m).
        tokens_per_round: delivered tokens a round.
        token_ms: time of one token without drafts (t).
        round_ms: time of a round (T).
        cost, cost_lo, cost_hi: T / t and its 95 % interval, None where the samples don't bound it.
    """

    acceptance: float
    server_acceptance: float
    drafts_per_round: float
    tokens_per_round: float
    token_ms: float
    round_ms: float
    cost: float
    cost_lo: float | None
    cost_hi: float | None

    @property
    def break_even(self) -> float:
        """The acceptance at which TG is the same with and without drafts; above 1 none is enough."""
        return self._acceptance_at(self.cost)

    @property
    def break_even_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the break-even, for the drafts a round that were measured."""
        if self.cost_lo is None or self.cost_hi is None:
            return None
        return self._acceptance_at(self.cost_lo), self._acceptance_at(self.cost_hi)

    @property
    def can_never_help(self) -> bool:
        """Whether a round certainly costs more tokens' time than all its drafts accepted would give."""
        return self.cost_lo is not None and self.cost_lo > 1 + self.drafts_per_round

    def _acceptance_at(self, cost: float) -> float:
        return max(0.0, (cost - 1) / self.drafts_per_round)


@dataclass(frozen=True)
class MtpVerdict:
    """What drafting does to one workload.

    Attributes:
        workload: its name.
        without, with_drafts: TG of both runs, tokens per second.
        gain: of TG, with drafts relative to without.
        drafting: the reason; None where the server said too little for it.
        reached: share of the rounds that accepted at least 1, 2, … drafts, 0 to 1; empty where arrivals don't tell.
    """

    workload: str
    without: Estimate
    with_drafts: Estimate
    gain: Difference
    drafting: Drafting | None
    reached: tuple[float, ...] = ()

    @property
    def sentence(self) -> str:
        """The verdict and its reason, in words."""
        gain = self.gain
        if gain.lo is None or gain.hi is None:
            verdict = "can't tell whether MTP helps (too few samples, or they vary too much)"
        elif gain.verdict is Verdict.HIGHER:
            verdict = f"MTP helps by {gain.percent:.1f} % ({_ci(gain.lo, gain.hi)})"
        elif gain.verdict is Verdict.LOWER:
            verdict = f"MTP hurts by {-gain.percent:.1f} % ({_ci(-gain.hi, -gain.lo)})"
        else:
            verdict = f"can't tell whether MTP helps ({CONFIDENCE * 100:g} % CI {gain.lo:+.1f} to {gain.hi:+.1f} %)"
        return f"{verdict}; {self._reason()}"

    def _reason(self) -> str:
        drafting = self.drafting
        if drafting is None:
            return "the server did not say what it drafted"
        if drafting.can_never_help:
            tokens = 1 + drafting.drafts_per_round
            return f"it can never help here, because a verify of {tokens:.1f} tokens costs {drafting.cost:.1f} times one token"
        ends = drafting.break_even_interval
        bounds = f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else ""
        side = "above" if drafting.acceptance > drafting.break_even else "below"
        if self.gain.verdict is Verdict.UNDECIDED:
            side = "near"
        return f"acceptance {drafting.acceptance:.2f} is {side} the break-even of {drafting.break_even:.2f}{bounds}"

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON; percentages are TG with drafts relative to without."""
        drafting = self.drafting
        return {
            "workload": self.workload,
            "tg_without": asdict(self.without),
            "tg_with": asdict(self.with_drafts),
            "gain_percent": self.gain.percent,
            "lo": self.gain.lo,
            "hi": self.gain.hi,
            "drafting": None
            if drafting is None
            else asdict(drafting)
            | {
                "break_even": drafting.break_even,
                "break_even_interval": drafting.break_even_interval,
                "can_never_help": drafting.can_never_help,
            },
            "accepted_at_least": list(self.reached),
            "verdict": self.sentence,
        }


def drafts(samples: Sequence[Sample]) -> bool:
    """Return whether any valid sample had a draft."""
    return any(sample.valid and sample.draft_n for sample in samples)


def mtp_verdict(
    workload: str, without: Sequence[Sample], with_drafts: Sequence[Sample], *, paired: bool
) -> MtpVerdict | None:
    """Return what drafting does; None where a side has no TG.

    Args:
        workload: the name of what both runs did.
        without: samples of the run without drafts.
        with_drafts: samples of the run with them.
        paired: whether repetition i of both ran in turns.
    """
    rates = both_sides(TG.values, without, with_drafts, paired=paired)
    if not rates[0] or not rates[1]:
        return None
    return MtpVerdict(
        workload=workload,
        without=interval(rates[0]),
        with_drafts=interval(rates[1]),
        gain=difference(*rates, paired=paired),
        drafting=_drafting(without, with_drafts, paired=paired),
    )


def _drafting(without: Sequence[Sample], with_drafts: Sequence[Sample], *, paired: bool) -> Drafting | None:
    valid = [sample for sample in with_drafts if sample.valid]
    known = [(sample, rounds) for sample in valid if (rounds := rounds_of(sample))]
    times = both_sides(_round_ms, without, with_drafts, paired=paired)
    drafted = sum(rounds.drafted for _, rounds in known)
    if not drafted or not times[0] or not times[1]:
        return None
    count = sum(rounds.count for _, rounds in known)
    cost = difference(*times, paired=paired)
    return Drafting(
        acceptance=sum(rounds.accepted for _, rounds in known) / drafted,
        server_acceptance=sum(sample.draft_n_accepted or 0 for sample, _ in known) / drafted,
        drafts_per_round=drafted / count,
        tokens_per_round=sum(rounds.tokens for _, rounds in known) / count,
        token_ms=fmean(times[0]),
        round_ms=fmean(times[1]),
        cost=1 + cost.percent / 100,
        cost_lo=None if cost.lo is None else 1 + cost.lo / 100,
        cost_hi=None if cost.hi is None else 1 + cost.hi / 100,
    )


def _round_ms(samples: Sequence[Sample]) -> list[float | None]:
    """Return the time of a round of each sample; without drafts a round is one token."""
    found = [rounds_of(sample) for sample in samples]
    return [rounds.ms / rounds.count if rounds else None for rounds in found]


def _ci(lo: float, hi: float) -> str:
    return f"{CONFIDENCE * 100:g} % CI {lo:.1f} to {hi:.1f}"
