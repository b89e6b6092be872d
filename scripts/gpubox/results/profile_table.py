"""The table of profiles and metrics: measured values, and under them what somebody published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpubox.results.latest import subject
from gpubox.results.metrics import PP, TG, TTFT
from gpubox.results.wording import NOTHING, estimate, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpubox.results.summary import Summary

HEADS = ("Workload", PP.heading, TG.heading, TTFT.heading, "Draft acceptance", "n")


@dataclass(frozen=True)
class Line:
    """One workload of a profile.

    Attributes:
        run_id: where its numbers come from.
        cells: one for each of `HEADS`.
        notes: flags and status.
    """

    run_id: str
    cells: tuple[str, ...]
    notes: tuple[str, ...]


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


def groups(latest: Iterable[Summary]) -> list[Group]:
    """Return the profiles in the order of their names.

    Args:
        latest: one summary per profile and workload.
    """
    by_name: dict[str, list[Summary]] = {}
    for summary in latest:
        by_name.setdefault(subject(summary.run), []).append(summary)
    return [_group(name, by_name[name]) for name in sorted(by_name)]


def _group(name: str, summaries: Sequence[Summary]) -> Group:
    document = max(summaries, key=lambda summary: summary.run.id).run.profile_document
    published = document.get("published") or {}
    return Group(
        name=name,
        description=str(document.get("description", "")),
        lines=tuple(_line(summary) for summary in sorted(summaries, key=_by_context)),
        published=_published(published) if published else (),
        note=str(published.get("note") or ""),
    )


def _by_context(summary: Summary) -> tuple[int, str]:
    workload = summary.run.workload
    return workload.depth + workload.n_prompt, workload.name


def _line(summary: Summary) -> Line:
    n = max((each.n for each in (summary.pp_tps, summary.tg_tps) if each), default=0)
    return Line(
        run_id=summary.run.id,
        cells=(
            summary.run.workload.name,
            estimate(summary.pp_tps, PP),
            estimate(summary.tg_tps, TG),
            estimate(summary.ttft_ms, TTFT),
            ratio(summary.draft_acceptance),
            str(n),
        ),
        notes=summary.notes,
    )


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
