"""A small page with everything on it, its numbers fixed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.page.content import Content, content
from gpubox.page.html import html
from gpubox.record import Workload
from gpubox.results.latest import latest_done
from gpubox.results.report import against_baseline
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
    return content(runs, samples, whole, list(against_baseline(runs, samples)))


def a_page() -> str:
    """Return the page."""
    return html(a_content(), written_at="2026-03-02 12:00 UTC")
