"""A server as a child process: a real one, and stand-ins with one fault each."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpubox.errors import EndpointError, PortInUseError, ServerError, ServerExitedError, ServerNotReadyError
from gpubox.server_process import ServerProcess, how_it_ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.conftest import Processes

pytestmark = pytest.mark.usefixtures("no_survivors")

STAND_IN = Path(__file__).with_name("stand_in_server.py")


@pytest.fixture
def stand_in(port: int, tmp_path: Path) -> Callable[..., ServerProcess]:
    def make(fault: str, **options: Any) -> ServerProcess:
        argv = [sys.executable, str(STAND_IN), fault, str(port)]
        log = tmp_path / "server.log"
        return ServerProcess(argv, url=f"http://127.0.0.1:{port}", log=log, name=fault, **options)

    return make


def test_a_real_server_becomes_ready_and_is_gone_after_the_block(
    launcher: tuple[str, ...], tiny_model: Path, port: int, tmp_path: Path, processes: Processes
) -> None:
    argv = [*launcher, "-m", str(tiny_model), "-c", "512", "-t", "1", "--port", str(port)]
    with ServerProcess(argv, url=f"http://127.0.0.1:{port}", log=tmp_path / "log") as server:
        assert server.wait_ready(60) > 0
        assert server.pid
        assert processes.is_alive(server.pid)
        assert server.status() is None
    assert server.status() == 0
    assert not processes.is_alive(server.pid)


def test_a_server_that_answers_only_after_its_load_is_noticed(stand_in: Callable[..., ServerProcess]) -> None:
    seen = []
    with stand_in("late") as server:
        server.wait_ready(30, lambda _, state: seen.append(state))
    assert seen[0] == "starting"


def test_progress_tells_the_seconds_and_the_state(stand_in: Callable[..., ServerProcess]) -> None:
    seen: list[tuple[float, str]] = []
    with stand_in("loading") as server, pytest.raises(ServerNotReadyError):
        server.wait_ready(1.2, lambda waited, state: seen.append((waited, state)))
    seconds = [waited for waited, _ in seen]
    assert seconds == sorted(seconds)
    assert seen[0][1] == "starting"
    assert seen[-1][1] == "loading"


def test_the_key_is_sent_with_the_first_completion(stand_in: Callable[..., ServerProcess]) -> None:
    with stand_in("ready", api_key="secret") as server:
        server.wait_ready(30)
    assert server.last_lines(2) == ["authorization: None", "authorization: Bearer secret"]


def test_a_server_that_exits_is_reported_with_its_last_lines(
    stand_in: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    with stand_in("exits") as server, pytest.raises(ServerExitedError) as caught:
        server.wait_ready(30)
    head = "exits: the server ended with exit status 3 before it was ready"
    remedy = f"its last lines should say why; all of them are in {tmp_path / 'server.log'}"
    tail = [f"  | line {number}" for number in range(11, 20)]
    assert str(caught.value).splitlines() == [f"{head}; {remedy}", *tail, "  | not UTF-8: \ufffd"]


def test_a_server_that_crashes_is_reported_with_the_signal(stand_in: Callable[..., ServerProcess]) -> None:
    with stand_in("crashes") as server, pytest.raises(ServerExitedError) as caught:
        server.wait_ready(30)
    assert caught.value.fault == "the server was ended by SIGABRT (Aborted) before it was ready"


def test_a_server_that_the_kernel_killed_points_to_the_memory(stand_in: Callable[..., ServerProcess]) -> None:
    with stand_in("killed") as server, pytest.raises(ServerExitedError) as caught:
        server.wait_ready(30)
    assert str(caught.value) == (
        "killed: the server was ended by SIGKILL (Killed) before it was ready; "
        "the kernel kills what exceeds the memory: look at `journalctl -k`"
    )


def test_a_server_that_dies_while_it_loads_is_reported(stand_in: Callable[..., ServerProcess]) -> None:
    with stand_in("dies-while-loading") as server, pytest.raises(ServerExitedError) as caught:
        server.wait_ready(30)
    assert caught.value.fault == "the server ended with exit status 1 before it was ready"
    assert caught.value.last_lines == ("loading tensors",)


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("silent", "it accepts connections but does not answer, as while loading"),
        ("loading", "it is still loading"),
    ],
)
def test_a_server_that_never_gets_ready_is_given_up_at_the_limit(
    fault: str, state: str, stand_in: Callable[..., ServerProcess]
) -> None:
    with stand_in(fault) as server, pytest.raises(ServerNotReadyError) as caught:
        server.wait_ready(1.5)
    assert str(caught.value).splitlines()[0] == (
        f"{fault}: the server was not ready within 1.5 s ({state}); "
        "raise health.start_timeout in the profile if the model needs longer to load"
    )


ANOTHER_FAMILY = (
    "URL/health: it does not answer as llama.cpp's family does (FOUND); "
    "check the address, and that the server there is llama.cpp or ik_llama.cpp"
)
ANOTHER_PROTOCOL = (
    "URL: what answers is not an HTTP server; check the address, and that the server there is llama.cpp or ik_llama.cpp"
)
WITHOUT_KEY = "URL: the server asks for an API key; name its file in security.api_key_file"
FAILED_COMPLETION = (
    'URL/completion: the first completion failed (HTTP 500: {"error":{"code":500,"message":"out of memory"}}); '
    "the server's log should say why"
)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("page", ANOTHER_FAMILY.replace("FOUND", "<!doctype html><title>Welcome</title>")),
        ("bare", ANOTHER_FAMILY.replace("FOUND", "")),
        ("not-found", ANOTHER_FAMILY.replace("FOUND", "HTTP 404")),
        ("garbage", ANOTHER_PROTOCOL),
        ("needs-key", WITHOUT_KEY),
        ("no-token", FAILED_COMPLETION),
    ],
)
def test_an_answer_that_is_not_the_familys_ends_the_wait(
    fault: str, message: str, stand_in: Callable[..., ServerProcess]
) -> None:
    with stand_in(fault) as server, pytest.raises(EndpointError) as caught:
        server.wait_ready(30)
    assert str(caught.value) == message.replace("URL", server.url)


def test_a_port_in_use_is_refused_before_the_start_and_names_the_holder(stand_in: Callable[..., ServerProcess]) -> None:
    server = stand_in("ready")
    with stand_in("ready") as first:
        first.wait_ready(30)
        with pytest.raises(PortInUseError) as caught, server:
            pytest.fail("it must not start")
    assert server.pid is None
    place = server.url.removeprefix("http://")
    assert re.fullmatch(
        rf"{place}: the port is in use by python\S* \(pid {first.pid}\); stop that server or choose another port",
        str(caught.value),
    )


def test_a_command_that_is_not_there_is_named(port: int, tmp_path: Path) -> None:
    server = ServerProcess(["no-such-server"], url=f"http://127.0.0.1:{port}", log=tmp_path / "log", name="glm")
    with pytest.raises(ServerError) as caught:
        server.start()
    assert str(caught.value) == "glm: no command no-such-server to start; install it or correct its path"


def test_a_log_that_cannot_be_written_is_named(port: int, tmp_path: Path) -> None:
    with pytest.raises(ServerError) as caught:
        ServerProcess(["true"], url=f"http://127.0.0.1:{port}", log=tmp_path).start()
    assert str(caught.value) == f"{tmp_path}: can't be written: Is a directory; choose another folder"


def test_the_server_gets_our_environment_with_additions(
    stand_in: Callable[..., ServerProcess], processes: Processes
) -> None:
    with stand_in("environment", env={"GPUBOX_A": "1"}) as server:
        assert processes.eventually(lambda: server.status() == 0)
    assert server.last_lines() == ["GPUBOX_A=1"]


def test_the_server_ignores_no_signal_that_python_ignores(port: int, tmp_path: Path, processes: Processes) -> None:
    argv = ["grep", "SigIgn", "/proc/self/status"]
    with ServerProcess(argv, url=f"http://127.0.0.1:{port}", log=tmp_path / "log") as server:
        assert processes.eventually(lambda: server.status() == 0)
    (line,) = server.last_lines()
    ignored = int(line.removeprefix("SigIgn:"), 16)
    assert [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> (number - 1) & 1] == []


def test_the_log_stays_bounded_and_its_last_lines_are_there(stand_in: Callable[..., ServerProcess]) -> None:
    limit = 50_000
    with stand_in("talks", log_limit=limit) as server:
        server.wait_ready(30)
        files = [server.log, Path(f"{server.log}.1")]
        assert all(0 < file.stat().st_size <= limit for file in files)
        assert server.last_lines(4)[:2] == ["line 19998", "line 19999"]
        assert len(server.last_lines(2000)) == 2000


def test_a_server_that_ignores_sigterm_is_killed_with_its_children(
    stand_in: Callable[..., ServerProcess], processes: Processes
) -> None:
    server = stand_in("stubborn")
    server.start()
    assert processes.eventually(lambda: server.last_lines() == ["stubborn"])
    server.stop(timeout_s=0.3)
    assert server.status() == -signal.SIGKILL
    server.stop()


def test_what_a_server_leaves_behind_ends_with_it(stand_in: Callable[..., ServerProcess], processes: Processes) -> None:
    with stand_in("leaves-a-child") as server:
        assert processes.eventually(lambda: server.status() == 0)


def test_an_exception_in_the_block_stops_the_server(
    stand_in: Callable[..., ServerProcess], processes: Processes
) -> None:
    with pytest.raises(KeyboardInterrupt), stand_in("silent") as server:
        raise KeyboardInterrupt
    assert server.pid
    assert not processes.is_alive(server.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_server_ends_with_us_however_we_end(
    number: signal.Signals, port: int, tmp_path: Path, processes: Processes
) -> None:
    pid = start_elsewhere("silent", port, tmp_path, number)
    assert processes.eventually(lambda: not processes.is_alive(pid))
    with socket.create_server(("127.0.0.1", port)):
        pass


def start_elsewhere(fault: str, port: int, folder: Path, number: signal.Signals) -> int:
    """Start a server from another Python process, end that process by a signal, and return the server's pid."""
    argv = [sys.executable, str(STAND_IN), fault, str(port)]
    code = (
        "import time; from pathlib import Path; from gpubox.server_process import ServerProcess\n"
        f"with ServerProcess({argv!r}, url='http://127.0.0.1:{port}', log=Path({str(folder / 'log')!r})) as server:\n"
        "    print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as other:
        assert other.stdout
        pid = int(other.stdout.readline())
        os.killpg(other.pid, number)
    return pid


def test_a_server_outlives_the_thread_that_started_it(stand_in: Callable[..., ServerProcess]) -> None:
    server = stand_in("ready")
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        server.wait_ready(30)
    finally:
        server.stop()


def test_the_server_ends_with_its_guard(stand_in: Callable[..., ServerProcess], processes: Processes) -> None:
    with stand_in("silent") as server:
        pid = server.pid
        assert pid
        guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(guard, signal.SIGKILL)
        assert processes.eventually(lambda: not processes.is_alive(pid))
        assert processes.eventually(lambda: server.status() == -signal.SIGKILL)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with exit status 0"),
        (134, "ended with exit status 134"),
        (-11, "was ended by SIGSEGV (Segmentation fault)"),
        (-99, "was ended by signal 99"),
    ],
)
def test_an_exit_status_is_put_in_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words
