"""What must not leave the house: names of hosts and users, addresses, keys, and the numbers of single devices.

A name is replaced by the same pseudonym everywhere in a bundle, so that two runs of one host stay two runs of one host;
pseudonyms are counted, not hashed, since a short name's hash is soon guessed.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpubox.record import Run

LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104  # names to leave alone, nothing binds to them
KEY = "KEY"
KEY_OPTION = "--api-key"

_HOME = re.compile(r"/(?:home|Users)/[^/\s\"',:;]+")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_MAC = re.compile(r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LOGIN = re.compile(r"[\w.+-]+@(?=host-\d)")
_GPU = re.compile(r"\b(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_KEYS = re.compile(r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,})|(?<=Bearer )[^\s\"']+|(?<=--api-key[ =])[^\s\"']+")


class Redaction:
    """Replaces what must not leave, in texts and in JSON.

    Args:
        runs: whose hosts are known by name.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._pseudonyms: dict[str, str] = {}
        for name in sorted({name for run in runs for name in _host_names(run)}):
            pseudonym = self._numbered("host", name)
            self._pseudonyms.setdefault(name.partition(".")[0], pseudonym)
        hosts = sorted(self._pseudonyms, key=len, reverse=True)  # a whole name before its first part
        names = "|".join(re.escape(name) for name in hosts)
        self._hosts = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])") if hosts else None

    def text(self, text: str) -> str:
        """Return a text without what must not leave."""
        if self._hosts is not None:
            text = self._hosts.sub(lambda match: self._pseudonyms[match[0]], text)
            text = _LOGIN.sub("somebody@", text)
        text = _KEYS.sub(KEY, text)
        text = _HOME.sub("/home/user", text)
        text = _MAIL.sub("somebody", text)
        text = _MAC.sub("MAC", text)
        text = _GPU.sub(lambda match: self._numbered("GPU", match[0]), text)
        return _IPV4.sub(lambda match: self._address(match[0]), text)

    def value(self, value: Any) -> Any:  # noqa: ANN401  # any JSON value
        """Return a JSON value with all its texts redacted, and what follows `--api-key` in a list."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [
                KEY if index and value[index - 1] == KEY_OPTION else self.value(item)
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


def _host_names(run: Run) -> Iterator[str]:
    name = urlsplit(run.endpoint).hostname
    yield from _named(run.host)
    if name and name not in LOOPBACK and not _IPV4.fullmatch(name):
        yield name


def _named(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "hostname" and isinstance(item, str) and item and item not in LOOPBACK:
                yield item
            else:
                yield from _named(item)
