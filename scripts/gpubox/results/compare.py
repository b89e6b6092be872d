"""Two selections of runs side by side: what differs in speed, and what differs in the inputs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gpubox.results.answers import Answers, compare_answers
from gpubox.results.metrics import METRICS, Metric
from gpubox.results.mtp import MtpVerdict, drafts, mtp_verdict
from gpubox.results.mtp_positions import reached
from gpubox.results.pairing import are_paired, both_sides
from gpubox.results.quality import compare_quality
from gpubox.results.stats import Difference, Estimate, Verdict, difference, interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.selection import Selection

ABSENT = "absent"


@dataclass(frozen=True)
class Row:
    """One metric of one workload.

    Attributes:
        metric: which.
        a, b: the estimates of both sides, over all their valid samples; None without a value.
        difference: of B to A; None where a side has no value or A's mean is 0.
    """

    metric: Metric
    a: Estimate | None
    b: Estimate | None
    difference: Difference | None

    @property
    def verdict(self) -> str:
        """What can be said, in words."""
        if self.difference is None:
            why = "A has no value" if self.a is None else "B has no value" if self.b is None else "the mean of A is 0"
            return f"no difference can be claimed ({why})"
        return self.difference.sentence(self.metric.higher, self.metric.lower)

    @property
    def differs(self) -> bool:
        """Whether B is higher or lower for certain enough to be called so."""
        return self.difference is not None and self.difference.verdict is not Verdict.UNDECIDED

    @property
    def loss_percent(self) -> float:
        """By how much B is worse than A for certain enough to be called so, percent; 0 where it is not."""
        if self.difference is None or not self.differs:
            return 0.0
        return max(0.0, -self.difference.percent * self.metric.better)


@dataclass(frozen=True)
class Input:
    """One input that differs.

    Attributes:
        path: dotted, with the place first: `profile.server.ctx_size`, `engine.build`, `host.driver`.
        a, b: both values as they were recorded; the text `absent` where a side has none.
    """

    path: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Pair:
    """Two runs of one workload.

    Attributes:
        a, b: the runs.
        paired: whether repetition i of both was compared with each other, because they ran in turns.
        rows: one per metric that either side has.
        inputs: what differs between them beside the metrics.
        mtp: what drafting does, where exactly one of them drafts.
        answers: whether both answered alike; None where no prompt was asked of both.
        quality: how good both were, in words; empty where nobody looked.
    """

    a: Run
    b: Run
    paired: bool
    rows: tuple[Row, ...]
    inputs: tuple[Input, ...]
    mtp: MtpVerdict | None = None
    answers: Answers | None = None
    quality: str = ""

    @property
    def how(self) -> str:
        """How the repetitions were compared, in words."""
        if self.paired and self.a.workload.check == "perplexity":
            return "paired, piece by piece of the same text"
        return "paired by repetition, measured in turns" if self.paired else "unpaired, not measured in turns"

    def as_dict(self) -> dict[str, Any]:
        """Return the pair as JSON; percentages are B relative to A."""
        return {
            "workload": self.a.workload.name,
            "run_a": self.a.id,
            "run_b": self.b.id,
            "paired": self.paired,
            "metrics": [
                {
                    "metric": row.metric.key,
                    "a": asdict(row.a) if row.a else None,
                    "b": asdict(row.b) if row.b else None,
                    "difference_percent": row.difference.percent if row.difference else None,
                    "lo": row.difference.lo if row.difference else None,
                    "hi": row.difference.hi if row.difference else None,
                    "verdict": row.verdict,
                }
                for row in self.rows
            ],
            "inputs": [asdict(item) for item in self.inputs],
            "mtp": self.mtp.as_dict() if self.mtp else None,
            "answers": self.answers.as_dict() if self.answers else None,
            "quality": self.quality,
        }


@dataclass(frozen=True)
class Comparison:
    """Two selections side by side.

    Attributes:
        a, b: what the user named.
        pairs: one per workload that both have.
        only_a, only_b: names of the workloads that one side lacks.
    """

    a: str
    b: str
    pairs: tuple[Pair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    def regressions(self, percent: float) -> list[tuple[Pair, Row]]:
        """Return where B is worse than A: the interval excludes zero and the mean loss exceeds `percent`.

        PP, TG and TTFT count; draft acceptance is no gain in itself, what it buys shows in TG.
        """
        return [(pair, row) for pair in self.pairs for row in pair.rows if row.loss_percent > percent]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON; percentages are B relative to A."""
        return {
            "a": self.a,
            "b": self.b,
            "workloads": [pair.as_dict() for pair in self.pairs],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
        }


def compare(a: Selection, b: Selection, samples: Mapping[str, Sequence[Sample]]) -> Comparison:
    """Compare two selections workload by workload.

    Args:
        a: the one to start from.
        b: the other.
        samples: of `every` run of both, by run id.
    """
    runs_a = {run.workload.name: run for run in a.runs}
    runs_b = {run.workload.name: run for run in b.runs}
    return Comparison(
        a=a.name,
        b=b.name,
        pairs=tuple(
            compare_runs(run, runs_b[name], a.samples_of(run, samples), b.samples_of(runs_b[name], samples))
            for name, run in runs_a.items()
            if name in runs_b
        ),
        only_a=tuple(name for name in runs_a if name not in runs_b),
        only_b=tuple(name for name in runs_b if name not in runs_a),
    )


def compare_runs(a: Run, b: Run, samples_a: Sequence[Sample], samples_b: Sequence[Sample]) -> Pair:
    """Compare two runs of one workload.

    Repetitions are paired when both runs are of one batch and their measured samples alternate in time, so that what
    disturbs one disturbs the other.
    """
    same_text = a.workload == b.workload and a.workload.check == "perplexity"
    paired = same_text or are_paired(a, b, samples_a, samples_b)
    rows = tuple(_row(metric, samples_a, samples_b, paired=paired) for metric in METRICS)
    return Pair(
        a=a,
        b=b,
        paired=paired,
        rows=tuple(row for row in rows if row.a or row.b),
        inputs=tuple(differing_inputs(a, b)),
        mtp=_mtp(a.workload.name, samples_a, samples_b, paired=paired),
        answers=compare_answers(samples_a, samples_b),
        quality=compare_quality(samples_a, samples_b),
    )


def _mtp(workload: str, samples_a: Sequence[Sample], samples_b: Sequence[Sample], *, paired: bool) -> MtpVerdict | None:
    match drafts(samples_a), drafts(samples_b):
        case False, True:
            without, with_drafts = samples_a, samples_b
        case True, False:
            without, with_drafts = samples_b, samples_a
        case _:
            return None
    found = mtp_verdict(workload, without, with_drafts, paired=paired)
    return found and replace(found, reached=reached(sample for sample in with_drafts if sample.valid))


def differing_inputs(a: Run, b: Run) -> list[Input]:
    """Return every input of two runs that differs, in the order: profile or argv, engine, model, host, workload, tool."""
    left, right = dict(_inputs(a, b)), dict(_inputs(b, a))
    paths = dict.fromkeys([*left, *right])
    return [
        Input(path, left.get(path, ABSENT), right.get(path, ABSENT))
        for path in paths
        if left.get(path, ABSENT) != right.get(path, ABSENT)
    ]


def _row(metric: Metric, samples_a: Sequence[Sample], samples_b: Sequence[Sample], *, paired: bool) -> Row:
    known_a, known_b = metric.known(samples_a), metric.known(samples_b)
    estimate_a, estimate_b = (interval(values) if values else None for values in (known_a, known_b))
    if paired:
        known_a, known_b = both_sides(metric.values, samples_a, samples_b, paired=True)
    # A mean of zero, of a draft acceptance, has no relative difference to anything.
    told = difference(known_a, known_b, paired=paired) if known_a and known_b and sum(known_a) > 0 else None
    return Row(metric, estimate_a, estimate_b, told)


# Words for people, other people's results, what follows from the rest, and the load of the moment: nobody set them.
_NO_INPUTS = {"description", "published", "planned_mib", "load"}
# What a GPU did just before a run; its limits and links are inputs.
_OF_THE_MOMENT = {
    "memory_used_mib", "memory_free_mib", "utilisation_percent", "power_w", "temperature_c", "sm_clock_mhz",
    "memory_clock_mhz", "performance_state", "held_back_by", "processes",
}  # fmt: skip  # a list


def _inputs(run: Run, other: Run) -> Iterator[tuple[str, Any]]:
    if run.profile_document and other.profile_document:
        document = {key: value for key, value in run.profile_document.items() if key not in _NO_INPUTS}
        yield from _flat("profile", document)
    else:
        yield "argv", list(run.argv)
    # A unit says nothing that the profile and the image don't, but its own name.
    yield from _flat("engine", {key: value for key, value in run.engine.items() if key != "unit_sha256"})
    yield from _flat("model", run.model)
    host = {key: value for key, value in run.host.items() if key not in _NO_INPUTS}
    if "gpu_states" in host:
        host["gpu_states"] = [
            {key: value for key, value in state.items() if key not in _OF_THE_MOMENT} for state in host["gpu_states"]
        ]
    yield from _flat("host", host)
    yield from _flat("workload", asdict(run.workload))
    yield "gpubox", run.tool_version


def _flat(path: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key in value:
            yield from _flat(f"{path}.{key}", value[key])
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(f"{path}[{index}]", item)
    else:
        yield path, value
