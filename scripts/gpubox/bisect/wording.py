"""How a bisection ended, in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpubox.bisect.decision import Ending, Outcome, Rules
from gpubox.results.metrics import PP, TG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.bisect.history import Commit
    from gpubox.results.stats import Difference

_TITLES = {metric.key: metric.title for metric in (PP, TG)}


def in_words(ending: Ending, commits: Sequence[Commit], unusable: Mapping[int, str], rules: Rules) -> list[str]:
    """Return the ending as lines.

    Args:
        ending: of the bisection.
        commits: the line, both ends included.
        unusable: why commits can't be measured, by position.
        rules: how it was judged.
    """
    low, high = commits[ending.low], commits[ending.high]
    metric = _TITLES[ending.metric] if ending.metric else "the speed"
    if ending.outcome is Outcome.UNUSABLE:
        which = "good" if ending.low == 0 else "bad"
        return [
            f"The {which} end can't be measured: {low}",
            f"  {ending.why}",
            f"Name another commit as --{which}.",
        ]
    if ending.outcome is Outcome.NOT_SLOWER:
        lines = [
            f"{high.short} is not slower than {low.short} by {rules.threshold:g} % for certain; nothing to look for."
        ]
        if ending.ends:
            lines.append(f"{metric}: {_from(ending.ends)}.")
        return [*lines, "A smaller --threshold looks for less, more --reps make it more certain."]
    lines = _named(ending, commits, unusable)
    if ending.outcome is Outcome.NOT_CONFIRMED:
        somewhere = ending.step is not None and ending.step.hi is not None and ending.step.hi < 0
        not_each = ", but not in each turn" if somewhere else ""
        lines.append(f"Measured in turns with {low.short} before it: {_from(ending.step)}{not_each}.")
        lines.append("So it is not proven: measure again on a quieter box, or with more --reps and --turns.")
    elif ending.step:
        before = "the commit before it" if ending.high == ending.low + 1 else "the last that is fast"
        lines.append(f"{metric} against {low.short}, {before}, measured in turns: {_from(ending.step)}.")
    if ending.ends:
        ends = f"{commits[0].short} to {commits[-1].short}"
        lines.append(f"{metric} from {ends}: {_from(ending.ends)}.")
    apart = [position for position in unusable if not ending.low < position < ending.high]
    if apart:
        lines.append("Left out on the way:")
        lines += [f"  {commits[position].short}: {unusable[position]}" for position in sorted(apart)]
    return lines


def _named(ending: Ending, commits: Sequence[Commit], unusable: Mapping[int, str]) -> list[str]:
    found = "The first slow commit is" if ending.outcome is Outcome.FOUND else "The search led to"
    if ending.high == ending.low + 1:
        return [f"{found} {commits[ending.high]}"]
    lines = [f"{found} one of these {ending.high - ending.low}, which can't be told apart:"]
    for position in range(ending.low + 1, ending.high):
        undecided = position in ending.undecided
        why = unusable.get(position, "neither fast nor slow for certain" if undecided else "not measured")
        lines.append(f"  {commits[position]}: {why}")
    return [*lines, f"  {commits[ending.high]}: slow"]


def _from(faster: Difference | None) -> str:
    """Say a difference of B to A, of which a loss is what is looked for."""
    if faster is None or faster.lo is None or faster.hi is None:
        return "no difference can be claimed (too few samples)"
    confidence = f"{faster.confidence * 100:.4g} % CI"
    if faster.hi < 0:
        return f"slower by {-faster.percent:.1f} % ({confidence} {-faster.hi:.1f} to {-faster.lo:.1f})"
    if faster.lo > 0:
        return f"faster by {faster.percent:.1f} % ({confidence} {faster.lo:.1f} to {faster.hi:.1f})"
    return f"no difference can be claimed ({confidence} {faster.lo:+.1f} to {faster.hi:+.1f} %)"


def document(ending: Ending, commits: Sequence[Commit], unusable: Mapping[int, str], rules: Rules) -> dict[str, Any]:
    """Return the ending as JSON; percentages are of the later commit relative to the earlier, so a loss is negative."""
    found = ending.outcome in {Outcome.FOUND, Outcome.NOT_CONFIRMED}
    suspects = range(ending.low + 1, ending.high + 1) if found else range(0)
    return {
        "outcome": ending.outcome.value,
        "good": asdict(commits[0]),
        "bad": asdict(commits[-1]),
        "between": len(commits) - 2,
        "metric": ending.metric,
        "threshold_percent": rules.threshold,
        "last_fast": asdict(commits[ending.low]) if found else None,
        "first_slow": asdict(commits[ending.high]) if found and len(suspects) == 1 else None,
        "suspects": [asdict(commits[position]) for position in suspects],
        "ends": asdict(ending.ends) if ending.ends else None,
        "step": asdict(ending.step) if ending.step else None,
        "unusable": {commits[position].hash: why for position, why in sorted(unusable.items())},
        "why": ending.why,
    }
