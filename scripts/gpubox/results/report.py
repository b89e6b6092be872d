"""A report in Markdown: what ran, how fast, how it compares, and where the numbers come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.results.compare import compare_runs
from gpubox.results.energy import HEADS as ENERGY_HEADS
from gpubox.results.energy import row_of as energy_cells
from gpubox.results.first_steps import FIRST_STEPS, NOTHING_YET
from gpubox.results.latest import latest_done, subject
from gpubox.results.metrics import PP, TG, TTFT
from gpubox.results.mtp_pairs import mtp_pairs
from gpubox.results.profile_table import HEADS, groups
from gpubox.results.provenance import origins
from gpubox.results.summary import Summary, summarise
from gpubox.results.wording import compact, estimate, moment, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.compare import Pair
    from gpubox.results.held import Held
    from gpubox.telemetry.judgement import Energy


def report(
    runs: Sequence[Run],
    samples: Mapping[str, Sequence[Sample]],
    *,
    baseline: str | None = None,
    held: Sequence[Held] = (),
    energies: Mapping[str, Energy] | None = None,
) -> str:
    """Return the report; of no run it says how to measure one.

    Args:
        runs: newest first.
        samples: of every run, by run id.
        baseline: the profile that the others are compared to; None is the one that was measured first.
        held: profiles beside what they are held against.
        energies: of a token, by run id, as far as known.
    """
    if not runs:
        steps = "".join(f"    {command}  # {what}\n" for command, what in FIRST_STEPS)
        return f"# Benchmark results\n\n{NOTHING_YET} Measure something:\n\n{steps}"
    summaries = [summarise(run, samples[run.id]) for run in reversed(runs)]
    latest = latest_done(runs)
    parts = [
        "# Benchmark results\n",
        _published(summaries, latest),
        _mtp(latest, samples),
        _beside_baselines(held),
        _runs(summaries),
        _energy(latest, energies or {}),
    ]
    pairs = list(against_baseline(runs, samples, baseline))
    parts += [_comparison(pair) for pair in pairs]
    parts += [_doubts(summaries), _provenance(runs)]
    return "\n".join(part for part in parts if part)


def against_baseline(
    runs: Sequence[Run], samples: Mapping[str, Sequence[Sample]], baseline: str | None = None
) -> Iterator[Pair]:
    """Compare, workload by workload, each profile's latest finished run to that of the baseline.

    Args:
        runs: newest first.
        samples: of every run, by run id.
        baseline: a profile; None is the one that was measured first.
    """
    latest = {(run.workload.name, subject(run)): run for run in latest_done(runs)}
    first = baseline if baseline is not None else next((subject(run) for run in reversed(runs)), "")
    for (workload, name), run in sorted(latest.items()):
        base = latest.get((workload, first))
        if base is not None and name != first:
            yield compare_runs(base, run, samples[base.id], samples[run.id])


def _published(summaries: Iterable[Summary], latest: Iterable[Run]) -> str:
    """Return the profiles that somebody published results of, with these under the measured ones."""
    ids = {run.id for run in latest}
    known = [group for group in groups(each for each in summaries if each.run.id in ids) if group.published]
    rows = [
        (group.name if index == 0 else "", *cells)
        for group in known
        for index, cells in enumerate([*(line.cells for line in group.lines), group.published])
    ]
    return "## Measured and published\n\n" + _table(("Profile", *HEADS), rows, numbers_from=2) if rows else ""


def _mtp(latest: Iterable[Run], samples: Mapping[str, Sequence[Sample]]) -> str:
    lines = [
        f"- {subject(run)} beside {subject(without)}, {verdict.workload}: {verdict.sentence}.\n"
        for without, run, verdict in mtp_pairs(latest, samples)
    ]
    return "## Does MTP help?\n\n" + "".join(lines) if lines else ""


def _beside_baselines(held: Iterable[Held]) -> str:
    rows = [
        (
            subject(one.pair.b),
            one.pair.b.workload.name,
            one.since,
            row.metric.heading,
            estimate(row.a, row.metric),
            "-" if one.is_baseline else estimate(row.b, row.metric),
            "nothing was measured since" if one.is_baseline else row.verdict.removeprefix("B is "),
        )
        for one in held
        for row in one.pair.rows
    ]
    head = ("Profile", "Workload", "Held against", "Metric", "Baseline", "Now", "Verdict")
    return "## Beside the baselines\n\n" + _table(head, rows) if rows else ""


def _energy(latest: Iterable[Run], energies: Mapping[str, Energy]) -> str:
    rows = [(subject(run), run.workload.name, *energy_cells(energies[run.id])) for run in latest if run.id in energies]
    text = "## Energy of a token\n\nOf all GPUs that the profile uses, while tokens are generated.\n\n"
    return text + _table(("Profile", "Workload", *ENERGY_HEADS), sorted(rows), numbers_from=2) if rows else ""


def _runs(summaries: Iterable[Summary]) -> str:
    head = (
        "Run",
        "Started (UTC)",
        "Profile",
        "Workload",
        *(m.heading for m in (PP, TG, TTFT)),
        "Draft acceptance",
        "n",
    )
    rows = [
        (
            f"`{s.run.id}`",
            moment(s.run.started_at),
            subject(s.run),
            s.run.workload.name,
            estimate(s.pp_tps, PP),
            estimate(s.tg_tps, TG),
            estimate(s.ttft_ms, TTFT),
            ratio(s.draft_acceptance),
            str(max((e.n for e in (s.pp_tps, s.tg_tps) if e), default=0)),
        )
        for s in summaries
    ]
    return "## Runs\n\nMeans with half of their 95 % intervals; n valid samples.\n\n" + _table(
        head, rows, numbers_from=4
    )


def _comparison(pair: Pair) -> str:
    a, b = subject(pair.a), subject(pair.b)
    title = f"## {pair.a.workload.name}: {b} compared to {a}\n"
    text = f"\nA is {a} (`{pair.a.id}`), B is {b} (`{pair.b.id}`); {pair.how}.\n\n"
    rows = [(r.metric.heading, estimate(r.a, r.metric), estimate(r.b, r.metric), r.verdict) for r in pair.rows]
    inputs = [(f"`{item.path}`", compact(item.a), compact(item.b)) for item in pair.inputs]
    found = [("Verdict", pair.mtp), ("Answers", pair.answers)]
    said = "".join(f"\n{name}: {one.sentence}.\n" for name, one in found if one)
    if pair.quality:
        said += f"\nQuality: {pair.quality}.\n"
    differ = "\nInputs that differ:\n\n" + _table(("Input", "A", "B"), inputs) if inputs else "\nNo input differs.\n"
    return title + text + _table(("Metric", "A", "B", "Verdict"), rows) + said + differ


def _doubts(summaries: Iterable[Summary]) -> str:
    lines = [f"- `{s.run.id}`: {', '.join(s.notes)}\n" for s in summaries if s.notes]
    return "## Flags\n\n" + "".join(lines) if lines else ""


def _provenance(runs: Sequence[Run]) -> str:
    blocks = [
        f"### {origin.run_ids[0]}"
        + (f" and {len(origin.run_ids) - 1} more" if len(origin.run_ids) > 1 else "")
        + "\n\n"
        + "".join(f"- {name}: {value.replace(chr(10), '; ')}\n" for name, value in origin.fields)
        for origin in origins(runs[::-1])
    ]
    return "## Provenance\n\n" + "\n".join(blocks) if blocks else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int | None = None) -> str:
    rule = ["---:" if numbers_from is not None and index >= numbers_from else "---" for index in range(len(head))]
    escaped = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *escaped))
