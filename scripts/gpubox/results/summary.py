"""One run in numbers: what every command that prints a result shows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from gpubox.results.doubts import in_words
from gpubox.results.metrics import ACCEPTANCE, CLEAN, NLL, PP, TG, TTFT
from gpubox.results.stats import Estimate, interval, variation
from gpubox.results.trend import trend

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpubox.record import Run, Sample

# Coefficient of variation above which a run is called noisy. A quiet box stays under 1 %.
HIGH_VARIANCE = 0.05

# Below this many valid samples an interval says little.
FEW_SAMPLES = 3


@dataclass(frozen=True)
class Summary:
    """A run and what its valid samples say.

    Attributes:
        run: the run.
        pp_tps, tg_tps: prompt processing and token generation, tokens per second; None without a value.
        ttft_ms: time to first token, milliseconds; None without a value.
        draft_acceptance: accepted / proposed draft tokens over all valid samples, 0 to 1; None without drafts.
        clean: tokens before the first fault of answers that were checked; None where none was.
        nll: mean negative log-likelihood of a text's tokens, nats; None where none was measured.
        invalid: measured samples that don't count.
        flags: doubts, of the run first, then of its samples, then found here.
    """

    run: Run
    pp_tps: Estimate | None
    tg_tps: Estimate | None
    ttft_ms: Estimate | None
    draft_acceptance: float | None
    clean: Estimate | None
    nll: Estimate | None
    invalid: int
    flags: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What else there is to say: the status, unless a flag says it, how good it was where that was looked at, flags."""
        flags = (*filter(None, [self.quality]), *self.flags)
        return flags if self.run.status in {"done", "interrupted"} else (self.run.status, *flags)

    @property
    def perplexity(self) -> float | None:
        """The perplexity of a text over all of its pieces; None where none was measured."""
        return None if self.nll is None else math.exp(self.nll.mean)

    @property
    def quality(self) -> str:
        """How good it was, in words: the perplexity, or that no fault was found; empty where a flag tells the fault."""
        if self.perplexity is not None:
            return f"perplexity {self.perplexity:.3f}"
        if self.clean is not None and self.run.workload.check and self.clean.lo in {None, self.clean.mean}:
            faulty = any(flag.startswith("fault after") for flag in self.flags)
            return "" if faulty else f"no fault in {self.clean.mean:.0f} tokens"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return one element of `results` in the JSON of every command; an absent number is null."""
        return {
            "run": self.run.id,
            "batch": self.run.batch,
            "profile": self.run.profile,
            "endpoint": self.run.endpoint,
            "workload": self.run.workload.name,
            "status": self.run.status,
            "reason": self.run.reason,
            "started_at": self.run.started_at,
            "finished_at": self.run.finished_at,
            "pp_tps": _plain(self.pp_tps),
            "tg_tps": _plain(self.tg_tps),
            "ttft_ms": _plain(self.ttft_ms),
            "draft_acceptance": self.draft_acceptance,
            "clean_tokens": _plain(self.clean),
            "nll": _plain(self.nll),
            "perplexity": self.perplexity,
            "invalid": self.invalid,
            "flags": list(self.flags),
        }


def summarise(run: Run, samples: Sequence[Sample]) -> Summary:
    """Compute the summary of a run from its samples, warm-ups and invalid ones included, in their order."""
    valid = [s for s in samples if s.valid]
    pp, tg, ttft, accepted = (metric.known(valid) for metric in (PP, TG, TTFT, ACCEPTANCE))
    invalid = [s for s in samples if s.kind == "measured" and s.faults]
    having = {flag: [s for s in valid if flag in s.flags] for s in valid for flag in s.flags}
    found = [*run.flags, *(in_words(flag, some) for flag, some in having.items())]
    if run.status == "interrupted":
        found.append("interrupted")
    clean, nll = CLEAN.known(valid), NLL.known(valid)
    # Greedy, the same answer comes again: one is enough to find its fault.
    if len(valid) < FEW_SAMPLES and not (clean or nll):
        found.append("few-samples")
    if invalid:
        reasons = Counter(fault for s in invalid for fault in s.faults)
        found.append(f"invalid-samples: {len(invalid)} ({', '.join(reasons)})")
    found += _series_flags(pp=pp, tg=tg)
    return Summary(
        run=run,
        pp_tps=interval(pp) if pp else None,
        tg_tps=interval(tg) if tg else None,
        ttft_ms=interval(ttft) if ttft else None,
        draft_acceptance=fmean(accepted) if accepted else None,
        clean=interval(clean) if clean else None,
        nll=interval(nll) if nll else None,
        invalid=len(invalid),
        flags=tuple(dict.fromkeys(found)),
    )


def _series_flags(**series: Sequence[float]) -> list[str]:
    """Return doubts about how rates vary, with the rate and how much: its variation, or its change along the trend."""
    varying = [
        f"{name.upper()} {change * 100:.1f} %"
        for name, values in series.items()
        if (change := variation(values)) > HIGH_VARIANCE
    ]
    trends = {name.upper(): trend(values) for name, values in series.items()}
    doubts = {
        "high-variance": varying,
        "warming-up": [f"{name} {change * 100:+.1f} %" for name, change in trends.items() if change > 0],
        "drift": [f"{name} {change * 100:+.1f} %" for name, change in trends.items() if change < 0],
    }
    return [f"{flag}: {', '.join(reasons)}" for flag, reasons in doubts.items() if reasons]


def document(summaries: Iterable[Summary]) -> dict[str, Any]:
    """Return the JSON document that every command which prints results shares."""
    return {"results": [summary.as_dict() for summary in summaries]}


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
