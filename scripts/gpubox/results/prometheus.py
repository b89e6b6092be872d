"""The newest results in Prometheus' text format, for node_exporter's textfile collector."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gpubox.results.latest import subject
from gpubox.results.summary import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.stats import Estimate

    Read = Callable[[Summary], float | None]


def _ends(
    name: str, what: str, scale: float, read: Callable[[Summary], Estimate | None]
) -> dict[str, tuple[str, Read]]:
    """Return three gauges: a mean and both ends of its interval."""

    def part(end: str) -> Read:
        def value(summary: Summary) -> float | None:
            estimate = read(summary)
            found: float | None = None if estimate is None else getattr(estimate, end)
            return None if found is None else found * scale

        return value

    return {
        name: (what, part("mean")),
        f"{name}_low": (f"{what}, lower end of the 95 % interval", part("lo")),
        f"{name}_high": (f"{what}, upper end of the 95 % interval", part("hi")),
    }


GAUGES: dict[str, tuple[str, Read]] = {
    **_ends("gpubox_prompt_tokens_per_second", "Prompt processing (PP)", 1, lambda summary: summary.pp_tps),
    **_ends("gpubox_generated_tokens_per_second", "Token generation (TG)", 1, lambda summary: summary.tg_tps),
    **_ends("gpubox_first_token_seconds", "Time to the first token", 1e-3, lambda summary: summary.ttft_ms),
    "gpubox_draft_acceptance_ratio": ("Accepted drafts / proposed drafts", lambda summary: summary.draft_acceptance),
    "gpubox_perplexity": ("Perplexity of a shipped text", lambda summary: summary.perplexity),
    "gpubox_clean_tokens": (
        "Tokens of an answer before its first fault",
        lambda summary: None if summary.clean is None else summary.clean.mean,
    ),
    "gpubox_run_start_time_seconds": (
        "When the run started, Unix time",
        lambda summary: datetime.fromisoformat(summary.run.started_at).timestamp(),
    ),
}


def prometheus(measured: Iterable[tuple[Run, Sequence[Sample]]]) -> Iterator[str]:
    """Give the gauges of the newest finished run of each profile, workload and host.

    Args:
        measured: runs, oldest first, and their samples.
    """
    newest: dict[str, Summary] = {}
    for run, samples in measured:
        if run.status == "done":
            labels = {"profile": subject(run), "workload": run.workload.name, "host": run.host.get("hostname", "")}
            newest[",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items())] = summarise(
                run, samples
            )
    for name, (what, read) in GAUGES.items():
        values = [(labels, value) for labels, summary in newest.items() if (value := read(summary)) is not None]
        if values:
            yield f"# HELP {name} {what}.\n# TYPE {name} gauge\n"
            yield from (f"{name}{{{labels}}} {value!r}\n" for labels, value in values)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
