"""What a benchmark measures of a server whose speed and faults are known."""

from __future__ import annotations

import pytest

from gpubox.bench.identity import identify
from gpubox.bench.prompts import PromptMaker
from gpubox.bench.runner import check_fits, choose_route, run_workload, tight
from gpubox.endpoint import Endpoint
from gpubox.errors import EndpointError
from gpubox.record import Sample, Workload
from standin.start import standin

QUICK = Workload("pp256+tg32", 256, 32, min_reps=3, max_reps=3)


def measured(url: str, workload: Workload = QUICK, *, speculative: bool | None = None) -> list[Sample]:
    with Endpoint(url) as endpoint:
        identity = identify(endpoint)
        route = choose_route(endpoint, identity, speculative=speculative)
        return list(run_workload(endpoint, identity, workload, route))


def refusal(url: str) -> str:
    with pytest.raises(EndpointError) as caught:
        measured(url)
    return str(caught.value).replace(url, "URL")


@pytest.mark.parametrize("n_tokens", [2, 3, 17, 64, 255, 1000, 4096])
def test_a_prompt_has_exactly_the_tokens_that_are_asked_for(n_tokens: int) -> None:
    with standin() as url, Endpoint(url) as endpoint:
        for route in ("completion", "chat"):
            if route == "chat" and n_tokens < 4:
                continue
            prompts = PromptMaker(endpoint, "chat" if route == "chat" else "completion")
            assert prompts.count(prompts.make(n_tokens, "seed")) == n_tokens


def test_prompts_repeat_with_their_seed_and_differ_without() -> None:
    with standin() as url, Endpoint(url) as endpoint:
        prompts = PromptMaker(endpoint, "completion")
        texts = [prompts.make(300, seed) for seed in ("1/0", "1/0", "1/1", "2/0")]
    assert texts[0] == texts[1]
    assert len({text.split()[0:3].__repr__() for text in texts}) == 3


def test_a_prompt_shorter_than_the_template_is_refused() -> None:
    with standin() as url, Endpoint(url) as endpoint, pytest.raises(EndpointError) as caught:
        PromptMaker(endpoint, "chat").make(3, "seed")
    assert str(caught.value) == (
        f"{url}: 3 prompt tokens are not more than the 3 that the server adds itself; ask for a longer prompt"
    )


def test_each_repetition_evaluates_the_whole_prompt_and_generates_all_tokens() -> None:
    with standin() as url:
        samples = measured(url)
    assert [sample.kind for sample in samples] == ["warmup", "measured", "measured", "measured"]
    assert {(s.sent_n, s.prompt_n, s.cached_n, s.faults) for s in samples} == {(256, 256, 0, ())}
    assert {(s.requested_n, s.predicted_n, s.delivered_n) for s in samples[1:]} == {(32, 32, 32)}
    assert [len(sample.arrivals_ms) for sample in samples[1:]] == [32, 32, 32]


def test_speeds_are_those_of_the_server() -> None:
    with standin("--pp", "2000", "--tg", "200") as url:
        samples = measured(url)
    for sample in samples[1:]:
        assert sample.pp_tps == pytest.approx(2000, rel=0.003)
        assert sample.tg_tps == pytest.approx(200, rel=0.05)  # a wait can end late on a busy machine, never early


def test_a_clock_that_starts_with_the_prompts_end_is_recognised() -> None:
    with standin("--tg", "40", "--engine", "unknown", "--fault", "clock-from-prompt") as url:
        samples = measured(url)
    assert [sample.predicted_steps for sample in samples[1:]] == [32, 32, 32]


def test_the_clock_of_a_known_engine_starts_at_the_first_token() -> None:
    with standin("--tg", "100") as url:
        samples = measured(url)
    assert [sample.predicted_steps for sample in samples[1:]] == [31, 31, 31]


def test_without_the_servers_clock_the_clients_counts() -> None:
    with standin("--tg", "100", "--pp", "2000", "--fault", "no-timings") as url:
        sample = measured(url)[-1]
    assert sample.flags == ("no-server-timings",)
    assert sample.pp_tps == pytest.approx(2000, rel=0.2)
    assert sample.tg_tps == pytest.approx(100, rel=0.05)


def test_a_server_whose_clock_disagrees_with_ours_is_flagged() -> None:
    with standin("--tg", "100", "--pp", "1000", "--fault", "lie") as url:
        samples = measured(url)
    assert {sample.flags for sample in samples[1:]} == {("clocks-disagree-pp", "clocks-disagree-tg")}
    assert all(sample.valid for sample in samples[1:])


def test_draft_counts_are_read_from_chat_answers_of_ik_llama() -> None:
    with standin("--engine", "ik_llama", "--accepted", "3", "--drafted", "4") as url:
        samples = measured(url)
    assert {sample.extra["route"] for sample in samples} == {"chat"}
    assert {(s.draft_n, s.draft_n_accepted, s.draft_acceptance) for s in samples[1:]} == {(28, 21, 0.75)}


def test_draft_counts_are_read_from_completions_of_llama_cpp() -> None:
    with standin("--accepted", "1", "--drafted", "2") as url:
        samples = measured(url)
    assert {sample.extra["route"] for sample in samples} == {"completion"}
    assert {sample.draft_acceptance for sample in samples[1:]} == {0.5}


@pytest.mark.parametrize(
    ("engine", "speculative", "route"),
    [("ik_llama", True, "chat"), ("ik_llama", False, "completion"), ("ik_llama", None, "completion"), ("llama_cpp", True, "completion")],
)  # fmt: skip  # a case each
def test_the_route_is_the_one_that_tells_draft_counts(engine: str, speculative: bool | None, route: str) -> None:  # noqa: FBT001  # a table's column
    with standin("--engine", engine) as url, Endpoint(url) as endpoint:
        assert choose_route(endpoint, identify(endpoint), speculative=speculative) == route


def test_tokens_that_a_template_adds_in_secret_are_learnt_from_the_warm_up() -> None:
    with standin("--engine", "ik_llama", "--accepted", "3", "--fault", "miscount") as url:
        samples = measured(url)
    assert [sample.faults for sample in samples] == [("prompt-count",), (), (), (), ()]
    assert {sample.prompt_n for sample in samples[1:]} == {256}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fault", "cached"], "URL: 3 samples in a row are invalid: 192 prompt tokens came from a cache that can't be switched off; start the server without prompt caching"),
        (["--fault", "truncated", "--engine", "ik_llama"], "URL: 3 samples in a row are invalid: the server cut the prompt; ask for a shorter prompt, or serve with a larger ctx_size"),
        (["--fault", "short"], "URL: 3 samples in a row are invalid: 16 of 32 tokens were generated; does the server honour ignore_eos and the token limit?"),
        (["--fault", "die"], "URL/completion: broke off after 16 of 32 tokens; the server may have died; look at its log"),
        (["--fault", "garbage"], "URL/completion: streamed something that is not a JSON object: not json"),
        (["--fault", "error"], "URL/completion: failed: the backend gave up"),
    ],
)  # fmt: skip  # whole messages
def test_a_server_at_fault_is_named(options: list[str], message: str) -> None:
    with standin(*options) as url:
        assert refusal(url) == message


def test_a_workload_beyond_the_context_is_refused_before_it_is_cut() -> None:
    with standin("--n-ctx", "256") as url, Endpoint(url) as endpoint, pytest.raises(EndpointError) as caught:
        check_fits(endpoint, identify(endpoint), QUICK)
    assert str(caught.value) == (
        f"{url}: 256 prompt + 32 generated tokens exceed its context of 256; ask for fewer, or serve with a larger ctx_size"
    )


def test_repetition_stops_when_the_interval_is_tight_or_the_cap_is_reached() -> None:
    def sample(index: int, prompt_ms: float) -> Sample:
        return Sample(index, "measured", "", 100, 2, 2, 100, prompt_ms, 2, 10.0, 1, 0, None, None, None, 1.0)

    workload = Workload("w", 100, 2, min_reps=3, max_reps=9, target=0.01)
    steady = [sample(index, 100.0) for index in range(3)]
    swinging = [sample(index, 100.0 + 20 * (index % 2)) for index in range(8)]
    assert not tight(steady[:2], workload)
    assert tight(steady, workload)
    assert not tight(swinging, workload)


def test_a_budget_ends_a_run_once_three_repetitions_are_valid() -> None:
    with standin("--tg", "500") as url:
        samples = measured(url, Workload("w", 64, 16, min_reps=9, max_reps=9, budget_s=0.0))
    assert [sample.kind for sample in samples].count("measured") == 3
