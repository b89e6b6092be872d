"""What to measure next of a line of commits, and what can be said in the end: a function of what was measured.

So a bisection that was interrupted goes on where it was, with nothing but its records.

    both ends ─▶ no slower than the threshold: the end
        │
        ├─▶ the middle of what is left, slower than the fast end or not ─▶ … ─▶ the first slow one
        │
        └─▶ that one and the one before it in turns: the end
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from gpubox.bisect.search import bounds, next_position, steps_left
from gpubox.results.bootstrap import RESAMPLES
from gpubox.results.stats import CONFIDENCE, Difference, difference, interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MetricKey = Literal["pp_tps", "tg_tps"]
Purpose = Literal["end", "search", "confirm"]
# Half the 95 % interval of the fast end is at most this part of the threshold, where four runs can make it so.
PRECISION = 6
METRICS: tuple[MetricKey, ...] = ("tg_tps", "pp_tps")


@dataclass(frozen=True)
class Round:
    """What one run measured: the valid repetitions' rates, tokens per second, in order."""

    pp_tps: tuple[float, ...]
    tg_tps: tuple[float, ...]

    def values(self, metric: MetricKey) -> tuple[float, ...]:
        """Return those of a metric."""
        return self.pp_tps if metric == "pp_tps" else self.tg_tps


@dataclass(frozen=True)
class Rules:
    """How it is judged.

    Attributes:
        metric: the rate that got worse; None for the one that the ends differ in most.
        threshold: a loss that is called slow, percent.
        max_rounds: runs of one commit after which it stays undecided.
        max_undecided: commits that may stay so until the search is given up.
        confirm_rounds: how often the suspect and the one before it are measured in turns; 0 for never.
        resamples: of each interval.
    """

    metric: MetricKey | None = None
    threshold: float = 3.0
    max_rounds: int = 4
    max_undecided: int = 4
    confirm_rounds: int = 2
    resamples: int = RESAMPLES


@dataclass(frozen=True)
class Facts:
    """What is known of a line of commits, by position: 0 is the fast end.

    Attributes:
        rounds: runs of the search, oldest first.
        turns: runs of the confirmation, oldest first.
        unusable: why some can't be measured.
    """

    rounds: Mapping[int, Sequence[Round]] = field(default_factory=dict)
    turns: Mapping[int, Sequence[Round]] = field(default_factory=dict)
    unusable: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A commit to be measured once more.

    Attributes:
        position: of the commit.
        purpose: what for.
        round: how many runs it has had for that, and so which seed the next one has.
        left: measurements that are left of the search after this one, about.
    """

    position: int
    purpose: Purpose
    round: int
    left: int


class Outcome(Enum):
    """How a bisection ends."""

    FOUND = "found"
    NOT_SLOWER = "not slower"
    NOT_CONFIRMED = "not confirmed"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class Ending:
    """What can be said.

    Attributes:
        outcome: which of the endings.
        low: position of the last fast commit; of the end that can't be measured.
        high: position of the first slow one; those between can't be told apart from it.
        metric: the rate that was judged; None where an end can't be measured.
        ends: how much faster the slow end is than the fast end (negative: slower).
        step: how much faster the first slow one is than the last fast one, in turns; None where they were not measured so.
        why: what can't be measured, where that ends it.
        undecided: positions that stayed undecided.
    """

    outcome: Outcome
    low: int
    high: int
    metric: MetricKey | None = None
    ends: Difference | None = None
    step: Difference | None = None
    why: str = ""
    undecided: tuple[int, ...] = ()


def decide(length: int, facts: Facts, rules: Rules, serving: int | None = None) -> Measure | Ending:
    """Return what to measure next, or the end.

    Args:
        length: of the line, both ends included; 2 or more.
        facts: what is known.
        rules: how it is judged.
        serving: position of the commit that serves now, whose next run costs no load.
    """
    last = length - 1
    for end in (0, last):
        if end in facts.unusable:
            return Ending(Outcome.UNUSABLE, end, end, why=facts.unusable[end])
        rounds = facts.rounds.get(end, ())
        if not rounds or (end == 0 and len(rounds) < rules.max_rounds and not _precise(rounds, rules)):
            return Measure(end, "end", len(rounds), steps_left(0, last))
    confidence = confidence_of(length, rules)
    losses = {
        metric: _difference(facts, 0, last, metric, rules=rules, confidence=confidence) for metric in _metrics(rules)
    }
    slower = {metric: loss for metric, loss in losses.items() if loss and judged(loss, rules.threshold) is True}
    if not slower:
        return _not_slower(last, facts, rules, losses, serving)
    metric, ends = max(slower.items(), key=lambda one: -(one[1].hi or 0.0))
    return _search(length, facts, rules, metric=metric, ends=ends, confidence=confidence)


def confidence_of(length: int, rules: Rules) -> float:
    """Return the confidence of each verdict, so that all of them together are right 95 times of 100."""
    verdicts = (1 if rules.metric else len(METRICS)) + steps_left(0, length - 1) + 1
    return 1 - (1 - CONFIDENCE) / verdicts


def judged(faster: Difference, cut: float) -> bool | None:
    """Return whether a loss is at least `cut` percent for certain; False for less, None where it can't be told.

    Args:
        faster: how much faster than the fast end.
        cut: percent.
    """
    if faster.lo is None or faster.hi is None:
        return None
    if -faster.hi >= cut:
        return True
    return False if -faster.lo < cut else None


def _precise(rounds: Sequence[Round], rules: Rules) -> bool:
    """Return whether the fast end is known well enough, since each of the others is held against it."""
    for metric in _metrics(rules):
        values = [value for run in rounds for value in run.values(metric)]
        if not values:
            continue
        known = interval(values)
        if known.half_width is None or known.half_width > known.mean * rules.threshold / 100 / PRECISION:
            return False
    return True


def _search(
    length: int, facts: Facts, rules: Rules, *, metric: MetricKey, ends: Difference, confidence: float
) -> Measure | Ending:
    last = length - 1
    cut = min(rules.threshold, -ends.percent / 2)
    fast, slow = [0], [last]
    undecided: list[int] = []
    for position, rounds in facts.rounds.items():
        if position in {0, last} or not rounds or position in facts.unusable:
            continue
        loss = _difference(facts, 0, position, metric, rules=rules, confidence=confidence)
        verdict = judged(loss, cut) if loss else None
        if verdict is None and len(rounds) < rules.max_rounds:
            low, high = bounds(last, fast, slow)
            return Measure(position, "search", len(rounds), steps_left(low, high) - 1)
        (undecided if verdict is None else slow if verdict else fast).append(position)
    low, high = bounds(last, fast, slow)
    middle = next_position(low, high, {*facts.unusable, *undecided})
    if middle is not None and len(undecided) <= rules.max_undecided:
        return Measure(middle, "search", 0, max(0, steps_left(low, high) - 1))
    open_ones = tuple(one for one in undecided if low < one < high)
    turns = [len(facts.turns.get(one, ())) for one in (low, high)]
    if min(turns) < rules.confirm_rounds:
        return Measure(low if turns[0] <= turns[1] else high, "confirm", min(turns), 0)
    step = _step(facts, low, high, metric, rules) if rules.confirm_rounds else None
    confirmed = not rules.confirm_rounds or (
        step is not None and step.hi is not None and step.hi < 0 and _apart(facts, low, high, metric)
    )
    outcome = Outcome.FOUND if confirmed else Outcome.NOT_CONFIRMED
    return Ending(outcome, low, high, metric, ends, step, "", open_ones)


def _not_slower(
    last: int,
    facts: Facts,
    rules: Rules,
    losses: Mapping[MetricKey, Difference | None],
    serving: int | None,
) -> Measure | Ending:
    """Measure the ends again where they may differ after all, or say that they don't."""
    known = {metric: loss for metric, loss in losses.items() if loss}
    if any(judged(loss, rules.threshold) is None for loss in known.values()):
        counts = {end: len(facts.rounds[end]) for end in (0, last)}
        room = [end for end in (last, 0) if counts[end] < rules.max_rounds]
        if room:
            end = serving if serving in room else min(room, key=counts.__getitem__)
            assert end is not None
            return Measure(end, "end", counts[end], steps_left(0, last))
    metric = min(known, key=lambda one: known[one].percent, default=None)
    return Ending(Outcome.NOT_SLOWER, 0, last, metric, known[metric] if metric else None)


def _apart(facts: Facts, low: int, high: int, metric: MetricKey) -> bool:
    """Return whether each turn of the first slow one was slower than each of the last fast one.

    Repetitions of one load are alike; what differs from load to load shows only here.
    """
    means = [
        [fmean(values) for turn in facts.turns[position] if (values := turn.values(metric))] for position in (low, high)
    ]
    return bool(means[0] and means[1]) and max(means[1]) < min(means[0])


def _metrics(rules: Rules) -> tuple[MetricKey, ...]:
    return (rules.metric,) if rules.metric else METRICS


def _difference(
    facts: Facts, a: int, b: int, metric: MetricKey, *, rules: Rules, confidence: float
) -> Difference | None:
    """Return how much faster b is than a, or None where one of them has no value."""
    one, other = (
        [value for run in facts.rounds.get(end, ()) for value in run.values(metric) if math.isfinite(value)]
        for end in (a, b)
    )
    if not one or not other:
        return None
    return difference(one, other, paired=False, confidence=confidence, resamples=rules.resamples)


def _step(facts: Facts, low: int, high: int, metric: MetricKey, rules: Rules) -> Difference | None:
    """Return how much faster the first slow one is than the last fast one, repetition by repetition of their turns."""
    pairs = [
        pair
        for one, other in zip(facts.turns[low], facts.turns[high], strict=False)
        for pair in zip(one.values(metric), other.values(metric), strict=False)
    ]
    if not pairs:
        return None
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    return difference(one, other, paired=True, confidence=CONFIDENCE, resamples=rules.resamples)
