"""The table of profiles and metrics: measured values, and under them what somebody published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpubox.results.latest import subject
from gpubox.results.metrics import ACCEPTANCE, PP, TG, TTFT
from gpubox.results.wording import NOTHING, estimate, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpubox.results.held import Held
    from gpubox.results.stats import Estimate
    from gpubox.results.summary import Summary

HEADS = ("Workload", PP.heading, TG.heading, TTFT.heading, "Draft acceptance", "n")


@dataclass(frozen=True)
class Line:
    """One workload of a profile.

    Attributes:
        run_id: where its numbers come from.
        cells: one for each of `HEADS`.
        notes: flags and status.
        baseline: one cell for each of `HEADS`, the first of which says which baseline it is; empty without one.
        baseline_run: where the baseline's numbers come from.
        beside: how the line is beside its baseline, in words.
    """

    run_id: str
    cells: tuple[str, ...]
    notes: tuple[str, ...]
    baseline: tuple[str, ...] = ()
    baseline_run: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Group:
    """One profile.

    Attributes:
        name: the profile, or the endpoint where there is none.
        description: what the profile says of itself.
        lines: one per workload that it finished.
        published: one cell for each of `HEADS`, the first of which says who published it; empty without a publication.
        note: what the publication says beside numbers.
    """

    name: str
    description: str
    lines: tuple[Line, ...]
    published: tuple[str, ...]
    note: str

    @property
    def rows(self) -> int:
        """How many rows the group takes."""
        return len(self.lines) + sum(bool(line.baseline) for line in self.lines) + bool(self.published)


def groups(latest: Iterable[Summary], held: Iterable[Held] = ()) -> list[Group]:
    """Return the profiles in the order of their names.

    Args:
        latest: one summary per profile and workload.
        held: how they are beside their baselines, where they have one.
    """
    beside = {one.pair.b.id: one for one in held}
    by_name: dict[str, list[Summary]] = {}
    for summary in latest:
        by_name.setdefault(subject(summary.run), []).append(summary)
    return [_group(name, by_name[name], beside) for name in sorted(by_name)]


def _group(name: str, summaries: Sequence[Summary], beside: Mapping[str, Held]) -> Group:
    document = max(summaries, key=lambda summary: summary.run.id).run.profile_document
    published = document.get("published") or {}
    return Group(
        name=name,
        description=str(document.get("description", "")),
        lines=tuple(_line(summary, beside.get(summary.run.id)) for summary in sorted(summaries, key=_by_context)),
        published=_published(published) if published else (),
        note=str(published.get("note") or ""),
    )


def _by_context(summary: Summary) -> tuple[int, str]:
    workload = summary.run.workload
    return workload.depth + workload.n_prompt, workload.name


def _line(summary: Summary, held: Held | None) -> Line:
    estimates = summary.pp_tps, summary.tg_tps, summary.ttft_ms
    line = Line(
        run_id=summary.run.id,
        cells=_cells(summary.run.workload.name, *estimates, ratio(summary.draft_acceptance)),
        notes=summary.notes,
    )
    if held is None:
        return line
    if held.is_baseline:
        return replace(line, notes=("is the baseline", *line.notes))
    a = {row.metric: row.a for row in held.pair.rows}
    accepted = a.get(ACCEPTANCE)
    return replace(
        line,
        baseline=_cells(held.since, a.get(PP), a.get(TG), a.get(TTFT), ratio(accepted.mean if accepted else None)),
        baseline_run=held.pair.a.id,
        beside=held.words,
    )


def _cells(
    first: str, pp: Estimate | None, tg: Estimate | None, ttft: Estimate | None, acceptance: str
) -> tuple[str, ...]:
    n = max((each.n for each in (pp, tg) if each), default=0)
    return first, estimate(pp, PP), estimate(tg, TG), estimate(ttft, TTFT), acceptance, str(n)


def _published(published: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"published: {published.get('source', '')}",
        _span(published.get("pp_tps")),
        _span(published.get("tg_tps")),
        NOTHING,
        _span(published.get("acceptance")),
        NOTHING,
    )


def _span(values: Sequence[float] | None) -> str:
    return " to ".join(f"{value:g}" for value in values) if values else NOTHING
