"""The launcher: its command line, and a real llama.cpp behind it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpubox.errors import GpuboxError
from gpubox.llama_launcher import BY_NAME, OPTIONS, help_text, main, read_command_line

if TYPE_CHECKING:
    from pathlib import Path

    from engine.conftest import Llama, Processes

TIMINGS = {
    "cache_n",
    "prompt_n",
    "prompt_ms",
    "prompt_per_token_ms",
    "prompt_per_second",
    "predicted_n",
    "predicted_ms",
    "predicted_per_token_ms",
    "predicted_per_second",
}


def parameters(*words: str) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    for _, option, value in read_command_line(words):
        option.apply(params, value)
    return params


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ("-m x.gguf", "model.path", "x.gguf"),
        ("--alias glm", "model_alias", {"glm"}),
        ("-c 4096", "n_ctx", 4096),
        ("--batch-size 1024", "n_batch", 1024),
        ("-ub 256", "n_ubatch", 256),
        ("--predict 7", "n_predict", 7),
        ("-np 2", "n_parallel", 2),
        ("-t 3", "cpuparams.n_threads", 3),
        ("-tb 4", "cpuparams_batch.n_threads", 4),
        ("-ngl 99", "n_gpu_layers", 99),
        ("-ngl 0", "n_gpu_layers", 0),
        ("-ngl all", "n_gpu_layers", -2),
        ("-ot exps=CPU", "tensor_buft_overrides", "exps=CPU"),
        ("-sm none", "split_mode.name", "LLAMA_SPLIT_MODE_NONE"),
        ("-fa on", "flash_attn_type.name", "LLAMA_FLASH_ATTN_TYPE_ENABLED"),
        ("--flash-attn 0", "flash_attn_type.name", "LLAMA_FLASH_ATTN_TYPE_DISABLED"),
        ("-ctk q8_0", "cache_type_k.name", "GGML_TYPE_Q8_0"),
        ("-ctv bf16", "cache_type_v.name", "GGML_TYPE_BF16"),
        ("--no-mmap", "load_mode.name", "LLAMA_LOAD_MODE_NONE"),
        ("--mlock", "load_mode.name", "LLAMA_LOAD_MODE_MMAP_MLOCK"),
        ("--mlock --no-mmap", "load_mode.name", "LLAMA_LOAD_MODE_MLOCK"),
        ("--no-mmap --mlock", "load_mode.name", "LLAMA_LOAD_MODE_MLOCK"),
        ("--no-warmup", "warmup", False),
        ("--host 0.0.0.0", "hostnames", ["0.0.0.0"]),
        ("--port 8001", "port", 8001),
        ("--api-key one,two", "api_keys", ["one", "two"]),
        ("--metrics", "endpoint_metrics", True),
        ("--no-slots", "endpoint_slots", False),
        ("--cache-ram 0", "cache_ram_mib", 0),
        ("--chat_template chatml", "chat_template", "chatml"),
        ('--chat-template-kwargs {"enable_thinking":false}', "default_template_kwargs", {"enable_thinking": "false"}),
        ("--reasoning off", "enable_reasoning", 0),
        ("--reasoning-format none", "reasoning_format.name", "COMMON_REASONING_FORMAT_NONE"),
        ("--reasoning-budget 0", "sampling.reasoning_budget_tokens", 0),
        ("--seed -1", "sampling.seed", 2**32 - 1),
        ("--temp 0.5", "sampling.temp", 0.5),
        ("--top-k 20", "sampling.top_k", 20),
        ("--top-p 0.75", "sampling.top_p", 0.75),
        ("--min-p 0.25", "sampling.min_p", 0.25),
    ],
)
def test_an_option_sets_its_field(words: str, path: str, value: object) -> None:
    assert attrgetter(path)(parameters(*words.split())) == value


def test_a_list_of_types_names_the_speculative_decoding() -> None:
    assert [kind.name for kind in parameters("--spec-type", "ngram-simple").speculative.types] == [
        "COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE"
    ]


def test_every_fixed_option_and_every_word_of_every_enumeration_is_one_that_xllamacpp_knows() -> None:
    words = {
        "-fa": "on off auto 1 0",
        "-ctk": "f32 f16 bf16 q8_0 q4_0 q4_1 iq4_nl q5_0 q5_1",
        "-sm": "none layer row",
        "--reasoning-format": "none auto deepseek deepseek-legacy",
        "--spec-type": "none ngram-simple ngram-map-k ngram-map-k4v ngram-mod",
    }
    for name, values in words.items():
        for value in values.split():
            parameters(name, value)
    for option in OPTIONS:
        if not option.value:
            parameters(option.names[0])


def test_keys_and_templates_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one\n\ntwo\n")
    (tmp_path / "template").write_text("{{ messages }}")
    params = parameters("--api-key-file", str(tmp_path / "keys"), "--chat-template-file", str(tmp_path / "template"))
    assert params.api_keys == ["one", "two"]
    assert params.chat_template == "{{ messages }}"


def test_no_spelling_belongs_to_two_options() -> None:
    assert len(BY_NAME) == sum(len(option.names) for option in OPTIONS)


def test_the_help_lists_every_spelling() -> None:
    words = {word for line in help_text().splitlines() for word in line.replace(",", " ").split()}
    assert set(BY_NAME) <= words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--x", "error: unknown argument: --x"),
        ("-c 1 --spec_type_ 2", "error: unknown argument: --spec_type_"),
        ("--port 8080 -ngl", "error: invalid parameter for argument: -ngl"),
    ],
)
def test_a_wrong_command_line_is_refused_in_the_engines_words(words: str, message: str) -> None:
    with pytest.raises(GpuboxError) as caught:
        read_command_line(words.split())
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "words",
    [
        "-ngl abc",
        "-fa maybe",
        "-ctk q3_9",
        "--temp warm",
        "--chat-template-kwargs {b",
        "--chat-template-kwargs []",
        "--api-key-file /no/such/file",
        "--reasoning maybe",
        "-c 99999999999999999999",
    ],
)
def test_a_bad_value_ends_it_with_status_1_in_the_engines_words(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("-m", "x.gguf", *words.split()) == 1
    assert capsys.readouterr().err == f"error: invalid parameter for argument: {words.partition(' ')[0]}\n"


def run_main(*words: str) -> int:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return main(words)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_without_a_model_it_ends_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("--port", "8080") == 1
    assert capsys.readouterr().err == "error: no model to serve; give it with --model FILE\n"


def test_a_port_in_use_ends_it_with_status_1_in_the_engines_words(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert run_main("-m", "x.gguf", "--port", str(port)) == 1
    assert capsys.readouterr().err == f"error: couldn't bind to server socket: hostname=127.0.0.1 port={port}\n"


def test_a_model_that_is_not_there_ends_it_with_status_1(launcher: tuple[str, ...], port: int) -> None:
    words = [*launcher, "-m", "/no/such.gguf", "--port", str(port)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "failed to open GGUF file '/no/such.gguf' (No such file or directory)" in ended.stderr
    assert "error: llama.cpp did not start; its log says why\n" in ended.stderr


def test_its_version_is_that_of_llama_cpp_and_of_the_package(launcher: tuple[str, ...]) -> None:
    import xllamacpp

    answer = subprocess.run([*launcher, "--version"], capture_output=True, text=True, check=True, timeout=60)
    build = xllamacpp.BUILD_INFO
    assert answer.stdout.splitlines() == [
        f"version: {build['build_number']} ({build['commit']})",
        f"built with {build['compiler']} for {build['build_target']}",
        f"xllamacpp {xllamacpp.__version__}",
    ]


def test_it_serves_the_api_of_llama_cpp(llama: Llama) -> None:
    status, health, headers = llama.get("/health")
    assert (status, health, headers["Server"]) == (200, {"status": "ok"}, "llama.cpp")
    assert llama.get("/v1/models")[1]["data"][0]["id"] == "tiny"
    assert llama.get("/props")[1]["default_generation_settings"]["n_ctx"] == 2048
    assert len(llama.get("/slots")[1]) == 1
    assert "llamacpp:prompt_tokens_total" in llama.get("/metrics")[1]
    prompt = llama.post("/apply-template", {"messages": [{"role": "user", "content": "hi"}]})[1]["prompt"]
    assert prompt == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(max_codepoint=127, min_codepoint=1)))
def test_ascii_text_is_one_token_a_byte_and_comes_back_unchanged(llama: Llama, text: str) -> None:
    tokens = llama.post("/tokenize", {"content": text, "parse_special": False})[1]["tokens"]
    assert tokens == list(text.encode())
    assert llama.post("/detokenize", {"tokens": tokens})[1]["content"] == text


def test_it_generates_printable_text_to_the_limit(llama: Llama) -> None:
    prompt = list(b"The cat sat on the mat")
    question = {"prompt": prompt, "n_predict": 200, "seed": 1, "cache_prompt": False}
    answer = llama.post("/completion", question)[1]
    text = answer["content"]
    assert len(text) == answer["tokens_predicted"] == 200
    assert text.isascii()
    assert text.isprintable()
    assert len(set(text)) > 15
    assert answer["stop_type"] == "limit"
    assert set(answer["timings"]) - {"draft_n", "draft_n_accepted"} == TIMINGS
    assert answer["timings"]["prompt_n"] == len(prompt)
    assert llama.post("/completion", question)[1]["content"] == text


def test_speculative_decoding_reports_its_drafts(llama: Llama) -> None:
    question = {"prompt": "abc" * 20, "n_predict": 200, "temperature": 0, "cache_prompt": False}
    timings = llama.post("/completion", question)[1]["timings"]
    assert timings["draft_n"] >= timings["draft_n_accepted"] > 0


@pytest.fixture
def launched(launcher: tuple[str, ...], tiny_model: Path, port: int) -> list[str]:
    return [*launcher, "-m", str(tiny_model), "-c", "512", "-t", "1", "--port", str(port)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(
    number: signal.Signals, launched: list[str], processes: Processes, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen(launched, stdout=output, stderr=output) as server:
        assert processes.eventually(lambda: b"listening on" in log.read_bytes())
        assert processes.eventually(lambda: processes.catches(server.pid, number))
        server.send_signal(number)
        assert server.wait(10) == 0


def test_a_request_in_flight_does_not_hold_it_up(
    launched: list[str], port: int, processes: Processes, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen(launched, stdout=output, stderr=output) as server:
        assert processes.eventually(lambda: b"listening on" in log.read_bytes())
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        question = {"prompt": "Hi", "n_predict": -1, "ignore_eos": True, "stream": True}
        client.request("POST", "/completion", json.dumps(question), {"Content-Type": "application/json"})
        assert client.getresponse().read(6) == b"data: "
        assert processes.eventually(lambda: processes.catches(server.pid, signal.SIGTERM))
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        client.close()


def test_it_ends_with_its_parent(launched: list[str], processes: Processes, tmp_path: Path) -> None:
    code = f"import subprocess; p = subprocess.Popen({launched!r}); print(p.pid, flush=True); p.wait()"
    log = tmp_path / "log"
    with log.open("wb") as output:
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=output)
    with parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert processes.eventually(lambda: b"listening on" in log.read_bytes())
        os.kill(parent.pid, signal.SIGKILL)
    assert processes.eventually(lambda: not processes.is_alive(pid))
