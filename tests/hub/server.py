"""A small hub on loopback that speaks what huggingface_hub's client asks for, and fails the way hubs and networks fail.

Two servers, as in real life: the hub answers questions and sends every reader of a file on to a store at another address,
which serves bytes to whoever has the signed URL and must never see a token.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

SIGNATURE = "sig-2f6a"


@dataclass
class Faults:
    """What goes wrong; tests switch it while the hub runs.

    Attributes:
        drop_at_tenths: every connection breaks at the next tenth of the file.
        wrong_bytes: the store sends one flipped byte in the middle of each file; the size is right.
        ignore_ranges: the store always sends the whole file.
        bytes_per_s: speed of one connection to the store; None for as fast as it goes.
        hub_answers: status and headers that the hub gives instead of its next answers, one each.
        store_answers: likewise for the store.
    """

    drop_at_tenths: bool = False
    wrong_bytes: bool = False
    ignore_ranges: bool = False
    bytes_per_s: float | None = None
    hub_answers: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    store_answers: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)


@dataclass(frozen=True)
class HubFile:
    """A file of a repository; `lfs` as the hub keeps every large one, `claimed_size` to lie about its size."""

    path: Path
    lfs: bool = True
    claimed_size: int | None = None

    @property
    def size(self) -> int:
        """Bytes, as the hub tells them."""
        return self.path.stat().st_size if self.claimed_size is None else self.claimed_size

    @property
    def etag(self) -> str:
        """SHA-256 of a large file; Git's blob id of a small one."""
        if self.lfs:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        content = self.path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Repository:
    """One commit of a repository, public unless it names a token."""

    name: str
    revision: str
    files: Mapping[str, HubFile]
    token: str | None = None
    gated: bool = False


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    server: str
    method: str
    path: str
    range: str | None
    authorization: str | None


class Hub:
    """The two servers, on threads of this process; a context manager.

    Args:
        repositories: what is on it.
        host: address to listen on.
        seen_as: the same address as readers know it, where that is another one.

    Attributes:
        faults: what goes wrong at the moment.
        asked: every request, in the order of arrival.
        most_at_once: answers of the store that were under way at the same time.
        endpoint: URL of the hub.
        store: URL of the store.
    """

    def __init__(self, *repositories: Repository, host: str = "127.0.0.1", seen_as: str = "") -> None:
        self.repositories = {repository.name: repository for repository in repositories}
        self.faults = Faults()
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._sending = 0
        self._counting = threading.Lock()
        self._servers = [_Server((host, 0), handler, self) for handler in (_HubHandler, _StoreHandler)]
        self.endpoint, self.store = (f"http://{seen_as or host}:{server.server_port}" for server in self._servers)
        self._etags = {repository.name: {n: f.etag for n, f in repository.files.items()} for repository in repositories}

    def etag(self, repository: Repository, name: str) -> str:
        """Return a file's ETag, computed once."""
        return self._etags[repository.name][name]

    def file_with(self, etag: str) -> HubFile | None:
        """Return the file whose bytes an address of the store stands for."""
        for repository in self.repositories.values():
            for name, file in repository.files.items():
                if self.etag(repository, name) == etag:
                    return file
        return None

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Count the files that the store sends at the same time, into `most_at_once`."""
        with self._counting:
            self._sending += 1
            self.most_at_once = max(self.most_at_once, self._sending)
        try:
            yield
        finally:
            with self._counting:
                self._sending -= 1

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler], hub: Hub) -> None:
        self.hub = hub
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients that break off are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    name: str

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._serve()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def _serve(self) -> None:
        hub = self.server.hub
        get = self.headers.get
        hub.asked.append(Asked(self.name, self.command, self.path, get("Range"), get("Authorization")))
        queued = hub.faults.hub_answers if self.name == "hub" else hub.faults.store_answers
        if queued:
            self._answer(*queued.popleft())
        else:
            self._serve_well(hub, unquote(urlsplit(self.path).path))

    def _serve_well(self, hub: Hub, path: str) -> None:
        raise NotImplementedError

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _HubHandler(_Handler):
    name = "hub"

    def _serve_well(self, hub: Hub, path: str) -> None:
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = api or file
        repository = hub.repositories.get(found[1]) if found else None
        if found is None or repository is None:
            self._refuse(404, "RepoNotFound", "Repository not found")
        elif self._may_read(repository):
            revision = found[3] if api else found[2]
            if revision != repository.revision:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            elif api:
                self._tell(hub, repository, tree=found[2] == "tree")
            else:
                self._resolve(hub, repository, found[3])

    def _may_read(self, repository: Repository) -> bool:
        authorization = self.headers.get("Authorization")
        if repository.gated:
            self._refuse(403, "GatedRepo", "Access to this model is restricted")
            return False
        if repository.token is None or authorization == f"Bearer {repository.token}":
            return True
        if authorization:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        else:
            self._refuse(401, "RepoNotFound", "Repository not found")
        return False

    def _tell(self, hub: Hub, repository: Repository, *, tree: bool) -> None:
        files = []
        for name, file in repository.files.items():
            etag = hub.etag(repository, name)
            lfs = {"size": file.size, "sha256": etag, "oid": etag, "pointerSize": 135} if file.lfs else None
            blob_id = hashlib.sha1(etag.encode(), usedforsecurity=False).hexdigest() if file.lfs else etag
            if tree:
                entry = {"type": "file", "path": name, "oid": blob_id, "size": file.size}
            else:
                entry = {"rfilename": name, "blobId": blob_id, "size": file.size}
            files.append(entry | ({"lfs": lfs} if lfs else {}))
        answer: Any = files if tree else {"id": repository.name, "sha": repository.revision, "siblings": files}
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _resolve(self, hub: Hub, repository: Repository, name: str) -> None:
        file = repository.files.get(name)
        if file is None:
            self._refuse(404, "EntryNotFound", "Entry not found", repository.revision)
            return
        etag = hub.etag(repository, name)
        headers = {
            "X-Repo-Commit": repository.revision,
            "X-Linked-Size": str(file.size),
            "X-Linked-Etag": f'"{etag}"',
            "ETag": f'"{etag}"',
            "Location": f"{hub.store}/{etag}?signature={SIGNATURE}",
        }
        self._answer(302, headers)

    def _refuse(self, status: int, code: str, message: str, revision: str = "") -> None:
        self._answer(status, {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": revision})


class _StoreHandler(_Handler):
    name = "store"

    def _serve_well(self, hub: Hub, path: str) -> None:
        signed = parse_qs(urlsplit(self.path).query).get("signature") == [SIGNATURE]
        file = hub.file_with(path.removeprefix("/"))
        if not signed or file is None or self.headers.get("Authorization"):
            self._answer(403, {})
            return
        size = file.path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = 0, size
        if asked and not hub.faults.ignore_ranges:
            start, end = int(asked[1]), min(int(asked[2]) + 1, size) if asked[2] else size
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command != "HEAD":
            with hub.sending():
                self._send(hub.faults, file, start, end)

    def _send(self, faults: Faults, file: HubFile, start: int, end: int) -> None:
        size = file.path.stat().st_size
        if faults.drop_at_tenths:
            tenth = size // 10
            end = min(end, (start // tenth + 1) * tenth)
            self.close_connection = True
        with file.path.open("rb") as opened:
            if not faults.wrong_bytes and faults.bytes_per_s is None:
                self.connection.sendfile(opened, start, end - start)
                return
            step = 65_536 if faults.bytes_per_s is None else max(int(faults.bytes_per_s / 50), 1)
            for at in range(start, end, step):
                opened.seek(at)
                piece = bytearray(opened.read(min(step, end - at)))
                if faults.wrong_bytes and at <= size // 2 < at + len(piece):
                    piece[size // 2 - at] ^= 0xFF
                if faults.bytes_per_s is not None:
                    time.sleep(len(piece) / faults.bytes_per_s)
                self.wfile.write(piece)


def write_gguf_like(path: Path, size: int, seed: int = 1) -> Path:
    """Write a file that begins like a GGUF and goes on with random bytes; the same seed gives the same bytes."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        file.write(b"GGUF")
        left = size - 4
        while left:
            left -= file.write(rng.randbytes(min(left, 1 << 20)))
    return path
