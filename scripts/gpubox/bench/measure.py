"""One request, measured: what the server says of it and what our own clock saw."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gpubox.bench.answer_check import check_code
from gpubox.clock import now
from gpubox.errors import EndpointError
from gpubox.record import Sample

if TYPE_CHECKING:
    from gpubox.bench.prompts import Route
    from gpubox.endpoint import Endpoint, Event
    from gpubox.record import Check, SampleKind

# The two clocks may differ by a fraction of the time plus a fixed cost (network, HTTP, one token's hold-back).
CLOCK_TOLERANCE = 0.02
CLOCK_SLACK_MS = 10.0
# Where a conversation goes on, its last token may be another one than when it stood alone.
CACHE_SLACK = 8
# An answer to a text that ends before measures no rate.
SHORTEST_ANSWER = 16


@dataclass
class _Answer:
    """What a stream of events adds up to."""

    text: list[str] = field(default_factory=list)
    arrivals_ms: list[float] = field(default_factory=list)
    tokens: int = 0
    reasoning: int = 0
    final: dict[str, Any] | None = None

    def add(self, event: Event, route: Route) -> None:
        data = event.data
        if route == "chat":
            choice = (data.get("choices") or [{}])[0]
            delta = choice.get("delta") or {}
            piece = "".join(str(delta.get(key) or "") for key in ("reasoning_content", "content"))
            self.reasoning += len(str(delta.get("reasoning_content") or ""))
            finished = choice.get("finish_reason") is not None or "timings" in data
        else:
            piece = str(data.get("content") or "")
            finished = bool(data.get("stop"))
        ids = data.get("tokens")
        count = len(ids) if isinstance(ids, list) else 0
        if piece or count:
            self.text.append(piece)
            self.arrivals_ms.append(round(event.at_ms, 3))
            self.tokens += count or 1
        if finished:
            self.final = {**(self.final or {}), **data}


@dataclass(frozen=True)
class Request:
    """What is asked of an endpoint once.

    Attributes:
        route: `completion` or `chat`.
        prompt: the text; of the user's message on the chat route.
        n_prompt: tokens that the server should count.
        n_gen: tokens to generate.
        index: position in the run.
        kind: whether it counts.
        known_engine: whether the server is one whose clock we know.
        rtt_ms: the shortest empty round trip.
        cache: whether the server may take the beginning of the prompt from its cache.
        depth: tokens that it has to take from there.
        whole: whether `n_gen` tokens are wanted; otherwise the answer may end where the model ends it.
        check: `python` to look for the first fault of the answer.
        seed: draws tokens as the server's command line says, with this seed; None takes the likeliest.
    """

    route: Route
    prompt: str
    n_prompt: int
    n_gen: int
    index: int
    kind: SampleKind
    known_engine: bool
    rtt_ms: float
    cache: bool = False
    depth: int = 0
    whole: bool = True
    check: Check = ""
    seed: int | None = None

    @property
    def path(self) -> str:
        """The URL's path."""
        return "/v1/chat/completions" if self.route == "chat" else "/completion"

    def body(self) -> dict[str, Any]:
        """Return the JSON body: of random words past the end-of-text token, so that equal prompts are equal work."""
        common: dict[str, Any] = {"cache_prompt": self.cache, "ignore_eos": self.whole, "stream": True}
        common |= {"temperature": 0} if self.seed is None else {"seed": self.seed}
        if self.route == "chat":
            return {"messages": [{"role": "user", "content": self.prompt}], "max_tokens": self.n_gen, **common}
        return {"prompt": self.prompt, "n_predict": self.n_gen, **common}


def measure(endpoint: Endpoint, request: Request) -> Sample:
    """Send one request and return the sample.

    Raises:
        EndpointError: the request failed or the stream broke off before its last event.
    """
    started_at = now().isoformat(timespec="milliseconds")
    answer = _Answer()
    last_ms = 0.0
    for event in endpoint.stream(request.path, request.body()):
        answer.add(event, request.route)
        last_ms = event.at_ms
    if answer.final is None:
        fault = f"broke off after {answer.tokens} of {request.n_gen} tokens"
        raise EndpointError(endpoint.url + request.path, fault, "the server may have died; look at its log")
    told = answer.final.get("timings")
    timings: dict[str, Any] = told if isinstance(told, dict) else {}
    prompt_n = _count(timings.get("prompt_n"))
    predicted_n = _count(timings.get("predicted_n"))
    draft_n = _count(timings.get("draft_n"))
    text = "".join(answer.text)
    delivered_n = _delivered(endpoint, answer, text, predicted_n, draft_n)
    predicted_ms = _milliseconds(timings.get("predicted_ms"))
    sample = Sample(
        index=request.index,
        kind=request.kind,
        started_at=started_at,
        sent_n=request.n_prompt,
        requested_n=request.n_gen,
        delivered_n=delivered_n,
        prompt_n=prompt_n,
        prompt_ms=_milliseconds(timings.get("prompt_ms")),
        predicted_n=predicted_n,
        predicted_ms=predicted_ms,
        predicted_steps=_steps(request, delivered_n, predicted_ms, answer.arrivals_ms),
        cached_n=_cached(answer.final, timings, prompt_n),
        draft_n=draft_n,
        draft_n_accepted=_count(timings.get("draft_n_accepted")),
        ttft_ms=answer.arrivals_ms[0] if answer.arrivals_ms else None,
        e2e_ms=round(last_ms, 3),
        rtt_ms=request.rtt_ms,
        arrivals_ms=tuple(answer.arrivals_ms),
        answer_sha256=_sha256(text),
        extra={
            "route": request.route,
            "prompt_sha256": _sha256(request.prompt),
            "answer": text.encode("utf-8", "replace").decode(),
        }
        | ({"cache": True} if request.cache else {}),
    )
    faults = sample_faults(sample, request, truncated=answer.final.get("truncated") is True)
    sample = replace(sample, faults=faults, flags=sample_flags(sample))
    return check_code(endpoint, sample, answer.reasoning) if request.check == "python" else sample


def _delivered(endpoint: Endpoint, answer: _Answer, text: str, predicted_n: int | None, draft_n: int | None) -> int:
    """Return how many tokens reached us.

    Without drafts the server's count is right (a piece may hold two tokens, or half a character). With drafts
    ik_llama.cpp counts a whole accepted draft before it notices the limit and drops the rest (server-context.cpp at
    29a54f4, line 4126): then what arrived is counted, in pieces and, where some pieces held several tokens, by
    tokenizing the text again.
    """
    if predicted_n is None:
        return answer.tokens
    if not draft_n or answer.tokens >= predicted_n:
        return predicted_n
    again = endpoint.post_json("/tokenize", {"content": text}).get("tokens")
    return min(predicted_n, max(answer.tokens, len(again) if isinstance(again, list) else 0))


def _steps(request: Request, delivered_n: int, predicted_ms: float | None, arrivals_ms: list[float]) -> int | None:
    """Return how many tokens `predicted_ms` spans.

    One less than delivered, since both engines start the clock at the first token. Of a server that we don't know, the
    client's clock tells whether it starts at the end of the prompt instead.
    """
    if predicted_ms is None or delivered_n < 2:
        return None
    steps = delivered_n - 1
    if not request.known_engine and len(arrivals_ms) > 1:
        span_ms = arrivals_ms[-1] - arrivals_ms[0]
        if abs(predicted_ms * steps / (steps + 1) - span_ms) < abs(predicted_ms - span_ms) / 4:
            return steps + 1
    return steps


def _cached(final: dict[str, Any], timings: dict[str, Any], prompt_n: int | None) -> int | None:
    if (told := _count(timings.get("cache_n"))) is not None:
        return told
    usage = final.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    if isinstance(details, dict) and (told := _count(details.get("cached_tokens"))) is not None:
        return told
    evaluated = _count(final.get("tokens_evaluated"))  # counts the cached ones too
    return evaluated - prompt_n if evaluated is not None and prompt_n is not None else None


def sample_faults(sample: Sample, request: Request, *, truncated: bool) -> tuple[str, ...]:
    """Return why a sample does not measure what was asked; empty when it does."""
    faults = []
    if truncated:
        faults.append("truncated")  # ik_llama.cpp cuts a prompt that is too long and answers 200
    if request.depth and abs(_from_cache(sample) - request.depth) > CACHE_SLACK:
        faults.append("cache-miss")
    elif sample.cached_n and not request.cache:
        faults.append("cached")
    elif sample.prompt_n is not None and sample.prompt_n + _from_cache(sample) != sample.sent_n:
        faults.append("prompt-count")
    wanted = sample.requested_n if request.whole else min(sample.requested_n, SHORTEST_ANSWER)
    if sample.delivered_n == 0 or (sample.predicted_n is not None and sample.predicted_n < wanted):
        faults.append("short")  # neither engine says `length`; the count does
    return tuple(faults)


def _from_cache(sample: Sample) -> int:
    """Return how many prompt tokens were not evaluated, by the server's word or by what is missing.

    A streamed chat of ik_llama.cpp 29a54f4 does not tell; where no cache may be used, nothing is missing.
    """
    if sample.cached_n is not None:
        return sample.cached_n
    if "cache" not in sample.extra or sample.prompt_n is None:
        return 0
    return max(0, sample.sent_n - sample.prompt_n)


def sample_flags(sample: Sample) -> tuple[str, ...]:
    """Return doubts that leave a sample valid.

    `clocks-disagree`: server and client differ by more than CLOCK_TOLERANCE of the time plus CLOCK_SLACK_MS.
    `dropped-tokens`: the server counted tokens that never arrived. `no-server-timings`: only our clock is known.
    """
    flags = []
    if sample.prompt_ms is None or sample.predicted_ms is None:
        flags.append("no-server-timings")
    else:
        allowed = CLOCK_SLACK_MS + CLOCK_TOLERANCE * sample.prompt_ms
        if sample.ttft_ms is not None and abs(sample.ttft_ms - sample.prompt_ms) > allowed:
            flags.append("clocks-disagree-pp")
        server, client = sample.tg_tps, sample.client_tg_tps
        if server and client and sample.delivered_n > 1:
            steps = sample.delivered_n - 1
            apart = abs(steps / server - steps / client) * 1e3
            if apart > CLOCK_SLACK_MS + CLOCK_TOLERANCE * sample.predicted_ms:
                flags.append("clocks-disagree-tg")
    if sample.predicted_n is not None and sample.delivered_n < sample.predicted_n:
        flags.append("dropped-tokens")
    return tuple(flags)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _milliseconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None
