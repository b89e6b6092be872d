"""A GGUF on an HTTP(S) server that answers range requests.

Apart from other sources, since Python's HTTP client takes a while to import and most models are local.
"""

from __future__ import annotations

import http.client
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from gpubox import __version__
from gpubox.errors import ModelFileError
from gpubox.gguf_source import reason_of

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self
    from urllib.parse import SplitResult

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpSource:
    """A file on an HTTP(S) server, read by range requests over one connection.

    Redirects are followed, also to another host. The token goes to the host that the URL names and to no other, since
    hubs redirect to storage that signs its URLs instead.

    Args:
        url: `http://` or `https://`.
        token_file: file with the bearer token, or None.
        timeout: seconds that connecting and each read may take.

    Raises:
        ModelFileError: if the server can't be reached, refuses, or does not support range requests.
    """

    def __init__(self, url: str, token_file: str | os.PathLike[str] | None = None, timeout: float = 30) -> None:
        self._url = urlsplit(url)
        # User, query and fragment may hold secrets.
        self.place = urlunsplit((self._url.scheme, _host(self._url), self._url.path, "", ""))
        self._origin = (self._url.scheme, _host(self._url))
        self._token = _read_token(token_file) if token_file is not None else None
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self.size, self._opening = self._fetch(0, 64 * 1024)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; the server may give fewer at a time, but at least one."""
        if offset < len(self._opening):
            return self._opening[offset : offset + length]
        if offset >= self.size:
            return b""
        size, piece = self._fetch(offset, min(length, self.size - offset))
        if size != self.size:
            raise ModelFileError(self.place, "changed while it was being read", "try again")
        return piece

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _fetch(self, offset: int, length: int) -> tuple[int, bytes]:
        """Return the file's size and the bytes from `offset`."""
        try:
            answer = self._answer(offset, length)
            size, expected = self._extent(answer, offset, length)
            piece = answer.read(expected)
            answer.close()
        except http.client.IncompleteRead as error:
            piece, expected = error.partial, len(error.partial) + (error.expected or 0)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            raise ModelFileError(
                self.place, f"can't be read: {_reason(error)}", "check the URL and the network"
            ) from None
        if len(piece) < expected:
            self.close()
            fault = f"the answer ended after {len(piece)} of {expected} bytes"
            raise ModelFileError(self.place, fault, "try again")
        return size, piece

    def _answer(self, offset: int, length: int) -> http.client.HTTPResponse:
        """Send the request, follow redirects, and return the answer that is not one."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._send(offset, length)
            if answer.status not in _REDIRECTS:
                return answer
            target = answer.getheader("Location")
            self.close()
            if not target:
                raise ModelFileError(self.place, f"redirects (HTTP {answer.status}) to nowhere", "check the URL")
            redirected = urlsplit(urljoin(urlunsplit(self._url), target))
            if redirected.scheme not in {"http", "https"} or not redirected.hostname:
                raise ModelFileError(self.place, "redirects to something that is no HTTP URL", "check the URL")
            if self._url.scheme == "https" and redirected.scheme == "http":
                raise ModelFileError(self.place, "redirects from https to http", "check the URL")
            self._url = redirected
        raise ModelFileError(self.place, f"redirects more than {_MAX_REDIRECTS} times", "check the URL")

    def _send(self, offset: int, length: int) -> http.client.HTTPResponse:
        if self._connection is None:
            secure = self._url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout)
        headers = {
            "Accept-Encoding": "identity",
            "Range": f"bytes={offset}-{offset + length - 1}",
            "User-Agent": f"gpubox/{__version__}",
        }
        if self._token is not None and (self._url.scheme, _host(self._url)) == self._origin:
            headers["Authorization"] = f"Bearer {self._token}"
        target = urlunsplit(("", "", quote(self._url.path or "/", safe="/%:@!$&'()*+,;=~"), self._url.query, ""))
        self._connection.request("GET", target, headers=headers)
        return self._connection.getresponse()

    def _extent(self, answer: http.client.HTTPResponse, offset: int, length: int) -> tuple[int, int]:
        """Return the file's size and how many bytes the answer carries; refuse what is not the asked range."""
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            self.close()
            raise ModelFileError(self.place, *self._refusal(answer.status))
        described = answer.getheader("Content-Range") or ""
        match = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", described.strip())
        start, end, size = (int(group) for group in match.groups()) if match else (-1, -1, -1)
        if not offset == start <= end < min(size, offset + length) or answer.getheader("Content-Encoding"):
            self.close()
            fault = (
                f"asked for bytes {offset}-{offset + length - 1}, the server gave {described or 'no Content-Range'!r}"
            )
            raise ModelFileError(self.place, fault, "download the file first")
        return size, end - start + 1

    def _refusal(self, status: int) -> tuple[str, str]:
        """Return fault and remedy of an answer that carries no range."""
        if status == 200:
            return "the server does not support range requests", "download the file first"
        if status in {401, 403}:
            remedy = "check the token and its rights" if self._token else "name a token file"
            return f"access denied (HTTP {status})", remedy
        if status in {404, 410}:
            return f"not found (HTTP {status})", "check repository, revision and file name"
        if status == 416:
            return "is empty (HTTP 416)", "check the URL"
        if status == 429 or status >= 500:
            return f"the server failed (HTTP {status})", "try again later"
        return f"unexpected answer (HTTP {status})", "check the URL"


def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _read_token(path: str | os.PathLike[str]) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise ModelFileError(str(path), "the token file does not exist", "check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(str(path), f"the token file can't be read: {_reason(error)}") from None
    if not re.fullmatch(r"[!-~]+", token):
        raise ModelFileError(str(path), "the token file does not hold one token", "write the token on one line")
    return token


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return f"the answer is not HTTP ({type(error).__name__})"
    return reason_of(error)
