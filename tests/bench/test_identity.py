"""Who answers at an endpoint, and what is said when it is nobody we know."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from gpubox.bench.identity import identify
from gpubox.endpoint import Endpoint
from gpubox.errors import EndpointError
from standin.start import standin

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def server_that_answers(status: int, body: bytes, content_type: str) -> Iterator[str]:
    """Serve one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the base class looks for this name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def socket_that(answers: bytes | None) -> Iterator[str]:
    """Accept connections, read a little, send `answers` and close; None: never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if answers is not None:
                    connection.recv(65_536)
                    connection.sendall(answers)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for connection in held:
            connection.close()


def refusal(url: str, timeout_s: float = 5.0) -> str:
    with Endpoint(url, timeout_s=timeout_s) as endpoint, pytest.raises(EndpointError) as caught:
        identify(endpoint)
    return str(caught.value).replace(url, "URL")


@pytest.mark.parametrize("engine", ["ik_llama", "llama_cpp"])
def test_the_engine_is_recognised(engine: str) -> None:
    with standin("--engine", engine, "--n-ctx", "4096") as url, Endpoint(url) as endpoint:
        identity = identify(endpoint)
    assert (identity.engine, identity.n_ctx, identity.slots, identity.model_name) == (engine, 4096, 1, "standin")


def test_a_v1_suffix_of_the_url_is_dropped() -> None:
    with standin() as url, Endpoint(f"{url}/v1/") as endpoint:
        assert identify(endpoint).engine == "llama_cpp"


def test_a_web_page_is_not_a_server_of_the_family() -> None:
    with server_that_answers(200, b"<html></html>", "text/html; charset=utf-8") as url:
        message = refusal(url)
    assert message == (
        "URL: is not a llama.cpp-family server: POST /tokenize answered 200 with text/html, not with tokens; "
        "give the URL of llama-server itself"
    )


def test_another_api_is_not_a_server_of_the_family() -> None:
    with server_that_answers(404, json.dumps({"detail": "Not Found"}).encode(), "application/json") as url:
        message = refusal(url)
    assert message == (
        "URL: is not a llama.cpp-family server: POST /tokenize answered 404 with application/json, not with tokens; "
        "give the URL of llama-server itself"
    )


def test_a_server_that_wants_a_key_says_so() -> None:
    with server_that_answers(401, b'{"error": {"message": "Invalid API Key"}}', "application/json") as url:
        assert refusal(url) == "URL: wants an API key (answered 401); give its key with --api-key-file"


def test_a_loading_server_says_so() -> None:
    with standin("--load-s", "60") as url:
        assert refusal(url) == "URL: is still loading its model; wait until it is ready"


def test_a_port_without_a_server_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert refusal(f"http://127.0.0.1:{port}") == "URL/props: refuses connections; is the server running there?"


def test_a_server_that_hangs_up_is_named() -> None:
    with socket_that(b"") as url:
        assert refusal(url) == "URL/props: closed the connection without an answer; look at the server's log"


def test_a_server_that_does_not_speak_http_is_named() -> None:
    with socket_that(b"SSH-2.0-OpenSSH_9.9\r\n") as url:
        assert refusal(url) == "URL/props: does not speak HTTP; is the port right?"


def test_an_answer_that_breaks_off_is_named() -> None:
    with socket_that(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") as url:
        assert refusal(url) == "URL/props: broke off in the middle of an answer; look at the server's log"


def test_a_server_that_says_nothing_runs_into_the_time_limit() -> None:
    with socket_that(None) as url, Endpoint(url, timeout_s=0.2) as endpoint, pytest.raises(EndpointError) as caught:
        endpoint.get("/health")
    assert str(caught.value).replace(url, "URL") == (
        "URL/health: did not answer in time; "
        "ik_llama.cpp keeps connections waiting while it loads a model; wait, or raise --timeout"
    )


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "http://host:99999", ""])
def test_what_is_not_an_http_url_is_refused(url: str) -> None:
    with pytest.raises(EndpointError) as caught:
        Endpoint(url)
    assert str(caught.value) == f"{url}: is not an HTTP URL; write http://HOST:PORT"


def test_a_kept_connection_that_the_server_closed_is_opened_anew() -> None:
    once = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"  # answers, then closes without saying so
    with socket_that(once) as url, Endpoint(url) as endpoint:
        assert [endpoint.get("/").status for _ in range(3)] == [200, 200, 200]
