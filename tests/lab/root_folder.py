"""A bare root folder of a distribution made into a box's: sources, trust, users, keys, and no work that nobody wants."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from . import mirror

if TYPE_CHECKING:
    from pathlib import Path

    from .mirror import Mirror
    from .release import Release

# The people of a box: root, and one who becomes root with sudo, as on most machines.
USER = "lab"
# What slirp4netns answers DNS questions at.
_DNS = "10.0.2.3"
# A box lives for seconds: nothing in it need look for updates, news or old snapshots.
_MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "motd-news.timer", "systemd-firstboot.service")
_SSHD = """\
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
HostKey /etc/ssh/ssh_host_ed25519_key
"""


def write(root: Path, path: str, text: str, mode: int = 0o644) -> Path:
    """Write a file below a root folder, with its folders; a link in its place is replaced, not followed."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def configure(root: Path, release: Release, where_from: Mirror, public_key: str) -> None:
    """Turn the root folder of a minimal installation into a box's.

    Args:
        root: the folder; its packages are installed.
        release: what it is of.
        where_from: the mirror that the box will use.
        public_key: of the key that opens the box.
    """
    _apt(root, release, where_from)
    _trust(root)
    write(root, "/etc/pip.conf", mirror.pip_conf())
    write(root, "/etc/resolv.conf", f"nameserver {_DNS}\noptions timeout:3\n")
    write(root, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
    write(root, "/etc/fstab", "# a box's file systems come from outside\n")
    write(root, "/etc/default/locale", "LANG=C.UTF-8\n")
    # Empty, not absent: a new one is made at each box's first boot, which is then not taken for the installation's.
    write(root, "/etc/machine-id", "")
    _doors(root, public_key)
    _chroot(root, "systemctl", "--quiet", "enable", "ssh.service")
    _chroot(root, "systemctl", "--quiet", "disable", "ssh.socket")
    _chroot(root, "systemctl", "--quiet", "mask", *_MASKED)


def _chroot(root: Path, *argv: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    subprocess.run(["chroot", str(root), *argv], env=environment, check=True, capture_output=True)


def _apt(root: Path, release: Release, where_from: Mirror) -> None:
    for old in (root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").iterdir()):
        old.unlink(missing_ok=True)
    keyring = f"/usr/share/keyrings/{release.distribution}-archive-keyring.gpg"
    suites: dict[str, list[str]] = {}
    for url, suite in where_from.sources:
        suites.setdefault(url, []).append(suite)
    stanzas = [
        f"Types: deb\nURIs: {url}\nSuites: {' '.join(names)}\n"
        f"Components: {' '.join(release.components)}\nSigned-By: {keyring}\n"
        for url, names in suites.items()
    ]
    write(root, f"/etc/apt/sources.list.d/{release.distribution}.sources", "\n".join(stanzas))
    write(root, "/etc/apt/apt.conf.d/90machine", where_from.apt_conf)


def _trust(root: Path) -> None:
    """Let the box trust the authorities that this machine trusts and the distribution does not know."""
    known = {"".join(pem.split()) for pem in mirror.pem_blocks(root / "etc/ssl/certs/ca-certificates.crt")}
    extra = [pem for pem in mirror.authorities() if "".join(pem.split()) not in known]
    for number, pem in enumerate(extra):
        write(root, f"/usr/local/share/ca-certificates/machine-{number:03}.crt", f"{pem}\n")
    _chroot(root, "update-ca-certificates")


def _doors(root: Path, public_key: str) -> None:
    """Make the users, let one key in, and leave each box's name and host key to the box."""
    for own in (root / "etc/hostname", *(root / "etc/ssh").glob("ssh_host_*")):
        own.unlink(missing_ok=True)
    write(root, "/etc/ssh/sshd_config.d/10-key-only.conf", _SSHD)
    _chroot(root, "useradd", "--create-home", "--shell", "/bin/bash", USER)
    write(root, f"/etc/sudoers.d/{USER}", f"{USER} ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    for user, home in (("root", "/root"), (USER, f"/home/{USER}")):
        write(root, f"{home}/.ssh/authorized_keys", public_key, 0o600)
        (root / home.lstrip("/") / ".ssh").chmod(0o700)
        _chroot(root, "chown", "--recursive", f"{user}:{user}", f"{home}/.ssh")
    # Rootless Podman's store is mounted from outside; its parents must be there, and the user's.
    store = f"/home/{USER}/.local/share/containers"
    _chroot(root, "mkdir", "--parents", store, "/var/lib/containers")
    _chroot(root, "chown", "--recursive", f"{USER}:{USER}", f"/home/{USER}/.local")
