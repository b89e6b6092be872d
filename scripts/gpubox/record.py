"""What a benchmark measures and what the results keep: the two dataclasses that both sides share.

A `Run` is one workload on one endpoint; it is written before its first `Sample`. Samples are raw: rates and intervals
are computed when read, so that a better statistic later applies to old numbers too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SampleKind = Literal["warmup", "measured"]
Check = Literal["", "python", "perplexity"]
Ending = Literal["done", "interrupted", "failed"]
RunStatus = Literal["running"] | Ending


@dataclass(frozen=True)
class Workload:
    """One question put to an endpoint.

    Attributes:
        name: stable name, e.g. `pp2048+tg128`, `pp512+tg128@8192` or `code`.
        n_prompt: prompt length, tokens, exact; 0 where a text says it.
        n_gen: tokens to generate; the most of them where a text is asked, which the model may end earlier.
        seed: seed of the prompts; repetition i uses a prompt of its own derived from (seed, i).
        min_reps: measured repetitions before the interval may stop the run.
        max_reps: the cap.
        target: half-width of the 95 % interval relative to the mean at which the run may stop (0.01 = 1 %).
        budget_s: seconds after which no repetition is begun once three are valid; None for no limit.
        depth: tokens that stand before the prompt and come from the server's cache, as in a conversation.
        text: the shipped text that is asked instead of random words; empty for these.
        check: what is looked at beside speed: `python` looks for the first fault of an answer that should be code,
            `perplexity` asks the engine's own tool how well it foretells the text, 256 tokens a sample.
        sampled: whether tokens are drawn as the server's command line says, and not the likeliest taken.
    """

    name: str
    n_prompt: int
    n_gen: int
    seed: int = 1
    min_reps: int = 5
    max_reps: int = 15
    target: float = 0.01
    budget_s: float | None = None
    depth: int = 0
    text: str = ""
    check: Check = ""
    sampled: bool = False


@dataclass(frozen=True)
class Sample:
    """One request and its answer, raw.

    Server times come from the answer's `timings` (milliseconds); client times from a monotonic clock that starts when
    the first byte of the request is sent. None means: the server did not say.

    Attributes:
        index: position in the run, warm-ups included, from 0.
        kind: `warmup` samples are kept but never counted.
        started_at: ISO 8601 with zone.
        sent_n: prompt tokens that were sent.
        requested_n: tokens asked for.
        delivered_n: tokens whose text reached the client.
        prompt_n, prompt_ms: tokens that the server evaluated, and how long it took (the first token's sampling included).
        predicted_n, predicted_ms: tokens that the server counts, and the time from the first to the last of them.
        predicted_steps: tokens that `predicted_ms` spans. ik_llama.cpp and llama.cpp start that clock at the first token
            and count it (server-context.cpp at 29a54f4, lines 4625-4642), so delivered tokens less one; their own
            `predicted_per_second` is high by n / (n - 1).
        cached_n: prompt tokens taken from a cache.
        draft_n, draft_n_accepted: speculative tokens proposed and accepted.
        ttft_ms: request sent to first token received.
        e2e_ms: request sent to end of answer.
        rtt_ms: the shortest empty round trip to the server, measured before the run.
        clean_n: tokens before the first fault of an answer that was checked; all of them where none was found.
        nll: mean negative log-likelihood of a text's tokens, nats; its exponential is the perplexity.
        arrivals_ms: arrival of each streamed piece, relative to the request; rises monotonically.
        answer_sha256: of the answer's text, UTF-8.
        faults: why the sample is invalid (`cached`, `truncated`, `short`, …); empty when valid.
        flags: doubts that leave it valid (`clocks-disagree`, `dropped-tokens`).
        extra: whatever else is worth keeping.
    """

    index: int
    kind: SampleKind
    started_at: str
    sent_n: int
    requested_n: int
    delivered_n: int
    prompt_n: int | None
    prompt_ms: float | None
    predicted_n: int | None
    predicted_ms: float | None
    predicted_steps: int | None
    cached_n: int | None
    draft_n: int | None
    draft_n_accepted: int | None
    ttft_ms: float | None
    e2e_ms: float
    rtt_ms: float | None = None
    clean_n: int | None = None
    nll: float | None = None
    arrivals_ms: tuple[float, ...] = ()
    answer_sha256: str = ""
    faults: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether the sample counts: measured, and without a fault."""
        return self.kind == "measured" and not self.faults

    @property
    def pp_tps(self) -> float | None:
        """Prompt processing (PP), tokens per second: by the server's clock, else TTFT less one empty round trip."""
        if self.prompt_ms is not None:
            return self.prompt_n / self.prompt_ms * 1e3 if self.prompt_n and self.prompt_ms else None
        if self.ttft_ms is None or self.sent_n == 0:
            return None
        return self.sent_n / max(self.ttft_ms - (self.rtt_ms or 0.0), 1e-3) * 1e3

    @property
    def client_tg_tps(self) -> float | None:
        """TG by the client's clock alone: tokens after the first, over the time from the first piece to the last."""
        if self.delivered_n < 2 or len(self.arrivals_ms) < 2 or self.arrivals_ms[-1] <= self.arrivals_ms[0]:
            return None
        return (self.delivered_n - 1) / (self.arrivals_ms[-1] - self.arrivals_ms[0]) * 1e3

    @property
    def tg_tps(self) -> float | None:
        """Token generation (TG), tokens per second, by the server's clock where it tells it, else by the client's."""
        if self.predicted_ms is None:
            return self.client_tg_tps
        if not self.predicted_ms or not self.predicted_steps:
            return None
        return self.predicted_steps / self.predicted_ms * 1e3

    @property
    def draft_acceptance(self) -> float | None:
        """Accepted / proposed draft tokens, 0 to 1; None without drafts."""
        if not self.draft_n or self.draft_n_accepted is None:
            return None
        return self.draft_n_accepted / self.draft_n


@dataclass(frozen=True)
class Run:
    """One workload on one endpoint, with all that is needed to repeat it.

    Attributes:
        id: unique, sortable by time.
        batch: shared by all runs of one invocation, so that pairs can be formed.
        started_at: ISO 8601 with zone.
        tool_version: gpubox's.
        profile: the profile's name, or None for a bare endpoint.
        profile_hash: over what changes behaviour; None for a bare endpoint.
        profile_document: the whole resolved profile.
        argv: the server's command line; empty when unknown.
        endpoint: URL.
        engine: `{"name": "ik_llama"|"llama_cpp", "build": …, "version": …, …}`.
        model: `{"path", "size", "sha256", …}`; what is known.
        host: `{"hostname", "cpu", "cores", "ram_bytes", "kernel", "gpus", "driver", …}`.
        workload: what was asked.
        status: `running` until finished.
        finished_at: None until finished.
        reason: why it failed or was interrupted.
        flags: doubts about the whole run.
    """

    id: str
    batch: str
    started_at: str
    tool_version: str
    endpoint: str
    workload: Workload
    profile: str | None = None
    profile_hash: str | None = None
    profile_document: dict[str, Any] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    engine: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    status: RunStatus = "running"
    finished_at: str | None = None
    reason: str = ""
    flags: tuple[str, ...] = ()
