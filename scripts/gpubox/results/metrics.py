"""What is read off the samples of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpubox.record import Sample

Series = list[float | None]


@dataclass(frozen=True)
class Metric:
    """One number of a sample.

    Attributes:
        key: its name in JSON.
        title: its name for people.
        unit: what it counts in; empty for a ratio.
        values: from valid samples to one value each, None where a sample has none.
        higher, lower: what a server with a higher or lower mean is, in a verdict.
        better: the sign of an improvement: 1 higher, -1 lower, 0 where neither is a gain in itself.
        digits: decimals that people are shown.
    """

    key: str
    title: str
    unit: str
    values: Callable[[Sequence[Sample]], Series]
    higher: str
    lower: str
    better: int
    digits: int

    def known(self, samples: Sequence[Sample]) -> list[float]:
        """Return the values of the valid samples that have one, in order."""
        return [value for value in self.values([s for s in samples if s.valid]) if value is not None]

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} {self.unit}".rstrip()


def _draft_acceptance(samples: Sequence[Sample]) -> Series:
    """Return values whose mean is accepted / proposed over all samples, and whose spread is that ratio's.

    The ratio R of two sums, linearised: R + (accepted_i - R proposed_i) / mean proposed (Cochran 1977, Sampling
    Techniques, 6.4). A plain mean of each sample's ratio would weigh an answer of 4 drafts like one of 400.
    """
    counts = [(s.draft_n_accepted, s.draft_n) if s.draft_acceptance is not None else None for s in samples]
    known = [(accepted, proposed) for accepted, proposed in filter(None, counts) if accepted is not None and proposed]
    if not known:
        return [None] * len(samples)
    total = sum(proposed for _, proposed in known)
    ratio, typical = sum(accepted for accepted, _ in known) / total, total / len(known)
    return [
        None if count is None else ratio + ((count[0] or 0) - ratio * (count[1] or 0)) / typical for count in counts
    ]


PP = Metric("pp_tps", "PP", "t/s", lambda samples: [s.pp_tps for s in samples], "faster", "slower", 1, 1)
TG = Metric("tg_tps", "TG", "t/s", lambda samples: [s.tg_tps for s in samples], "faster", "slower", 1, 2)
TTFT = Metric("ttft_ms", "TTFT", "ms", lambda samples: [s.ttft_ms for s in samples], "slower", "faster", -1, 0)
ACCEPTANCE = Metric("draft_acceptance", "draft acceptance", "", _draft_acceptance, "higher", "lower", 0, 3)
CLEAN = Metric(
    "clean_tokens", "clean", "tokens", lambda samples: [s.clean_n for s in samples], "cleaner", "faultier", 1, 0
)
NLL = Metric(
    "nll",
    "NLL",
    "nats/token",
    lambda samples: [s.nll for s in samples],
    "less certain of the text",
    "more certain of the text",
    -1,
    4,
)
METRICS = (PP, TG, TTFT, ACCEPTANCE, CLEAN, NLL)
