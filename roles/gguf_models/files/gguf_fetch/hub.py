"""The hub: what a revision holds (through huggingface_hub), and byte ranges of its files (through urllib).

The hub answers for a large file with a signed address on another host. The token goes to the hub alone, never there.
"""

from __future__ import annotations

import http.client
import re
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2  # huggingface_hub 2 speaks through it and lets its errors pass
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .errors import FetchError, PassingError, SeveralFaultsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import HfFileMetadata

    from .manifest import HubModel

TIMEOUT_S = 30.0
BLOCK = 1 << 20
PASSING = {408, 425, 429, 500, 502, 503, 504}
ACCESS_REMEDY = "put a token that may read it into gguf_models_token_file, or mend the repository's name"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit, as the hub describes it.

    Attributes:
        repo: ORG/NAME.
        revision: commit, 40 hex digits.
        name: path inside the repository.
        size: bytes.
        etag: name of its blob in the cache.
        sha256: the hash that its bytes must have.
    """

    repo: str
    revision: str
    name: str
    size: int
    etag: str
    sha256: str

    @property
    def place(self) -> str:
        """How errors and progress name it."""
        return f"{self.repo}/{self.name}"


class ByteStream:
    """An open answer.

    Args:
        response: the body.
        at: position in the file of the next byte that will be read.
        whole: the hub ignored the range and sends the whole file.
    """

    def __init__(self, response: http.client.HTTPResponse, *, at: int, whole: bool) -> None:
        self._response = response
        self.at = at
        self.whole = whole

    def read(self, most: int) -> bytes:
        """Return the next bytes, as soon as there are any; nothing at the end.

        Raises:
            PassingError: the connection broke.
        """
        try:
            piece = self._response.read1(min(most, BLOCK))
        except (OSError, http.client.HTTPException) as exc:
            raise PassingError(_network_fault(exc)) from None
        self.at += len(piece)
        return piece

    def skip_to(self, position: int) -> None:
        """Read and forget what comes before a position.

        Raises:
            PassingError: the connection broke.
        """
        while self.at < position:
            if not self.read(position - self.at):
                raise PassingError("the connection ended early")

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


class Hub:
    """One hub.

    Args:
        endpoint: its URL, without a slash at the end.
        token: access token, or None.
    """

    def __init__(self, endpoint: str, token: str | None) -> None:
        self.endpoint = endpoint
        self._token = token
        self._locations: dict[RemoteFile, str] = {}
        self._lock = threading.Lock()

    def describe(self, model: HubModel) -> list[RemoteFile]:
        """Ask what the commit holds under the wanted names.

        The hub's answer about a file that Git LFS or Xet keeps has its SHA-256 as the ETag.

        Raises:
            FetchError: no such repository, commit or file; a hash that the hub contradicts or can't tell.
            PassingError: the hub can't be asked just now.
        """
        files: list[RemoteFile] = []
        faults: list[FetchError] = []
        for wanted in model.files:
            place = f"{model.repo}/{wanted.name}"
            try:
                found = self._ask(model, wanted.name)
            except RemoteEntryNotFoundError:
                faults.append(
                    FetchError(place, f"not in commit {model.revision[:12]}", self._nearest(model, wanted.name))
                )
                continue
            etag = found.etag or ""
            by_hub = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else None
            if found.commit_hash != model.revision or not re.fullmatch(r"[0-9a-f]{40,64}", etag) or found.size is None:
                faults.append(FetchError(place, "the answer is not a hub's", "mend gguf_models_endpoint"))
            elif wanted.sha256 and by_hub and wanted.sha256 != by_hub:
                fault = f"the profile expects SHA-256 {wanted.sha256}, the hub has {by_hub}"
                faults.append(FetchError(place, fault, "mend sha256 or revision in the profile"))
            elif sha256 := wanted.sha256 or by_hub:
                file = RemoteFile(model.repo, model.revision, wanted.name, found.size, etag, sha256)
                self._locations[file] = found.location
                files.append(file)
            else:
                faults.append(FetchError(place, "the hub tells no SHA-256", "write the file's sha256 into the profile"))
        if faults:
            raise SeveralFaultsError(faults)
        return files

    def _ask(self, model: HubModel | RemoteFile, name: str) -> HfFileMetadata:
        url = hf_hub_url(model.repo, name, revision=model.revision, endpoint=self.endpoint)
        with _faults_in_words(f"{self.endpoint}/{model.repo}", model.revision):
            return get_hf_file_metadata(url, token=self._token or False, timeout=TIMEOUT_S, endpoint=self.endpoint)

    def _nearest(self, model: HubModel, name: str) -> str:
        """Return a remedy for a name that is not there."""
        from huggingface_hub import HfApi  # noqa: PLC0415 - a tenth of a second, for this fault alone

        with _faults_in_words(f"{self.endpoint}/{model.repo}", model.revision):
            api = HfApi(endpoint=self.endpoint, token=self._token or False)
            siblings = api.model_info(model.repo, revision=model.revision, timeout=TIMEOUT_S).siblings or ()
        stems = [each.rfilename.removesuffix(".gguf") for each in siblings if each.rfilename.endswith(".gguf")]
        near = get_close_matches(name.removesuffix(".gguf"), stems, n=1)
        return f"did you mean {near[0]}.gguf?" if near else "see the repository's list of files"

    def open(self, file: RemoteFile, start: int, end: int) -> ByteStream:
        """Open the bytes of a file from `start` up to, not including, `end`.

        Raises:
            FetchError: the hub refuses, for good.
            PassingError: it may work in a moment.
        """
        location, token = self._locate(file)
        request = urllib.request.Request(location, headers={"Range": f"bytes={start}-{end - 1}"})
        request.add_header("Accept-Encoding", "identity")
        if token:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as exc:
            exc.close()
            self._forget(file)
            if exc.code in PASSING or exc.code in {401, 403, 404, 410}:
                # A signed address runs out with a refusal; the next attempt asks the hub for a fresh one.
                raise PassingError(f"HTTP {exc.code}", _retry_after(exc.headers.get("Retry-After"))) from None
            raise FetchError(file.place, f"HTTP {exc.code} from {_host(location)}") from None
        except (OSError, http.client.HTTPException) as exc:
            raise PassingError(_network_fault(exc)) from None
        return _checked(file, response, start)

    def _locate(self, file: RemoteFile) -> tuple[str, str | None]:
        """Return where the bytes lie, and the token where that is the hub itself."""
        with self._lock:
            location = self._locations.get(file)
        if location is None:
            try:
                location = self._ask(file, file.name).location
            except RemoteEntryNotFoundError:
                raise FetchError(file.place, "gone from the hub", "see the repository's list of files") from None
            with self._lock:
                self._locations[file] = location
        return location, self._token if urlsplit(location)[:2] == urlsplit(self.endpoint)[:2] else None

    def _forget(self, file: RemoteFile) -> None:
        with self._lock:
            self._locations.pop(file, None)


def _checked(file: RemoteFile, response: http.client.HTTPResponse, start: int) -> ByteStream:
    """Make sure that the answer is the range, or skip to it where the hub sends the whole file."""
    if response.status != 206:
        stream = ByteStream(response, at=0, whole=True)
        stream.skip_to(start)
        return stream
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if not found or (int(found[1]), int(found[2])) != (start, file.size):
        response.close()
        raise PassingError(f"an answer for another range ({response.headers.get('Content-Range')})")
    return ByteStream(response, at=start, whole=False)


@contextmanager
def _faults_in_words(place: str, revision: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into the two kinds that we know; a missing file stays what it is."""
    try:
        yield
    except GatedRepoError:
        remedy = "accept its terms on the hub and put your token into gguf_models_token_file"
        raise FetchError(place, "a gated repository", remedy) from None
    except RevisionNotFoundError:
        raise FetchError(place, f"no commit {revision}", "mend revision in the profile") from None
    except RemoteEntryNotFoundError:
        raise
    except RepositoryNotFoundError as exc:
        fault = "not there, or private" if exc.response.status_code == 404 else "the hub wants a token (HTTP 401)"
        raise FetchError(place, fault, ACCESS_REMEDY) from None
    except HfHubHTTPError as exc:
        code = exc.response.status_code
        if code in PASSING:
            raise PassingError(f"HTTP {code}", _retry_after(exc.response.headers.get("Retry-After"))) from None
        remedy = ACCESS_REMEDY if code in {401, 403} else ""
        fault = "the hub refuses the token (HTTP 401)" if code == 401 else f"HTTP {code}"
        raise FetchError(place, fault, remedy) from None
    except OfflineModeIsEnabled:
        raise FetchError(place, "HF_HUB_OFFLINE is set", "unset it, or set gguf_models_offline") from None
    except httpx2.HTTPError as exc:
        raise PassingError(_network_fault(exc)) from None


def _retry_after(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,6}", text) else None


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _network_fault(exc: Exception) -> str:
    """Name a network fault in a few words; an address in it may hold a signature, so only the reason is kept."""
    reason = getattr(exc, "reason", None) or exc
    if isinstance(reason, TimeoutError) or type(reason).__name__.endswith("Timeout"):
        return f"no answer within {TIMEOUT_S:.0f} s"
    if isinstance(reason, http.client.IncompleteRead):
        return "the connection ended early"
    text = str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
    return re.sub(r"^\[Errno -?\d+\] ", "", text)
