"""What the engine's tests share: the tiny model, a real llama.cpp serving it, and a check that no process survives."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpubox.server_process import ServerProcess
from gpubox.tiny_model import make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAUNCHER = (sys.executable, "-m", "gpubox.llama_launcher")


@pytest.fixture(scope="session")
def launcher() -> tuple[str, ...]:
    return LAUNCHER


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Llama:
    """A client of one endpoint: just enough HTTP."""

    def __init__(self, url: str) -> None:
        self.address = url.removeprefix("http://")

    def get(self, path: str) -> tuple[int, Any, dict[str, str]]:
        """Return status, body (decoded where it is JSON) and headers."""
        return self._request("GET", path, None)

    def post(self, path: str, body: object) -> tuple[int, Any, dict[str, str]]:
        """Send JSON; return as `get` does."""
        return self._request("POST", path, json.dumps(body))

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            raw = answer.read().decode()
            is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
            return answer.status, json.loads(raw) if is_json else raw, dict(answer.getheaders())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def llama(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """Serve the tiny model with llama.cpp, once for a module."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
    url = f"http://127.0.0.1:{number}"
    options = f"-c 2048 -t 2 -np 1 --metrics --alias tiny --spec-type ngram-simple --port {number}".split()
    log = tmp_path_factory.mktemp("llama") / "server.log"
    with ServerProcess([*LAUNCHER, "-m", str(tiny_model), *options], url=url, log=log) as server:
        server.wait_ready(60)
        yield Llama(url)


@pytest.fixture
def no_survivors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test when a process that it started, directly or not, lives on after it."""
    mark = f"GPUBOX_TEST_MARK={uuid.uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))
    yield
    assert [command for command in _commands_with(mark.encode()) if command] == []


def _commands_with(mark: bytes) -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes():
                yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


class Processes:
    """Questions about other processes."""

    @staticmethod
    def is_alive(pid: int) -> bool:
        """Whether a process runs; a zombie doesn't."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    @staticmethod
    def catches(pid: int, number: int) -> bool:
        """Whether a process has a handler for a signal."""
        caught = re.search(r"^SigCgt:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return bool(caught and int(caught[1], 16) >> (number - 1) & 1)

    @staticmethod
    def eventually(condition: Callable[[], bool], limit_s: float = 10) -> bool:
        """Poll a condition until it holds; False at the limit, which a test that passes never reaches."""
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture(scope="session")
def source_folder() -> Path:
    import gpubox

    return Path(os.fspath(gpubox.__file__)).parent.parent
