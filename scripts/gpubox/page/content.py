"""All that the page says, computed; `html.py` only writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpubox.page.devices import Device, devices
from gpubox.page.series import baseline_lines, device_charts, mtp_chart, run_columns
from gpubox.results.energy import row_of as energy_cells
from gpubox.results.latest import subject
from gpubox.results.mtp_pairs import mtp_pairs
from gpubox.results.mtp_table import row_of
from gpubox.results.profile_table import Group, groups
from gpubox.results.provenance import Origin, origins
from gpubox.results.summary import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.compare import Pair
    from gpubox.results.held import Held
    from gpubox.telemetry.judgement import Energy


@dataclass(frozen=True)
class MtpRow:
    """A verdict on drafting.

    Attributes:
        without, with_drafts: the names of both sides.
        run_id: the run with drafts.
        cells: as in `mtp_table`.
        sentence: the verdict in words.
    """

    without: str
    with_drafts: str
    run_id: str
    cells: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Content:
    """What the page says.

    Attributes:
        groups: the profiles with their latest numbers.
        mtp: verdicts, one per two runs that differ in drafting alone.
        pairs: comparisons to the baseline.
        devices: memory and power by profile, where known.
        energy: by profile, its workloads whose tokens' energy is known: run, workload and the cells of `energy.HEADS`.
        doubts: runs among the latest that have notes.
        origins: where the numbers come from.
        origin_of: index in `origins` by run id, of the latest runs and the baselines.
        runs: how many runs there are.
        data: for the charts, JSON.
    """

    groups: tuple[Group, ...]
    mtp: tuple[MtpRow, ...]
    pairs: tuple[Pair, ...]
    devices: dict[str, list[Device]]
    energy: dict[str, list[tuple[str, str, tuple[str, ...]]]]
    doubts: tuple[Summary, ...]
    origins: tuple[Origin, ...]
    origin_of: dict[str, int]
    runs: int
    data: dict[str, Any]


def content(
    runs: Sequence[Run],
    samples: Mapping[str, Sequence[Sample]],
    whole: Mapping[str, Sequence[Sample]],
    pairs: Sequence[Pair],
    *,
    held: Sequence[Held] = (),
    energies: Mapping[str, Energy] | None = None,
) -> Content:
    """Compute the page.

    Args:
        runs: newest first.
        samples: of every run, by run id.
        whole: the samples of `latest_done(runs)` with all that was recorded.
        pairs: comparisons to the baseline.
        held: profiles beside what they are held against; the baselines' runs are among `runs`.
        energies: of a token, by run id, as far as known.
    """
    energies = energies or {}
    summaries = [summarise(run, samples[run.id]) for run in reversed(runs)]
    latest = [summary for summary in summaries if summary.run.id in whole]
    sources = origins(runs[::-1])
    shown = {*whole, *(one.pair.a.id for one in held)}
    verdicts = list(mtp_pairs([summary.run for summary in latest], whole))
    found = {
        subject(summary.run): known for summary in latest if (known := devices(summary.run, whole[summary.run.id]))
    }
    spent: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
    for summary in latest:
        if energy := energies.get(summary.run.id):
            row = (summary.run.id, summary.run.workload.name, energy_cells(energy))
            spent.setdefault(subject(summary.run), []).append(row)
    columns = run_columns(summaries, sources)
    return Content(
        groups=tuple(groups(latest, held)),
        mtp=tuple(
            MtpRow(subject(without), subject(run), run.id, row_of(verdict), verdict.sentence)
            for without, run, verdict in verdicts
        ),
        pairs=tuple(pairs),
        devices=found,
        energy={name: spent[name] for name in sorted(spent)},
        doubts=tuple(summary for summary in latest if summary.notes),
        origins=tuple(sources),
        origin_of={run_id: i for i, source in enumerate(sources) for run_id in source.run_ids if run_id in shown},
        runs=len(runs),
        data=columns
        | {
            "latest": [index for index, run_id in enumerate(columns["id"]) if run_id in whole],
            "mtp": [
                mtp_chart(without, run, verdict, whole[run.id])
                for without, run, verdict in verdicts
                if verdict.drafting
            ],
            "devices": device_charts(found),
            "baselines": baseline_lines(held, columns),
            "joules": {
                index: f"{energies[run_id].joules:.2f} at {energies[run_id].watts:.0f} W"
                for index, run_id in enumerate(columns["id"])
                if run_id in energies
            },
        },
    )
