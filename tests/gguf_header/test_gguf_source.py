"""Reading a header over HTTP: what is asked, what is transferred, and what is said when the server does not play along."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import glm52
import pytest
from gguf_writer import write_gguf, write_split
from range_server import answer, serving

from gpubox.errors import ModelFileError
from gpubox.gguf import read_header

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path


def message(url: str, token_file: Path | None = None) -> str:
    with pytest.raises(ModelFileError) as error:
        read_header(url, token_file)
    return str(error.value).replace(url.partition("?")[0], "{}")


def test_a_remote_header_reads_as_the_local_one_and_costs_its_size_and_at_most_a_mebibyte(tmp_path: Path) -> None:
    path = glm52.write_glm52(tmp_path / "glm.gguf", "1.630", tokens=100_000)
    local = read_header(path)
    with serving(tmp_path) as server:
        remote = read_header(f"{server.url}/glm.gguf")
    assert (remote.metadata, remote.tensors) == (local.metadata, local.tensors)
    assert (remote.file_size, remote.data_offset) == (local.file_size, local.data_offset)
    assert local.data_offset <= server.sent <= local.data_offset + 2**20


def test_a_remote_split_model_keeps_its_query(tmp_path: Path) -> None:
    write_split(tmp_path, "m", [[("a", "f32", (8,))], [("b", "f32", (8,))]])
    with serving(tmp_path) as server:
        header = read_header(f"{server.url}/m-00001-of-00002.gguf?download=true")
    assert [tensor.name for tensor in header.tensors] == ["a", "b"]
    assert {request[0] for request in server.requests} == {
        "/m-00001-of-00002.gguf?download=true",
        "/m-00002-of-00002.gguf?download=true",
    }
    assert [part.place for part in header.parts] == [
        f"{server.url}/m-00001-of-00002.gguf",
        f"{server.url}/m-00002-of-00002.gguf",
    ]


def test_the_token_goes_to_the_named_host_only(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf")
    (tmp_path / "token").write_text("hf_secret\n")
    with serving(tmp_path) as storage:

        def redirect(handler: BaseHTTPRequestHandler) -> bool:
            if handler.path == "/old":
                return answer(handler, 307, headers={"Location": "/new"})
            return answer(handler, 302, headers={"Location": f"{storage.url}/m.gguf?signed=1"})

        with serving(tmp_path, redirect) as hub:
            header = read_header(f"{hub.url}/old", tmp_path / "token")
    assert header.architecture == "llama"
    assert [(path, token) for path, _, token in hub.requests] == [
        ("/old", "Bearer hf_secret"),
        ("/new", "Bearer hf_secret"),
    ]
    assert {(path, token) for path, _, token in storage.requests} == {("/m.gguf?signed=1", None)}


def test_a_server_may_give_less_at_a_time_and_close_the_connection(tmp_path: Path) -> None:
    content = write_gguf(tmp_path / "m.gguf").read_bytes()

    def miserly(handler: BaseHTTPRequestHandler) -> bool:
        start = int(handler.headers["Range"].removeprefix("bytes=").split("-")[0])
        piece = content[start : start + 10]
        described = f"bytes {start}-{start + len(piece) - 1}/{len(content)}"
        handler.close_connection = True
        return answer(handler, 206, piece, {"Content-Range": described, "Connection": "close"})

    with serving(tmp_path, miserly) as server:
        assert read_header(f"{server.url}/m.gguf").architecture == "llama"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, "the server does not support range requests; download the file first"),
        (401, "access denied (HTTP 401); name a token file"),
        (403, "access denied (HTTP 403); name a token file"),
        (404, "not found (HTTP 404); check repository, revision and file name"),
        (416, "is empty (HTTP 416); check the URL"),
        (429, "the server failed (HTTP 429); try again later"),
        (503, "the server failed (HTTP 503); try again later"),
        (418, "unexpected answer (HTTP 418); check the URL"),
        (302, "redirects (HTTP 302) to nowhere; check the URL"),
    ],
)
def test_an_answer_without_a_range(tmp_path: Path, status: int, said: str) -> None:
    with serving(tmp_path, lambda handler: answer(handler, status, b"body")) as server:
        assert message(f"{server.url}/m.gguf") == f"{{}}: {said}"


def test_a_refused_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_secret")
    with serving(tmp_path, lambda handler: answer(handler, 401)) as server:
        said = message(f"{server.url}/m.gguf", tmp_path / "token")
    assert said == "{}: access denied (HTTP 401); check the token and its rights"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/m.gguf", "redirects more than 5 times; check the URL"),
        ("file:///etc/passwd", "redirects to something that is no HTTP URL; check the URL"),
        ("https:///m.gguf", "redirects to something that is no HTTP URL; check the URL"),
    ],
)
def test_a_redirect_that_leads_nowhere(tmp_path: Path, target: str, said: str) -> None:
    with serving(tmp_path, lambda handler: answer(handler, 302, headers={"Location": target})) as server:
        assert message(f"{server.url}/m.gguf") == f"{{}}: {said}"


@pytest.mark.parametrize(
    ("described", "shown"),
    [
        (None, "'no Content-Range'"),
        ("bytes 5-9/100", "'bytes 5-9/100'"),
        ("bytes 0-9/*", "'bytes 0-9/*'"),
        ("bytes 0-9/5", "'bytes 0-9/5'"),
        ("bytes 0-99999999/999999999", "'bytes 0-99999999/999999999'"),
    ],
)
def test_a_range_that_was_not_asked_for(tmp_path: Path, described: str | None, shown: str) -> None:
    headers = {"Content-Range": described} if described else {}
    with serving(tmp_path, lambda handler: answer(handler, 206, b"GGUF......", headers)) as server:
        said = message(f"{server.url}/m.gguf")
    assert said == f"{{}}: asked for bytes 0-65535, the server gave {shown}; download the file first"


def test_an_answer_that_ends_early(tmp_path: Path) -> None:
    def short(handler: BaseHTTPRequestHandler) -> bool:
        handler.close_connection = True
        return answer(handler, 206, b"GGUF", {"Content-Range": "bytes 0-99/100"}, length=100)

    with serving(tmp_path, short) as server:
        assert message(f"{server.url}/m.gguf") == "{}: the answer ended after 4 of 100 bytes; try again"


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", glm52.metadata(tokens=10_000))

    def change(_: BaseHTTPRequestHandler) -> bool:
        if server.requests[1:]:
            path.write_bytes(path.read_bytes()[:100_000])
        return False

    with serving(tmp_path, change) as server:
        assert message(f"{server.url}/m.gguf") == "{}: changed while it was being read; try again"


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/m.gguf"
        assert message(url) == "{}: can't be read: connection refused; check the URL and the network"


def test_a_server_that_does_not_speak_http(tmp_path: Path) -> None:
    def babble(handler: BaseHTTPRequestHandler) -> bool:
        handler.close_connection = True
        handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")
        return True

    with serving(tmp_path, babble) as server:
        said = message(f"{server.url}/m.gguf")
    assert said == "{}: can't be read: the answer is not HTTP (BadStatusLine); check the URL and the network"


def test_a_url_that_is_none() -> None:
    said = message("http://127.0.0.1:port/m.gguf")
    assert re.fullmatch(r"\{\}: can't be read: port could not be cast.*; check the URL and the network", said)


def test_a_user_in_the_url_is_not_shown(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        url = server.url.replace("//", "//user:secret@") + "/m.gguf?key=secret"
        assert "secret" not in message(url)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "the token file does not exist; check the path"),
        (b"", "the token file does not hold one token; write the token on one line"),
        (b"a b", "the token file does not hold one token; write the token on one line"),
        (b"a\r\nHost: b", "the token file does not hold one token; write the token on one line"),
    ],
)
def test_a_token_file_that_holds_no_token(tmp_path: Path, content: bytes | None, said: str) -> None:
    token_file = tmp_path / "token"
    if content is not None:
        token_file.write_bytes(content)
    assert message("http://127.0.0.1/m.gguf", token_file) == f"{token_file}: {said}"
