"""`gpubox bench` as a user types it: what it prints, what it records, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from gguf_writer import write_gguf

from cli.console import Console
from standin.start import PROGRAM, standin

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


class Bench(Console):
    """A console with the results of its own runs at hand."""

    def results(self) -> list[dict[str, Any]]:
        done = self.run("results", "--json", "--limit", "0")
        found: list[dict[str, Any]] = json.loads(done.stdout)["results"]
        return found

    def refusal(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stdout == ""
        progress = ("fast: hashing", "fast: starting", "fast: ready", "fast: pp")
        return "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith(progress))


@pytest.fixture
def console(tmp_path: Path) -> Bench:
    port = free_port()
    (tmp_path / "fast.yml").write_text(
        f"model: {{path: /none.gguf}}\nengine: {{name: llama_cpp}}\nport: {port}\nhealth: {{start_timeout: 3}}\n"
    )
    write_gguf(tmp_path / "model.gguf", tensors=[("a.weight", "f32", (32,))])
    return Bench(tmp_path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def port_of(console: Bench) -> int:
    return int((console.folder / "fast.yml").read_text().split("port: ")[1].split()[0])


def server(*options: str) -> str:
    return " ".join([sys.executable, str(PROGRAM), *options])


def local(*options: str, model: str = "model.gguf") -> tuple[str, ...]:
    return (
        "bench",
        "fast.yml",
        "--model",
        model,
        "--pp",
        "64",
        "--tg",
        "16",
        "--reps",
        "3",
        "--server",
        server(*options),
    )


def test_an_endpoint_is_measured_and_printed_in_the_shape_of_every_result(console: Bench) -> None:
    with standin("--pp", "2000", "--tg", "500", "--accepted", "2") as url:
        done = console.run("bench", "--endpoint", url, "--pp", "100", "--tg", "32", "--reps", "3", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (result,) = json.loads(done.stdout)["results"]
    assert (result["profile"], result["workload"], result["draft_acceptance"]) == (None, "pp100+tg32", 0.5)
    assert set(result["pp_tps"]) >= {"mean", "lo", "hi", "n"}
    assert result["pp_tps"]["mean"] == pytest.approx(2000, rel=0.003)
    assert result["pp_tps"]["n"] == result["tg_tps"]["n"] == result["ttft_ms"]["n"] == 3
    assert isinstance(result["flags"], list)


def test_a_profile_is_served_measured_recorded_and_stopped(console: Bench) -> None:
    done = console.run(*local())
    assert done.returncode == 0, done.stderr
    (result,) = console.results()
    assert (result["profile"], result["status"], result["pp_tps"]["n"]) == ("fast", "done", 3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(console)))


def test_a_second_run_adds_to_the_history(console: Bench) -> None:
    for _ in range(2):
        assert console.run(*local()).returncode == 0
    assert [result["profile"] for result in console.results()] == ["fast", "fast"]


def test_a_missing_model_is_named(console: Bench) -> None:
    message = console.refusal(*local(model="other.gguf"))
    assert message == "gpubox: other.gguf: does not exist; check the path\n"


def test_a_truncated_model_is_named(console: Bench) -> None:
    path = console.folder / "model.gguf"
    path.write_bytes(path.read_bytes()[:-100])
    message = console.refusal(*local())
    assert message == (
        "gpubox: model.gguf: is 100 bytes too short: 156 of 256 (tensor 'a.weight' is cut off); download or copy it again\n"
    )


def test_a_file_that_is_no_gguf_is_named(console: Bench) -> None:
    (console.folder / "model.gguf").write_text("<!doctype html><html><body>404</body></html>" * 9)
    message = console.refusal(*local())
    assert message == (
        "gpubox: model.gguf: is not a GGUF: it looks like a web page; name a .gguf file, or download it again\n"
    )


def test_a_missing_program_is_named(console: Bench) -> None:
    message = console.refusal("bench", "fast.yml", "--model", "model.gguf", "--server", "./llama-sever")
    assert message == "gpubox: ./llama-sever: no such program; give the path of a llama-server with --server\n"


def test_a_port_in_use_is_named_with_who_holds_it(console: Bench) -> None:
    with standin("--port", str(port_of(console))):
        message = console.refusal(*local())
    expected = rf"gpubox: 127\.0\.0\.1:{port_of(console)}: the port is in use by python\S* \(pid \d+\); stop that server or choose another port\n"
    assert re.fullmatch(expected, message), message


def test_a_server_that_exits_at_once_shows_its_last_lines(console: Bench) -> None:
    message = console.refusal(*local("--fault", "exit"))
    assert (
        message.splitlines()[-1] == "  | ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected"
    )
    assert message.splitlines()[1].startswith("fast: ")


def test_a_server_that_never_gets_ready_names_the_limit(console: Bench) -> None:
    message = console.refusal(*local("--load-s", "600", "--engine", "ik_llama"))
    assert "3 s" in message
    assert "health.start_timeout" in message


def test_a_server_that_dies_in_mid_measurement_is_named_and_its_samples_are_kept(console: Bench) -> None:
    message = console.refusal(*local("--fault", "die"))
    assert "the server ended while it was measured" in message
    (result,) = console.results()
    assert result["status"] == "failed"


def test_a_faulty_profile_starts_nothing(console: Bench) -> None:
    (console.folder / "fast.yml").write_text("model: {path: x}\n")
    message = console.refusal(*local())
    assert message == 'gpubox: fast.yml: model.path: must be an absolute path on the box (got "x")\n'


def test_an_endpoint_and_profiles_together_are_refused(console: Bench) -> None:
    message = console.refusal("bench", "fast.yml", "--endpoint", "http://127.0.0.1:1")
    assert message == "gpubox: --endpoint: measures what runs there, whatever its profile; leave the profiles out\n"


@pytest.mark.parametrize("moment_s", [0.4, 0.8, 1.4, 2.0])
def test_ctrl_c_at_any_moment_leaves_no_process_and_no_running_record(console: Bench, moment_s: float) -> None:
    words = local("--pp", "200", "--tg", "40", "--load-s", "0.4")
    with console.start(*words, "--reps", "50", "--target", "0.001") as process:
        time.sleep(moment_s)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "gpubox: interrupted"
    assert {result["status"] for result in console.results()} <= {"interrupted"}
    assert_port_free(port_of(console))


def test_a_killed_gpubox_leaves_no_server_and_a_record_that_reads_as_interrupted(console: Bench) -> None:
    with console.start(*local("--tg", "40"), "--reps", "50", "--target", "0.001") as process:
        wait_for_samples(process)
        process.kill()
        process.communicate(timeout=60)
    assert_port_free(port_of(console), within_s=10)
    (result,) = console.results()
    assert result["status"] == "interrupted"


def wait_for_samples(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if "1 of" in line:
            return
    raise AssertionError("no sample was taken")


def assert_port_free(port: int, within_s: float = 2) -> None:
    end = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < end, f"something still listens on {port}"
        time.sleep(0.05)


def test_a_workload_file_is_measured_entry_by_entry_and_what_does_not_fit_is_left_out(console: Bench) -> None:
    (console.folder / "mine.yml").write_text(
        "max_reps: 3\nmeasure:\n- {prompt: 64, generate: 16}\n- {depth: 64, prompt: 32, generate: 16}\n"
        "- {text: prose, generate: 32}\n- {prompt: 8000, generate: 16}\n"
    )
    with standin("--n-ctx", "1024") as url:
        done = console.run("bench", "--endpoint", url, "--workload", "mine.yml")
    assert done.returncode == 0, done.stderr
    assert {result["workload"] for result in console.results()} == {"pp64+tg16", "pp32+tg16@64", "prose"}
    left_out = "pp8000+tg16 is left out: 8000 prompt + 16 generated tokens exceed its context of 1024"
    assert left_out in done.stderr.splitlines()


def test_a_workload_and_lengths_together_are_refused(console: Bench) -> None:
    message = console.refusal("bench", "--endpoint", "http://127.0.0.1:1", "--workload", "agent", "--pp", "5")
    assert message == ("gpubox: --workload: says itself how long prompts and answers are; leave --pp and --tg out\n")
