"""What must not leave the house: names of hosts and users, addresses, keys, and the numbers of single devices.

A name is replaced by the same pseudonym everywhere in a bundle, so that two runs of one host stay two runs of one host;
pseudonyms are counted, not hashed, since a short name's hash is soon guessed.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpubox.record import Run

LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"}  # noqa: S104  # names to leave alone, nothing binds to them
KEY = "KEY"
# Whoever has one of these names is nobody in particular, and the word may stand for something else.
NOBODY = {
    "root",
    "user",
    "users",
    "admin",
    "ubuntu",
    "debian",
    "fedora",
    "runner",
    "llama",
    "server",
    "models",
    "somebody",
}
PUBLIC_REGISTRIES = {"docker.io", "ghcr.io", "quay.io", "nvcr.io", "registry.fedoraproject.org"}
SHORTEST_USER = 3

_HOME_OF = re.compile(r"/(?:home|Users)/([^/\s\"',:;]+)")
_HOME = re.compile(r"/(?:home|Users)/[^/\s\"',:;]+")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_MAC = re.compile(r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LOGIN = re.compile(r"[\w.+-]+@(?=(?:host|address)-\d)")
_PASSWORD = re.compile(r"(?<=://)[^/\s@\"']+:[^/\s@\"']+@")
_GPU = re.compile(r"\b(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
# By their own look: Hugging Face, OpenAI and the like, GitHub, AWS, JSON web tokens.
_KEYS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|AKIA[A-Z0-9]{16}"
    r"|eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]+)"
)
# By the name that stands before them: an option, a field, a variable of the environment, a part of an URL. The file that
# holds a key is no secret, and a log's `EOS token = 2` neither.
_NAME = r"(?:api[-_]?key|(?:hf|access|auth|api|refresh)[-_]token|client[-_]secret|secret|passw(?:or)?d)"
_NAMED_KEYS = re.compile(
    rf"((?i:\bbearer\s+|\b{_NAME}[\"']?\s*[=:]\s*[\"']?|--?{_NAME}\s+|[?&]token=)"
    r"|\b[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET|PASSWORD)=[\"']?)(?!KEY\b)[^\s\"',;&}\]]+"
)
_KEY_OPTION = re.compile(rf"(?i)--?{_NAME}|-hft")
_KEY_FIELD = re.compile(rf"(?i)(?:\w+_)?{_NAME}|token|hf_token|\w+_secret")


class Redaction:
    """Replaces what must not leave, in texts and in JSON.

    Args:
        runs: whose hosts and users are known by name.
        hosts: more names of hosts.
        users: more names of users.
    """

    def __init__(self, runs: Iterable[Run], hosts: Iterable[str] = (), users: Iterable[str] = ()) -> None:
        self._pseudonyms: dict[str, str] = {}
        known = list(runs)
        names = {name for run in known for name in _host_names(run)} | {*hosts} - LOOPBACK - {""}
        for name in sorted(names):
            pseudonym = self._numbered("host", name)
            self._pseudonyms.setdefault(name.partition(".")[0], pseudonym)
        for name in sorted({name for run in known for name in _registries(run)} - names):
            self._numbered("host", name)
        self._hosts = _words(self._pseudonyms)
        found = {name for run in known for name in _HOME_OF.findall(json.dumps(asdict(run)))} | {*users}
        kept = {run.profile for run in known}
        self._users = _words(
            name for name in found if len(name) >= SHORTEST_USER and name not in NOBODY | kept | self._pseudonyms.keys()
        )

    def text(self, text: str) -> str:
        """Return a text without what must not leave."""
        text = _PASSWORD.sub("somebody@", text)
        text = _KEYS.sub(KEY, text)
        text = _NAMED_KEYS.sub(lambda match: match[1] + KEY, text)
        if self._hosts is not None:
            text = self._hosts.sub(lambda match: self._pseudonyms[match[0]], text)
        text = _MAC.sub("MAC", text)
        text = _GPU.sub(lambda match: self._numbered("GPU", match[0]), text)
        for addresses in (_IPV4, _IPV6):
            text = addresses.sub(lambda match: self._address(match[0]), text)
        text = _LOGIN.sub("somebody@", text)
        text = _HOME.sub("/home/user", text)
        text = _MAIL.sub("somebody", text)
        return text if self._users is None else self._users.sub("somebody", text)

    def value(self, value: Any) -> Any:  # noqa: ANN401  # any JSON value
        """Return a JSON value with all its texts redacted, and what follows an option of a key in a list."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(key): KEY
                if isinstance(item, str) and item and _KEY_FIELD.fullmatch(key)
                else self.value(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [
                KEY if index and _is_key_option(value[index - 1]) else self.value(item)
                for index, item in enumerate(value)
            ]
        return value

    def _numbered(self, kind: str, name: str) -> str:
        count = len({known for known in self._pseudonyms.values() if known.startswith(f"{kind}-")})
        return self._pseudonyms.setdefault(name, f"{kind}-{count + 1}")

    def _address(self, text: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return text
        return text if address.is_loopback or address.is_unspecified else self._numbered("address", text)


def _words(names: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds any of the names as a word, a whole name before its first part; None without a name."""
    known = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, known))})(?![\w-])") if known else None


def _is_key_option(word: object) -> bool:
    return isinstance(word, str) and _KEY_OPTION.fullmatch(word) is not None


def _host_names(run: Run) -> Iterator[str]:
    yield from _named(run.host)
    # As it is written: `hostname` is in small letters.
    written = urlsplit(run.endpoint).netloc.rpartition("@")[2]
    name = written.rpartition(":")[0] if re.search(r":\d*$", written) else written
    if name and name not in LOOPBACK and not name.startswith("[") and not _IPV4.fullmatch(name):
        yield name


def _registries(run: Run) -> Iterator[str]:
    """Give the host of a private registry that the image is from; its first part alone may be any word."""
    registry, slash, _ = str(run.engine.get("image") or "").partition("/")
    host = registry.partition(":")[0]
    if slash and host not in LOOPBACK | PUBLIC_REGISTRIES and ("." in registry or ":" in registry):
        yield host


def _named(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "hostname" and isinstance(item, str) and item and item not in LOOPBACK:
                yield item
            else:
                yield from _named(item)
