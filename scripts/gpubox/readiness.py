"""Is a llama.cpp-family server ready: it says so, and it has answered a completion of one token.

The two engines load differently. llama.cpp answers `503` while it loads. ik_llama.cpp binds its socket first and
serves it after the load, so that a connection is accepted by the kernel and then hangs; the answer comes on that very
connection when the server is ready. So one connection is kept and watched rather than many given up: each one given
up stays in the server's short accept queue, and a full queue would make the last one, the one that matters, late.
"""

from __future__ import annotations

import json
import select
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from gpubox.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

State = Literal["starting", "loading", "silent", "first token", "ready"]

INTERVAL_S = 0.05
ANSWER_S = 2.0  # from an answer's first byte to its last
NOT_OURS = "it does not answer as llama.cpp's family does"
REMEDY = "check the address, and that the server there is llama.cpp or ik_llama.cpp"


def probe_until_ready(url: str, api_key: str | None = None) -> Iterator[State]:
    """Probe a server for ever, until it is ready; the caller decides when to give up.

    Args:
        url: `http://HOST:PORT`.
        api_key: for the completion; `/health` needs none.

    Yields:
        What the server does, every 50 ms or sooner; `ready` once, as the last.

    Raises:
        EndpointError: an answer that a server of llama.cpp's family would not give, or a refused completion.
    """
    while True:
        status, body = yield from _exchange(url, "/health", "silent")
        if status == 200:
            _check_health(url, body)
            break
        if status not in {0, 503}:
            raise EndpointError(f"{url}/health", f"{NOT_OURS} (HTTP {status})", REMEDY)
        yield "loading" if status else "starting"
        time.sleep(INTERVAL_S)

    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    question = json.dumps({"prompt": "Hi", "n_predict": 1, "cache_prompt": False})
    while True:
        status, body = yield from _exchange(url, "/completion", "first token", question, headers)
        if status == 200:
            break
        if status == 401:
            raise EndpointError(url, "the server asks for an API key", "name its file in security.api_key_file")
        if status not in {0, 503}:
            fault = f"the first completion failed (HTTP {status}: {_excerpt(body)})"
            raise EndpointError(f"{url}/completion", fault, "the server's log should say why")
        yield "first token"
        time.sleep(INTERVAL_S)
    yield "ready"


def _exchange(
    url: str,
    path: str,
    while_waiting: State,
    body: str | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Generator[State, None, tuple[int, bytes]]:
    """Make one request, yielding while no answer comes; return (HTTP status, body), (0, b"") without an answer."""
    # It takes longer to import than all of ours.
    from http.client import BadStatusLine, HTTPConnection, HTTPException, RemoteDisconnected  # noqa: PLC0415

    where = urlsplit(url)
    connection = HTTPConnection(where.hostname or "127.0.0.1", where.port or 80, timeout=ANSWER_S)
    try:
        connection.request("POST" if body else "GET", f"{where.path.rstrip('/')}{path}", body, headers)
        while not select.select([connection.sock], [], [], INTERVAL_S)[0]:
            yield while_waiting
        answer = connection.getresponse()
        return answer.status, answer.read()
    except BadStatusLine as exc:
        if isinstance(exc, RemoteDisconnected):
            return 0, b""
        raise EndpointError(url, "what answers is not an HTTP server", REMEDY) from exc
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def _check_health(url: str, body: bytes) -> None:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("status") != "ok":
        raise EndpointError(f"{url}/health", f"{NOT_OURS} ({_excerpt(body)})", REMEDY)


def _excerpt(body: bytes) -> str:
    text = " ".join(body.decode("utf-8", "replace").split())
    return text if len(text) <= 80 else f"{text[:79]}…"
