"""Runs and samples to test with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gpubox.record import Run, Sample, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpubox.results.store import Store

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORKLOAD = Workload("pp2048+tg128", n_prompt=2048, n_gen=128)


def at(seconds: float) -> str:
    """Return a moment, seconds after noon of a fixed day."""
    return (DAY + timedelta(seconds=seconds)).isoformat()


def a_run(run_id: str = "20260301T120000-aaaa", **fields: Any) -> Run:
    """Return a run with every field filled, changed as told."""
    full = Run(
        id=run_id,
        batch="batch-1",
        started_at=at(0),
        tool_version="0.1.0",
        endpoint="http://127.0.0.1:8000",
        workload=WORKLOAD,
        profile="glm",
        profile_hash="0123abcd",
        profile_document={"server": {"ctx_size": 131072, "cache_type_k": "q8_0"}, "gpus": "all"},
        argv=("llama-server", "-c", "131072"),
        engine={"name": "ik_llama", "build": "29a54f4", "version": "4100"},
        model={"path": "/srv/models/glm.gguf", "size": 158_000_000_000, "sha256": "ab" * 32},
        host={"hostname": "box1", "gpus": ["RTX PRO 6000"] * 2, "driver": "580.95"},
        flags=("shared-box",),
    )
    return replace(full, **fields)


def a_sample(index: int = 0, *, tg: float = 20.0, pp: float = 400.0, **fields: Any) -> Sample:
    """Return a sample of the workload with these rates, tokens per second, and every other field filled."""
    prompt_ms, predicted_ms = 2048 / pp * 1e3, 127 / tg * 1e3
    full = Sample(
        index=index,
        kind="measured",
        started_at=at(index * 60),
        sent_n=2048,
        requested_n=128,
        delivered_n=128,
        prompt_n=2048,
        prompt_ms=prompt_ms,
        predicted_n=128,
        predicted_ms=predicted_ms,
        predicted_steps=127,
        cached_n=0,
        draft_n=100,
        draft_n_accepted=50,
        ttft_ms=prompt_ms + 10,
        e2e_ms=prompt_ms + predicted_ms + 12,
        rtt_ms=0.25,
        arrivals_ms=(prompt_ms + 10, prompt_ms + 60.1, prompt_ms + predicted_ms + 10),
        answer_sha256="cd" * 32,
        extra={"slot": 0, "power_w": [310.5, 322.25]},
    )
    return replace(full, **fields)


def series(tg: Iterable[float], **fields: Any) -> list[Sample]:
    """Return one sample per TG rate."""
    return [a_sample(index, tg=rate, **fields) for index, rate in enumerate(tg)]


def keep(store: Store, run: Run, samples: Sequence[Sample]) -> Run:
    """Write a whole run as a benchmark does, and return it as it reads afterwards."""
    store.start_run(run)
    for sample in samples:
        store.add_sample(run.id, sample)
    store.finish_run(run.id, "done")
    return store.run(run.id)
