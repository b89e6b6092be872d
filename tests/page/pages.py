"""A small page with everything on it, its numbers fixed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.page.content import Content, content
from gpubox.page.html import html
from gpubox.record import Workload
from gpubox.results.baselines import Baseline
from gpubox.results.compare import compare_runs
from gpubox.results.held import Held
from gpubox.results.latest import latest_done
from gpubox.results.report import against_baseline
from gpubox.telemetry.judgement import Energy
from results.records import a_run, a_sample, at

if TYPE_CHECKING:
    from gpubox.record import Run, Sample

WORKLOADS = (Workload("pp2048+tg128", 2048, 128), Workload("pp8192+tg128", 8192, 128))
SERVER = {"ctx_size": 131072, "cache_type_k": "q8_0"}
PUBLISHED = {"tg_tps": [34, 40], "pp_tps": [359.5], "source": "a write-up", "note": "MTP off"}
DOCUMENTS = {
    "glm": {"description": "MTP off", "server": SERVER, "published": PUBLISHED},
    "glm-mtp": {"description": "MTP on", "server": SERVER, "speculative": [{"type": "mtp", "n_max": 4}]},
    '</script><img src="x">&': {"server": {"ctx_size": 4096}},
}
SPREAD = (1.0, 1.004, 0.997, 1.002, 0.998)


def fleet() -> tuple[list[Run], dict[str, list[Sample]]]:
    """Return two runs of each profile and workload, newest first, and their samples."""
    runs: list[Run] = []
    samples: dict[str, list[Sample]] = {}
    for name, document in DOCUMENTS.items():
        for workload in WORKLOADS * 2:
            run = a_run(
                f"run-{len(runs):02d}",
                profile=name,
                profile_document=document,
                workload=workload,
                started_at=at(len(runs) * 3600),
                status="done",
                flags=(),
            )
            run = replace(run, host=run.host | {"planned_mib": {"CUDA0": 72_000.0, "CUDA_Host": 700.0}})
            runs.append(run)
            samples[run.id] = [_sample(i, factor, drafts=name == "glm-mtp") for i, factor in enumerate(SPREAD)]
    return runs[::-1], samples


def _sample(index: int, factor: float, *, drafts: bool) -> Sample:
    extra = {
        "prompt_sha256": f"prompt {index}",
        "answer": "one and two" if drafts and index == 3 else "one or two",
        "gpus": [{"index": 0, "memory_mib": 72_100 + index, "power_w": 240.0 + index}],
    }
    sample = a_sample(index, tg=40.0 * factor, extra=extra, draft_n=None, draft_n_accepted=None)
    if not drafts:
        return sample
    # 50 rounds of 4 drafts, 77 of 200 accepted, 60 ms each.
    return replace(sample, predicted_ms=50 * 60.0 * factor, draft_n=200, draft_n_accepted=77, answer_sha256=f"{index}")


def a_content() -> Content:
    """Return what the page says of the fleet."""
    runs, samples = fleet()
    whole = {run.id: samples[run.id] for run in latest_done(runs)}
    by_id = {run.id: run for run in runs}
    earlier, latest = by_id["run-00"], replace(by_id["run-02"], batch="batch-2")
    held = [
        Held(
            Baseline("box1", "glm", at(0), "batch-1"),
            compare_runs(
                earlier,
                latest,
                samples["run-00"],
                [replace(sample, predicted_ms=(sample.predicted_ms or 0.0) * 1.1) for sample in samples["run-02"]],
            ),
        ),
    ]
    pairs = list(against_baseline(runs, samples))
    return content(runs, samples, whole, pairs, held=held, energies={"run-02": Energy(joules=12.5, watts=500.0)})


def many_profiles(count: int) -> Content:
    """Return what the page says of so many profiles with long names, at two depths each."""
    runs = [
        a_run(
            f"run-{number:03d}",
            profile=f"glm-5.2-2.244bpw-split-graph-attn-{number:03d}-mtp-nothink",
            workload=workload,
            status="done",
        )
        for number in range(count)
        for workload in WORKLOADS
    ]
    runs = [replace(run, id=f"{run.id}-{run.workload.name}") for run in runs][::-1]
    samples = {
        run.id: [_sample(i, factor * (1 + position / 50), drafts=False) for i, factor in enumerate(SPREAD)]
        for position, run in enumerate(runs)
    }
    return content(runs, samples, samples, [])


def a_page() -> str:
    """Return the page."""
    return html(a_content(), written_at="2026-03-02 12:00 UTC")
