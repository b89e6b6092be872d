"""The latest runs of profiles beside the baselines that they are held against on their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.results.baselines import baseline_runs, baselines_in_force, box_of
from gpubox.results.compare import compare
from gpubox.results.metrics import PP, TG, TTFT
from gpubox.results.selection import BASELINE, selection_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.record import Run
    from gpubox.results.baselines import Baseline
    from gpubox.results.compare import Pair
    from gpubox.results.store import Store


NO_DIFFERENCE = "no difference can be claimed"


@dataclass(frozen=True)
class Held:
    """One workload of a profile on a box.

    Attributes:
        baseline: what it is held against.
        pair: A is the baseline's run, B the latest one; the same run where nothing was measured since.
    """

    baseline: Baseline
    pair: Pair

    @property
    def is_baseline(self) -> bool:
        """Whether the latest run is of the baseline itself."""
        return self.pair.a.batch == self.pair.b.batch

    @property
    def since(self) -> str:
        """Which baseline it is, in words."""
        box = f" on {self.baseline.box}" if self.baseline.box else ""
        return f"baseline since {self.baseline.set_at[:10]}{box}"

    @property
    def words(self) -> str:
        """How PP, TG and TTFT are beside the baseline, where they differ for certain."""
        if self.is_baseline:
            return "nothing was measured since"
        told = [row for row in self.pair.rows if row.metric in {PP, TG, TTFT} and row.differs]
        return "; ".join(f"{row.metric.title} {row.verdict.removeprefix('B is ')}" for row in told) or NO_DIFFERENCE


def held_against(store: Store, runs: Sequence[Run]) -> list[Held]:
    """Return how the latest finished runs are beside the baselines of their profiles on their boxes.

    Args:
        store: the results, with the baselines.
        runs: newest first; only these can be the latest ones.
    """
    profiles = {run.profile for run in runs}
    found = []
    for baseline in baselines_in_force(store):
        if baseline.profile not in profiles:
            continue
        now = [
            run
            for run in runs
            if run.profile == baseline.profile and run.status == "done" and box_of(run) == baseline.box
        ]
        a = selection_of(f"{baseline.profile}@{BASELINE}", baseline_runs(store, baseline))
        b = selection_of(baseline.profile, now)
        samples = store.samples_of([run.id for run in (*a.every, *b.every)])
        found += [Held(baseline, pair) for pair in compare(a, b, samples).pairs]
    return found
