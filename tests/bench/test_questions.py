"""Workloads beyond random words: a depth that comes from the cache, and texts that the model answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpubox.bench.identity import identify
from gpubox.bench.runner import run_workload
from gpubox.bench.texts import prompt_of
from gpubox.endpoint import Endpoint
from gpubox.errors import EndpointError
from gpubox.record import Sample, Workload
from standin.start import standin

DEEP = Workload("pp64+tg32@512", 64, 32, min_reps=3, max_reps=3, depth=512)
TEXT = Workload("code", 0, 64, min_reps=3, max_reps=3, text="code")


def measured(url: str, workload: Workload) -> list[Sample]:
    with Endpoint(url) as endpoint:
        return list(run_workload(endpoint, identify(endpoint), workload, "completion"))


def test_at_a_depth_only_the_prompt_is_evaluated_and_what_stands_before_comes_from_the_cache() -> None:
    with standin() as url:
        priming, warm_up, *samples = measured(url, DEEP)
    assert (priming.kind, priming.sent_n, priming.delivered_n) == ("warmup", 512, 1)
    assert (warm_up.kind, warm_up.cached_n, warm_up.faults) == ("warmup", 512, ())
    assert {(s.kind, s.sent_n, s.cached_n, s.prompt_n, s.faults) for s in samples} == {("measured", 576, 512, 64, ())}
    assert len({s.extra["prompt_sha256"] for s in samples}) == 3


def test_a_deeper_turn_goes_on_where_the_one_before_it_ended() -> None:
    with standin() as url:
        measured(url, DEEP)
        priming, *_ = measured(url, replace(DEEP, depth=1024))
    assert (priming.sent_n, priming.cached_n) == (1024, 512)


def test_a_server_that_caches_nothing_is_told_at_a_depth() -> None:
    with standin("--fault", "short") as url, pytest.raises(EndpointError) as caught:
        measured(url, DEEP)
    assert str(caught.value).replace(url, "URL") == (
        "URL: 3 samples in a row are invalid: 576 of 576 prompt tokens were evaluated, not only those that are new; "
        "serve with one slot and with the prompt cache on, or measure without a depth"
    )


def test_a_text_is_asked_by_chat_as_it_is_and_the_model_may_end_its_answer() -> None:
    with standin("--answer", "40") as url:
        samples = measured(url, TEXT)
    words = len(prompt_of("code").split()) + 3  # the template's
    assert {(s.sent_n, s.prompt_n, s.cached_n) for s in samples} == {(words, words, 0)}
    assert {(s.extra["route"], s.requested_n, s.delivered_n, s.faults) for s in samples[1:]} == {("chat", 64, 40, ())}
    assert len({(s.extra["prompt_sha256"], s.answer_sha256) for s in samples[1:]}) == 1


def test_an_answer_that_ends_at_once_measures_nothing() -> None:
    with standin("--answer", "3") as url, pytest.raises(EndpointError) as caught:
        measured(url, TEXT)
    assert "3 of 64 tokens were generated" in str(caught.value)


def test_a_text_beyond_the_context_is_refused() -> None:
    with standin("--n-ctx", "256") as url, pytest.raises(EndpointError) as caught:
        measured(url, TEXT)
    needed = len(prompt_of("code").split()) + 3 + 64
    assert str(caught.value).replace(url, "URL") == (
        f"URL: the text code and its answer take {needed} tokens, its context holds 256; serve with a larger ctx_size"
    )
