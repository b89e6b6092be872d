"""A client for one llama.cpp-family HTTP endpoint, with a clock on every byte that matters.

Built on `http.client` so that nothing stands between the socket and the clock. One connection is kept and reused.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import urlsplit

from gpubox.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 600.0  # one long prompt on a slow box
MAX_ANSWER_BYTES = 64 << 20


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  # any JSON value
        """Return the body as JSON, or None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Event:
    """One server-sent event: when its line was complete (ms after the request's first byte) and its JSON."""

    at_ms: float
    data: dict[str, Any]


class Endpoint:
    """One endpoint by URL.

    Args:
        url: `http://host:port` (a path prefix is kept; `/v1` at its end is dropped).
        api_key: sent as a bearer token.
        timeout_s: longest silence while an answer is awaited.

    Raises:
        EndpointError: the URL is not an HTTP URL.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
            raise EndpointError(url, "is not an HTTP URL", "write http://HOST:PORT")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        self._prefix = urlsplit(self.url).path
        self._headers = {"Content-Type": "application/json", "User-Agent": "gpubox"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout_s = timeout_s
        self._connection = (
            http.client.HTTPSConnection(parts.hostname, port, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, port)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        self._connection.close()

    def get(self, path: str, *, timeout_s: float | None = None) -> Answer:
        """GET `path` and return the whole answer, whatever its status."""
        return self._whole("GET", path, None, timeout_s)

    def post(self, path: str, body: object, *, timeout_s: float | None = None) -> Answer:
        """POST `body` as JSON and return the whole answer, whatever its status."""
        return self._whole("POST", path, body, timeout_s)

    def post_json(self, path: str, body: object) -> dict[str, Any]:
        """POST `body` and return the JSON object of a 200 answer.

        Raises:
            EndpointError: no connection, another status, or no JSON object.
        """
        answer = self.post(path, body)
        if answer.status != 200:
            raise EndpointError(self.url + path, f"answered {answer.status}: {error_text(answer)}")
        value = answer.json()
        if not isinstance(value, dict):
            raise EndpointError(self.url + path, "answered no JSON object", "is this a llama.cpp-family server?")
        return value

    def stream(self, path: str, body: object) -> Iterator[Event]:
        """POST `body` and yield the server-sent events of the answer as they arrive.

        The clock starts when the request's first byte is handed to the kernel. `[DONE]` is not yielded.

        Raises:
            EndpointError: no connection, another status than 200, no event stream, or the connection broke.
        """
        response, sent = self._send("POST", path, body, self._timeout_s)
        if response.status != 200:
            answer = self._read(response, path)
            raise EndpointError(self.url + path, f"answered {answer.status}: {error_text(answer)}")
        if "text/event-stream" not in response.headers.get("Content-Type", ""):
            self.close()
            raise EndpointError(self.url + path, "does not stream", "is this a llama.cpp-family server?")
        finished = False
        try:
            while line := response.readline():
                at_ms = (time.perf_counter() - sent) * 1e3
                if not line.startswith(b"data:"):
                    if line.startswith(b"error:"):
                        raise EndpointError(self.url + path, f"failed: {line[6:].decode(errors='replace').strip()}")
                    continue
                payload = line[5:].strip()
                if payload == b"[DONE]":
                    continue
                yield Event(at_ms, self._event(payload, path))
            finished = response.isclosed()
        except (OSError, http.client.HTTPException) as error:
            self._broken(path, error)
        finally:
            if not finished:
                self.close()

    def _event(self, payload: bytes, path: str) -> dict[str, Any]:
        try:
            data = json.loads(payload)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            shown = payload[:80].decode(errors="replace")
            raise EndpointError(self.url + path, f"streamed something that is not a JSON object: {shown}")
        if "error" in data:
            error = data["error"]
            raise EndpointError(
                self.url + path, f"failed: {error.get('message') if isinstance(error, dict) else error}"
            )
        return data

    def _whole(self, method: str, path: str, body: object, timeout_s: float | None) -> Answer:
        response, _ = self._send(method, path, body, timeout_s or self._timeout_s)
        return self._read(response, path)

    def _read(self, response: http.client.HTTPResponse, path: str) -> Answer:
        try:
            raw = response.read(MAX_ANSWER_BYTES)
            if response.length and len(raw) < MAX_ANSWER_BYTES:  # `read(n)` does not complain of a short body
                raise http.client.IncompleteRead(raw, response.length)
        except (OSError, http.client.HTTPException) as error:
            self._broken(path, error)
        if not response.isclosed():  # more than we would ever want: don't read it as the next answer
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, raw)

    def _send(self, method: str, path: str, body: object, timeout_s: float) -> tuple[http.client.HTTPResponse, float]:
        payload = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        for attempt in (1, 2):
            fresh = self._connection.sock is None
            try:
                if fresh:
                    self._connection.timeout = CONNECT_TIMEOUT_S
                    self._connection.connect()
                assert self._connection.sock is not None
                self._connection.sock.settimeout(timeout_s)
                sent = time.perf_counter()
                self._connection.request(method, self._prefix + path, payload, self._headers)
                return self._connection.getresponse(), sent
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                self.close()
                if fresh or attempt == 2:  # a kept connection may have been closed while idle: try once anew
                    self._broken(path, error)
            except (OSError, http.client.HTTPException) as error:
                self._broken(path, error)
        raise AssertionError

    def _broken(self, path: str, error: Exception) -> NoReturn:
        self.close()
        remedy = "is the server running there?"
        if isinstance(error, TimeoutError):
            fault = "did not answer in time"
            remedy = "ik_llama.cpp keeps connections waiting while it loads a model; wait, or raise --timeout"
        elif isinstance(error, ConnectionRefusedError):
            fault = "refuses connections"
        elif isinstance(error, http.client.IncompleteRead):
            fault, remedy = "broke off in the middle of an answer", "look at the server's log"
        elif isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
            fault, remedy = "closed the connection without an answer", "look at the server's log"
        elif isinstance(error, http.client.HTTPException):
            fault, remedy = "does not speak HTTP", "is the port right?"
        elif isinstance(error, ssl.SSLError):
            fault, remedy = f"TLS failed: {error.reason}", "check http:// or https://, and the certificate"
        else:
            fault = f"can't be reached: {getattr(error, 'strerror', None) or error}"
        raise EndpointError(self.url + path, fault, remedy) from None


def error_text(answer: Answer) -> str:
    """Return what an error answer says, in one line of at most 200 characters."""
    value = answer.json()
    error = value.get("error", value) if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    text = str(message) if message else answer.body.decode(errors="replace")
    return " ".join(text.split())[:200] or "nothing"
