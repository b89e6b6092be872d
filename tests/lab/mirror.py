"""This machine's package mirror, certificate authorities and pip settings, for the boxes to use too.

All of it is read from the machine when an image is built, and nothing of it is written in this repository. A machine of
one distribution finds the other's archive beside its own, or is told of it: GPUBOX_LAB_DEBIAN and GPUBOX_LAB_UBUNTU
hold the URLs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MirrorError

if TYPE_CHECKING:
    from .release import Release

_KEYRINGS = Path("/usr/share/keyrings")
# "Ubuntu Archive Automatic Signing Key (2018)"; a keyring that came over an unchecked way must hold it.
_UBUNTU_KEY = "F6ECB3762474EDA9D21B7022871920D1991BC93C"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_ANSWER_LIMIT_S = 20.0


@dataclass(frozen=True)
class Mirror:
    """Where a release's packages come from.

    Attributes:
        sources: (URL, suite), the main archive's suites first.
        keyring: on this machine, to check them with.
        apt_conf: settings that apt needs to reach them from here.
    """

    sources: tuple[tuple[str, str], ...]
    keyring: Path
    apt_conf: str


def find(release: Release, cache: Path) -> Mirror:
    """Return the mirror of a release.

    Args:
        release: whose packages are wanted.
        cache: folder where a fetched keyring is kept.

    Raises:
        MirrorError: the archive does not answer, or its signing key can't be had.
    """
    configured = _configured()
    url = os.environ.get(f"GPUBOX_LAB_{release.distribution.upper()}", "").rstrip("/") or _beside(release, configured)
    sources = [(url, suite) for suite in release.suites]
    if release.security_suite:
        security = next((uri for uri, suite in configured if suite.endswith("-security") and "debian" in uri), None)
        sources.append((security or f"{url}-security", release.security_suite))
    _assert_answers(release, url)
    keyring = _KEYRINGS / f"{release.distribution}-archive-keyring.gpg"
    if not keyring.exists():
        keyring = _fetched_ubuntu_keyring(release, url, cache)
    return Mirror(tuple(sources), keyring, _apt_conf())


def authorities() -> list[str]:
    """Return the certificates that this machine trusts, PEM."""
    return pem_blocks(_AUTHORITIES)


def pem_blocks(path: Path) -> list[str]:
    """Return the certificates of a file, PEM; none where there is no file."""
    return _PEM.findall(path.read_text(encoding="utf-8", errors="replace")) if path.exists() else []


def pip_conf() -> str:
    """Return a pip.conf for a box: the system's authorities, and this machine's indexes that a box can reach."""
    lines = ["[global]", f"cert = {_AUTHORITIES}", "timeout = 180", "disable-pip-version-check = true"]
    for key in ("index-url", "extra-index-url"):
        asked = [sys.executable, "-m", "pip", "config", "get", f"global.{key}"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        reachable = [url for url in answer.split() if not url.startswith("file:")]
        if reachable:
            lines.append(f"{key} = {' '.join(reachable)}")
    return "\n".join([*lines, ""])


def _configured() -> list[tuple[str, str]]:
    """Return apt's sources on this machine: (URL without a slash at its end, suite)."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    pairs = [line.partition(" ") for line in dict.fromkeys(answer.splitlines())]
    return [(uri.rstrip("/"), suite) for uri, _, suite in pairs]


def _beside(release: Release, configured: list[tuple[str, str]]) -> str:
    for uri, _ in configured:
        parent, _, name = uri.rpartition("/")
        if name in {"debian", "ubuntu"}:
            return f"{parent}/{release.distribution}"
    raise MirrorError(
        release.name,
        "apt on this machine has no source of Debian or Ubuntu",
        f"set GPUBOX_LAB_{release.distribution.upper()} to the archive's URL",
    )


def _assert_answers(release: Release, url: str) -> None:
    try:
        with urllib.request.urlopen(f"{url}/dists/{release.name}/InRelease", timeout=_ANSWER_LIMIT_S):
            return
    except (urllib.error.URLError, OSError) as error:
        raise MirrorError(
            release.name,
            f"the archive of {release.title} does not answer beside this machine's ({error})",
            f"set GPUBOX_LAB_{release.distribution.upper()} to its URL",
        ) from error


def _apt_conf() -> str:
    """Return this machine's settings of proxies, and of the dates that a frozen mirror fails."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    kept = re.compile(r'^Acquire::(?:Check-(?:Valid-Until|Date)|https?::Proxy\S*) ".+";$')
    return "\n".join(['Acquire::Languages "none";', *filter(kept.match, dump.splitlines()), ""])


def _fetched_ubuntu_keyring(release: Release, url: str, cache: Path) -> Path:
    """Return Ubuntu's keyring out of the archive itself, with only the key whose fingerprint is known left in."""
    kept = cache / "ubuntu-archive-keyring.gpg"
    if release.distribution != "ubuntu" or kept.exists():
        return kept
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        here = Path(folder)
        for made in ("lists/partial", "archives/partial", "gpg"):
            (here / made).mkdir(parents=True, mode=0o700)
        (here / "sources.list").write_text(f"deb [trusted=yes] {url} {release.name} main\n", encoding="utf-8")
        settings = {
            "Dir::Etc::sourcelist": here / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": here / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache::archives": here / "archives",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "APT::Sandbox::User": "root",
        }
        apt_get = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]
        gpg = ["gpg", "--homedir", str(here / "gpg"), "--quiet", "--batch", "--yes"]
        fetched = here / "fetched" / _KEYRINGS.relative_to("/") / kept.name
        steps = (
            [*apt_get, "update"],
            [*apt_get, "download", "ubuntu-keyring"],
            ["sh", "-c", "dpkg-deb -x ubuntu-keyring_*.deb fetched"],
            [*gpg, "--import", str(fetched)],
            [*gpg, "--output", "known.gpg", "--export", _UBUNTU_KEY],
        )
        for step in steps:
            done = subprocess.run(step, cwd=here, capture_output=True, text=True, check=False)
            if done.returncode:
                fault = f"`{step[0]}` failed on the archive's keyring"
                raise MirrorError(release.name, fault, "", done.stderr.splitlines()[-5:])
        if not (here / "known.gpg").exists():
            raise MirrorError(release.name, f"the archive's keyring lacks Ubuntu's key {_UBUNTU_KEY}")
        (here / "known.gpg").replace(kept)
    return kept
