"""The requests that a workload consists of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.bench.measure import Request
from gpubox.bench.prompts import PromptMaker
from gpubox.bench.texts import prompt_of
from gpubox.errors import EndpointError

if TYPE_CHECKING:
    from gpubox.bench.identity import Identity
    from gpubox.bench.prompts import Route
    from gpubox.endpoint import Endpoint
    from gpubox.record import Sample, SampleKind, Workload

WARMUP_TOKENS = 16


class Questions:
    """Makes the requests of one workload for one endpoint.

    Random words differ in every repetition. At a depth, they follow a text that is the same in all repetitions and that
    `priming` puts into the server's cache. A text is asked as it is, of the chat template that it is written for.

    Args:
        endpoint: what is asked.
        identity: who answers there.
        workload: what is measured.
        route: the API; a text always takes the chat's.
        rtt_ms: the shortest empty round trip.

    Raises:
        EndpointError: the text and its answer exceed the context.
    """

    def __init__(self, endpoint: Endpoint, identity: Identity, workload: Workload, route: Route, rtt_ms: float) -> None:
        self._workload = workload
        self._route: Route = "chat" if workload.text else route
        self._prompts = PromptMaker(endpoint, self._route)
        self._known_engine = identity.engine != "unknown"
        self._rtt_ms = rtt_ms
        self._text = prompt_of(workload.text) if workload.text else ""
        self._before = ""
        if self._text:
            needed = self._prompts.count(self._text) + workload.n_gen
            if identity.n_ctx is not None and needed > identity.n_ctx:
                fault = (
                    f"the text {workload.text} and its answer take {needed} tokens, its context holds {identity.n_ctx}"
                )
                raise EndpointError(endpoint.url, fault, "serve with a larger ctx_size")

    def priming(self, index: int) -> Request | None:
        """Return the request that fills the cache up to the workload's depth, or None where it has none."""
        depth = self._workload.depth
        if not depth:
            return None
        self._before = self._prompts.make(depth, f"{self._workload.seed}/depth")
        return self._request(self._before, depth, 1, index, "warmup", cache=True)

    def warm_up(self, attempt: int, index: int) -> Request:
        """Return a short request of the same prompt length."""
        n_gen = min(WARMUP_TOKENS, self._workload.n_gen)
        return self._question(f"warmup/{attempt}", n_gen, index, "warmup")

    def measured(self, repetition: int, retry: int, index: int) -> Request:
        """Return the request of a repetition."""
        request = self._question(f"{repetition}/{retry}", self._workload.n_gen, index, "measured")
        return replace(request, check=self._workload.check)

    def learn(self, warm_up: Sample) -> bool:
        """Correct the count of tokens by a warm-up whose prompt had others than asked for; return whether it had."""
        if warm_up.faults != ("prompt-count",) or warm_up.prompt_n is None:
            return False
        # The template's special tokens, told by the server alone.
        self._prompts.correction += warm_up.prompt_n + (warm_up.cached_n or 0) - warm_up.sent_n
        return True

    def _question(self, seed: str, n_gen: int, index: int, kind: SampleKind) -> Request:
        if self._text:
            request = self._request(self._text, self._prompts.count(self._text), n_gen, index, kind, whole=False)
            return replace(request, seed=self._workload.seed + index) if self._workload.sampled else request
        workload = self._workload
        n_prompt = workload.depth + workload.n_prompt
        prompt = self._prompts.make(n_prompt, f"{workload.seed}/{seed}", self._before)
        return self._request(prompt, n_prompt, n_gen, index, kind, cache=bool(workload.depth), depth=workload.depth)

    def _request(
        self,
        prompt: str,
        n_prompt: int,
        n_gen: int,
        index: int,
        kind: SampleKind,
        *,
        cache: bool = False,
        depth: int = 0,
        whole: bool = True,
    ) -> Request:
        return Request(
            route=self._route,
            prompt=prompt,
            n_prompt=n_prompt,
            n_gen=n_gen,
            index=index,
            kind=kind,
            known_engine=self._known_engine,
            rtt_ms=self._rtt_ms,
            cache=cache,
            depth=depth,
            whole=whole,
        )
