"""The distributions that boxes run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Release:
    """A release of Debian or Ubuntu.

    Attributes:
        name: its code name.
        distribution: which archive it is of.
        title: as people call it.
        suites: of the main archive.
        components: of every suite.
        security_suite: of Debian's second archive; Ubuntu has its own in the main one.
    """

    name: str
    distribution: Literal["debian", "ubuntu"]
    title: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    security_suite: str | None = None


_DEBIAN = ("main", "contrib", "non-free", "non-free-firmware")

TRIXIE = Release("trixie", "debian", "Debian 13", ("trixie", "trixie-updates"), _DEBIAN, "trixie-security")
BOOKWORM = Release("bookworm", "debian", "Debian 12", ("bookworm", "bookworm-updates"), _DEBIAN, "bookworm-security")
NOBLE = Release(
    "noble",
    "ubuntu",
    "Ubuntu 24.04",
    ("noble", "noble-updates", "noble-security"),
    ("main", "restricted", "universe", "multiverse"),
)

RELEASES = {release.name: release for release in (TRIXIE, NOBLE, BOOKWORM)}

# What a minimal installation of a server has, less a kernel: a box runs on this machine's.
PACKAGES = (
    "apt",
    "ca-certificates",
    "curl",
    "dbus",
    "dbus-user-session",
    "gpg",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libnss-myhostname",
    "libpam-systemd",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd-sysv",
    "tzdata",
    "udev",
)
