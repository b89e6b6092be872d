"""What the page's charts draw, as JSON: numbers by column, so that ten thousand runs stay small."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from gpubox.results.latest import subject
from gpubox.results.metrics import PP, TG
from gpubox.results.mtp import rounds_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.page.devices import Device
    from gpubox.record import Run, Sample
    from gpubox.results.held import Held
    from gpubox.results.mtp import MtpVerdict
    from gpubox.results.provenance import Origin
    from gpubox.results.stats import Estimate
    from gpubox.results.summary import Summary

DIGITS = 5  # significant; far finer than any interval


def run_columns(summaries: Sequence[Summary], origins: Sequence[Origin]) -> dict[str, Any]:
    """Return the columns of all runs, and the names that their numbers stand for.

    Args:
        summaries: of all runs, oldest first.
        origins: where they come from.
    """
    profiles = list(dict.fromkeys(subject(each.run) for each in summaries))
    workloads = {each.run.workload.name: each.run.workload for each in summaries}
    origin_of = {run_id: index for index, origin in enumerate(origins) for run_id in origin.run_ids}
    profile_of, workload_of = ({name: index for index, name in enumerate(names)} for names in (profiles, workloads))
    return {
        "profiles": profiles,
        "workloads": [
            {"name": each.name, "context": each.depth + each.n_prompt if each.n_prompt else None}
            for each in workloads.values()
        ],
        "origins": [origin.fields for origin in origins],
        "id": [each.run.id for each in summaries],
        "profile": [profile_of[subject(each.run)] for each in summaries],
        "workload": [workload_of[each.run.workload.name] for each in summaries],
        "origin": [origin_of[each.run.id] for each in summaries],
        "started": [round(datetime.fromisoformat(each.run.started_at).timestamp()) for each in summaries],
        "notes": {index: each.notes for index, each in enumerate(summaries) if each.notes},
        "pp": [_estimate(each.pp_tps) for each in summaries],
        "tg": [_estimate(each.tg_tps) for each in summaries],
        "ttft": [_estimate(each.ttft_ms) for each in summaries],
        "acceptance": [_short(each.draft_acceptance) for each in summaries],
    }


def baseline_lines(held: Sequence[Held], columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is drawn across the history of a profile and a workload for each baseline.

    Args:
        held: what profiles are held against.
        columns: as `run_columns`; profile and workload are indices there.
    """
    profiles, workloads = columns["profiles"], [each["name"] for each in columns["workloads"]]
    lines = []
    for one in held:
        estimates = {row.metric: row.a for row in one.pair.rows}
        lines.append(
            {
                "profile": profiles.index(subject(one.pair.a)),
                "workload": workloads.index(one.pair.a.workload.name),
                "name": one.since,
                "words": one.words,
                "pp": _estimate(estimates.get(PP)),
                "tg": _estimate(estimates.get(TG)),
            }
        )
    return lines


def mtp_chart(without: Run, with_drafts: Run, verdict: MtpVerdict, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what the chart of acceptance against TG draws for one pair of runs.

    Args:
        without: the run without drafts.
        with_drafts: the run with them.
        verdict: on both.
        samples: of the run with drafts.
    """
    told = verdict.drafting
    assert told is not None
    points = []
    for sample in samples:
        rounds = rounds_of(sample) if sample.valid else None
        if rounds and rounds.drafted and sample.tg_tps:
            points.append([_short(rounds.accepted / rounds.drafted), _short(sample.tg_tps)])
    return {
        "workload": verdict.workload,
        "without": {"name": subject(without), "run": without.id, "tg": _estimate(verdict.without)},
        "with": {"name": subject(with_drafts), "run": with_drafts.id, "tg": _estimate(verdict.with_drafts)},
        "drafts": _short(told.drafts_per_round),
        "round_ms": _short(told.round_ms),
        "acceptance": _short(told.acceptance),
        "break_even": _short(told.break_even),
        "break_even_interval": told.break_even_interval and [_short(end) for end in told.break_even_interval],
        "points": points,
        "sentence": verdict.sentence,
    }


def device_charts(devices: Mapping[str, Sequence[Device]]) -> list[dict[str, Any]]:
    """Return one element per profile and device with its memory and power, where either is known."""
    return [
        {
            "profile": profile,
            "device": device.name,
            "planned": _short(device.planned_mib),
            "measured": _short(device.measured_mib),
            "power": _short(device.power_w),
        }
        for profile, found in devices.items()
        for device in found
    ]


def _estimate(value: Estimate | None) -> list[float | None] | None:
    return None if value is None else [_short(value.mean), _short(value.lo), _short(value.hi), value.n]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
