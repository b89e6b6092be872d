"""Podman's own Quadlet generator, for tests: found on the machine, or taken from Debian without installing anything.

Debian 12 and older have no Podman with Quadlet, so there the generator comes out of Debian 13's `podman` package: apt
is run with a configuration, lists and cache of its own under `.cache/` of the checkout, as any user. It needs only the
C library and answers in milliseconds. It drops what it can't read and still exits 0: compare argvs, not exit codes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSTALLED = (
    Path("/usr/libexec/podman/quadlet"),
    Path("/usr/lib/systemd/system-generators/podman-system-generator"),
)
_SUITE = "trixie"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_CACHE = Path(__file__).resolve().parents[1] / ".cache" / "quadlet"
_MEMBER = "./usr/libexec/podman/quadlet"
_REMEDY = "install podman 4.4 or newer, or run this on Debian with its mirror in reach"


class NoGeneratorError(Exception):
    """There is no generator to be had here; the text says why and what would help."""


@cache
def find_generator() -> Path:
    """Return a generator that runs on this machine.

    Raises:
        NoGeneratorError: none is installed and none could be downloaded.
    """
    cached = _CACHE / "quadlet"
    for candidate in (*_INSTALLED, cached):
        if _runs(candidate):
            return candidate
    _download(cached)
    if not _runs(cached):
        raise NoGeneratorError(f"the generator of Debian {_SUITE} does not run here; {_REMEDY}")
    return cached


def generate(units: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Run the generator over Quadlet files.

    Args:
        units: texts by file name (`x.container`).

    Returns:
        The generated services by name (`x.service`), and what the generator said besides naming the files it read.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in units.items():
            (Path(folder) / name).write_text(text, encoding="utf-8", newline="")
        done = subprocess.run(
            [find_generator(), "-dryrun"],
            env={"QUADLET_UNIT_DIRS": folder},
            capture_output=True,
            check=False,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
    # not splitlines(), which also splits at form feeds and at U+2028
    parts = re.split(r"^---(\S+)---\n", done.stdout, flags=re.MULTILINE)
    said = [line for line in done.stderr.splitlines() if "Loading source unit file" not in line]
    return dict(zip(parts[1::2], parts[2::2], strict=True)), "\n".join(said)


def _runs(generator: Path) -> bool:
    try:
        return subprocess.run([generator, "-version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _download(target: Path) -> None:
    missing = [tool for tool in ("apt-get", "apt-config", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise NoGeneratorError(f"no podman with Quadlet, and no {missing[0]} to get one with; {_REMEDY}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        here = Path(folder)
        environment = _private_apt(here, _debian_mirror())
        _apt(["update"], here, environment)
        _apt(["download", "podman"], here, environment)
        (package,) = here.glob("podman_*.deb")
        _unpack(package, here / "quadlet")
        (here / "quadlet").replace(target)  # in one step: another run may look at the same time


def _debian_mirror() -> str:
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        check=False,
        text=True,
    )
    for uri in done.stdout.split():
        if re.fullmatch(r"https?://\S+/debian/?", uri):
            return uri
    raise NoGeneratorError(f"no podman with Quadlet, and apt names no Debian mirror; {_REMEDY}")


def _private_apt(folder: Path, mirror: str) -> dict[str, str]:
    """Write an apt configuration that reads and writes nothing of the machine's but its proxies and keys."""
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    options = f"signed-by={_KEYRING} " if _KEYRING.exists() else ""
    (folder / "sources.list").write_text(f"deb [{options}lang=none] {mirror} {_SUITE} main\n", encoding="utf-8")
    settings = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::Parts": "/dev/null",
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Sandbox::User": "root",  # another user could not write into the checkout
    }
    machine = subprocess.run(["apt-config", "dump"], capture_output=True, check=True, text=True).stdout
    lines = [line for line in machine.splitlines() if line.startswith(("Acquire::http", "Acquire::Check-"))]
    lines += [f'{key} "{value}";' for key, value in settings.items()]
    (folder / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"}


def _apt(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["apt-get", "-qq", *command], cwd=folder, env=environment, capture_output=True, check=False, text=True
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoGeneratorError(f"apt-get {command[0]} for Debian {_SUITE}: {said}; {_REMEDY}")


def _unpack(package: Path, target: Path) -> None:
    """Take the one file out of the package; all of it would be four times as large as the package itself."""
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as dpkg,
        tarfile.open(fileobj=dpkg.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if member.name == _MEMBER:
                source = archive.extractfile(member)
                assert source is not None
                target.write_bytes(source.read())
                target.chmod(0o755)
    assert target.exists(), f"{package.name} holds no {_MEMBER}"
