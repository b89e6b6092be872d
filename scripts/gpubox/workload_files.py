"""Workload files: what a benchmark asks, as data; one file in `inventory/workloads/` is a list of things to measure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from gpubox.bench.texts import text_names
from gpubox.document import read_mapping
from gpubox.errors import DocumentError, Fault, nearest
from gpubox.profile_faults import fault_of
from gpubox.profile_files import shown_path
from gpubox.profiles_folder import profiles_folder
from gpubox.record import Workload

Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
Reps = Annotated[int, Field(ge=1, le=1000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Effort(_Part):
    """How often to repeat."""

    min_reps: Reps | None = Field(default=None, description="repetitions before the interval may end it (5)")
    max_reps: Reps | None = Field(default=None, description="most repetitions (15)")
    target: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None, description="half of the 95 % interval at which to stop, percent of the mean (1)"
    )
    budget: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="seconds after which no repetition is begun, from the third on"
    )


class Measure(Effort):
    """One thing to measure: random words of an exact number of tokens, or a shipped text."""

    prompt: Tokens | None = Field(default=None, description="tokens of random words")
    depth: Tokens | None = Field(default=None, description="tokens before the prompt that are in the server's cache")
    text: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, description="a shipped text instead of random words"
    )
    generate: Tokens | None = Field(default=None, description="tokens to generate; of a text, the most of them")
    check: Literal["python"] | None = Field(
        default=None, description="look for the first fault of the answer to a text, which should be Python code"
    )
    sampling: Literal["greedy", "profile"] = Field(
        default="greedy", description="of a text: the likeliest token, or as the profile's `sampling` says"
    )
    perplexity: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, description="a shipped text whose perplexity the engine's own tool tells, instead of a question"
    )

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if self.perplexity is not None:
            if self.model_fields_set - {"perplexity"}:
                raise ValueError("of a perplexity nothing else can be said")
            self._known(self.perplexity)
            return self
        if self.generate is None:
            raise ValueError("needs `generate`")
        if (self.prompt is None) == (self.text is None):
            raise ValueError("needs either `prompt` or `text`")
        if self.text is None and (self.check or self.sampling == "profile"):
            raise ValueError("only of a `text` there is something to check, or to sample")
        if self.text is not None and self.depth is not None:
            raise ValueError("a text has no depth")
        if self.text is not None:
            self._known(self.text)
        return self

    @staticmethod
    def _known(text: str) -> None:
        if text not in text_names():
            known = f"known are: {', '.join(text_names())}"
            raise ValueError(f"no such text: {text}; {nearest(text, text_names()) or known}")


class WorkloadDocument(Effort):
    """A workload file."""

    description: str = Field(default="", description="one line for people")
    seed: int = Field(default=1, description="of the random words")
    measure: list[Measure] = Field(min_length=1, max_length=100, description="in this order")


def load_workloads(name_or_path: str, folder: Path | None = None) -> list[Workload]:
    """Read and validate a workload file.

    Args:
        name_or_path: a workload's name, or a file's path.
        folder: where workloads are found by name; beside the profiles when None.

    Raises:
        DocumentError: there is no such file, or with all faults of it.
    """
    path = _path(name_or_path, folder or profiles_folder().with_name("workloads"))
    shown = shown_path(path)
    document = read_mapping(path, shown_as=shown)
    try:
        told = WorkloadDocument.model_validate(document)
    except ValidationError as error:
        faults = [_fault(each, document, shown) for each in error.errors(include_url=False)]
        raise DocumentError(faults) from None
    workloads = [_workload(each, told) for each in told.measure]
    names = [workload.name for workload in workloads]
    twice = [Fault(shown, f"measure[{i}]", "is there twice", got=n) for i, n in enumerate(names) if n in names[:i]]
    if twice:
        raise DocumentError(twice)
    return workloads


def _fault(error: Any, document: dict[str, Any], shown: str) -> Fault:  # noqa: ANN401  # pydantic's ErrorDetails
    if error["type"] == "value_error":
        index = error["loc"][1]
        fault, _, remedy = str(error["ctx"]["error"]).partition("; ")
        return Fault(shown, f"measure[{index}]", fault, remedy=remedy)
    return fault_of(error, document, lambda _: shown, WorkloadDocument)


def _path(name_or_path: str, folder: Path) -> Path:
    if "/" in name_or_path or name_or_path.endswith((".yml", ".yaml")):
        return Path(name_or_path)
    path = folder / f"{name_or_path}.yml"
    if path.exists():
        return path
    names = sorted(file.stem for file in folder.glob("*.yml"))
    known = f"known are: {', '.join(names)}" if names else "run gpubox in a folder with inventory/workloads"
    remedy = nearest(name_or_path, names) or known
    raise DocumentError([Fault(name_or_path, "", f"no such workload in {shown_path(folder)}", remedy=remedy)])


def _workload(measure: Measure, document: WorkloadDocument) -> Workload:
    if measure.perplexity is not None:
        name, text = f"perplexity-{measure.perplexity}", measure.perplexity
        return Workload(name, 0, 0, seed=document.seed, min_reps=1, max_reps=1, text=text, check="perplexity")
    name = measure.text or f"pp{measure.prompt}+tg{measure.generate}"
    if measure.sampling == "profile":
        name += "-sampled"
    workload = Workload(
        name=f"{name}@{measure.depth}" if measure.depth else name,
        n_prompt=measure.prompt or 0,
        n_gen=measure.generate or 0,
        seed=document.seed,
        depth=measure.depth or 0,
        text=measure.text or "",
        check=measure.check or "",
        sampled=measure.sampling == "profile",
    )
    return with_effort(
        workload,
        min_reps=measure.min_reps or document.min_reps,
        max_reps=measure.max_reps or document.max_reps,
        target=measure.target or document.target,
        budget_s=measure.budget or document.budget,
    )


def with_effort(
    workload: Workload,
    *,
    min_reps: int | None = None,
    max_reps: int | None = None,
    target: float | None = None,
    budget_s: float | None = None,
) -> Workload:
    """Return a workload with another effort.

    Args:
        workload: what to measure.
        min_reps: repetitions before the interval may end it; never more than `max_reps`.
        max_reps: most repetitions.
        target: half of the interval at which to stop, percent.
        budget_s: seconds after which no repetition is begun.
    """
    most = max_reps or workload.max_reps
    return replace(
        workload,
        min_reps=min(min_reps or workload.min_reps, most),
        max_reps=most,
        target=workload.target if target is None else target / 100,
        budget_s=workload.budget_s if budget_s is None else budget_s,
    )
