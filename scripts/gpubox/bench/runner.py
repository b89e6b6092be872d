"""Run one workload: warm up, then repeat until the interval is tight or the cap is reached."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

from gpubox.bench.measure import measure
from gpubox.bench.questions import Questions
from gpubox.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpubox.bench.identity import Identity
    from gpubox.bench.prompts import Route
    from gpubox.endpoint import Endpoint
    from gpubox.record import Sample, Workload

MAX_INVALID_IN_A_ROW = 3
MIN_VALID_IN_BUDGET = 3
_DRAFT_PROBE_TOKENS = 8
_ROUND_TRIPS = 5

# Student's t, two-sided 95 %, by degrees of freedom 1 to 30 (NIST/SEMATECH e-Handbook, table 1.3.6.7.2).
_T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip  # a table


def choose_route(endpoint: Endpoint, identity: Identity, *, speculative: bool | None) -> Route:
    """Return the route that tells draft counts, at the least cost.

    ik_llama.cpp tells them in chat answers only (server-context.cpp at 29a54f4, lines 610 and 2460); elsewhere
    `/completion` does, without a chat template around the prompt.

    Args:
        endpoint: what is measured.
        identity: who answers there.
        speculative: whether the profile drafts; None when unknown: then one short chat asks.
    """
    if identity.engine != "ik_llama" or speculative is False:
        return "completion"
    if speculative:
        return "chat"
    body = {"messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": _DRAFT_PROBE_TOKENS}
    answer = endpoint.post("/v1/chat/completions", body).json()
    timings = answer.get("timings") if isinstance(answer, dict) else None
    return "chat" if isinstance(timings, dict) and timings.get("draft_n") else "completion"


def check_fits(endpoint: Endpoint, identity: Identity, workload: Workload) -> None:
    """Refuse a workload that the server's context can't hold; ik_llama.cpp would cut the prompt and say nothing.

    Raises:
        EndpointError: prompt and answer together exceed the context of one slot.
    """
    n_prompt = workload.depth + workload.n_prompt
    needed = n_prompt + workload.n_gen
    if identity.n_ctx is not None and needed > identity.n_ctx:
        fault = f"{n_prompt} prompt + {workload.n_gen} generated tokens exceed its context of {identity.n_ctx}"
        raise EndpointError(endpoint.url, fault, "ask for fewer, or serve with a larger ctx_size")


def run_workload(endpoint: Endpoint, identity: Identity, workload: Workload, route: Route) -> Iterator[Sample]:
    """Yield the samples of a workload as they arrive, warm-ups first.

    Raises:
        EndpointError: a request failed, or samples stay invalid.
    """
    questions = Questions(endpoint, identity, workload, route, round_trip_ms(endpoint))
    index = 0
    if (request := questions.priming(index)) is not None:
        yield measure(endpoint, request)
        index += 1
    for attempt in range(2):
        sample = measure(endpoint, questions.warm_up(attempt, index))
        yield sample
        index += 1
        if not questions.learn(sample):
            break
    samples: list[Sample] = []
    invalid_in_a_row = 0
    start = time.monotonic()
    while len(samples) < workload.max_reps and not tight(samples, workload):
        late = workload.budget_s is not None and time.monotonic() - start > workload.budget_s
        if late and len(samples) >= MIN_VALID_IN_BUDGET:
            return
        sample = measure(endpoint, questions.measured(len(samples), invalid_in_a_row, index))
        yield sample
        index += 1
        if sample.valid:
            samples.append(sample)
            invalid_in_a_row = 0
            continue
        invalid_in_a_row += 1
        if invalid_in_a_row == MAX_INVALID_IN_A_ROW:
            raise EndpointError(endpoint.url, *_why_invalid(sample))


def round_trip_ms(endpoint: Endpoint) -> float:
    """Return the shortest of a few empty round trips over the kept connection, in milliseconds."""
    durations = []
    for _ in range(_ROUND_TRIPS):
        start = time.perf_counter()
        endpoint.get("/health")
        durations.append((time.perf_counter() - start) * 1e3)
    return round(min(durations), 3)


def tight(samples: Sequence[Sample], workload: Workload) -> bool:
    """Return whether PP and TG are known to the workload's target after at least `min_reps` samples.

    The half-width of Student's 95 % interval decides when to stop; what is reported later uses all raw samples.
    """
    if len(samples) < workload.min_reps:
        return False
    for values in ([sample.pp_tps for sample in samples], [sample.tg_tps for sample in samples]):
        known = [value for value in values if value is not None]
        if len(known) < 2:
            continue
        t = _T_95[min(len(known) - 2, len(_T_95) - 1)]
        if t * statistics.stdev(known) / math.sqrt(len(known)) > workload.target * statistics.fmean(known):
            return False
    return True


def _why_invalid(sample: Sample) -> tuple[str, str]:
    fault = f"{MAX_INVALID_IN_A_ROW} samples in a row are invalid: "
    reason = sample.faults[0]
    if reason == "cached":
        return (
            f"{fault}{sample.cached_n} prompt tokens came from a cache that can't be switched off",
            "start the server without prompt caching",
        )
    if reason == "cache-miss":
        return (
            f"{fault}{sample.prompt_n} of {sample.sent_n} prompt tokens were evaluated, not only those that are new",
            "serve with one slot and with the prompt cache on, or measure without a depth",
        )
    if reason == "truncated":
        return fault + "the server cut the prompt", "ask for a shorter prompt, or serve with a larger ctx_size"
    if reason == "prompt-count":
        return (
            f"{fault}{sample.sent_n} prompt tokens were sent and {sample.prompt_n} evaluated",
            "is something between gpubox and the server changing requests?",
        )
    return (
        f"{fault}{sample.predicted_n or sample.delivered_n} of {sample.requested_n} tokens were generated",
        "does the server honour ignore_eos and the token limit?",
    )
