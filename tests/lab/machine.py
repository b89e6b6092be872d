"""What this machine must have to run boxes; packages that are missing are installed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

from . import cgroup
from .errors import MachineError

# Program, or file, and the package of Debian and Ubuntu that brings it.
_NEEDS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "slirp4netns": "slirp4netns",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "gpg": "gpg",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
_UNLIMITED = 1 << 20


def prepare() -> None:
    """Make this machine able to run boxes.

    Raises:
        MachineError: it is not, and can't be made to be.
    """
    if os.geteuid() != 0:
        raise MachineError("this machine", "boxes need root", "run it with sudo")
    cgroup.tree()
    missing = _missing()
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise MachineError("this machine", f"lacks {', '.join(missing)} and has no apt-get", "install them by hand")
    apt_get = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt_get, "install", "--yes", "--no-install-recommends", *missing]
    for argv in ([*apt_get, "update"], install):
        done = subprocess.run(
            argv,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            last_lines = done.stdout.splitlines()[-10:]
            raise MachineError("this machine", f"`{' '.join(argv)}` failed", "see its output", last_lines)
    if missing := _missing():
        raise MachineError("this machine", f"{', '.join(missing)} did not bring what boxes need", "install it by hand")


def _missing() -> list[str]:
    return sorted({package for need, package in _NEEDS.items() if not (shutil.which(need) or Path(need).is_file())})


def containers_conf() -> str:
    """Return the Podman settings that a box needs on this machine, as a containers.conf.

    A machine without CAP_SYS_RESOURCE raises no limit and Podman asks for more than there is ("setrlimit
    `RLIMIT_NOFILE`: Operation not permitted"), so Podman is told the limits that there are. Where cgroup2 has no
    controllers, Podman's own limit of processes fails ("crun: controller `pids` is not available"); 0 is no limit.
    """
    hard = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    limits = {name: resource.getrlimit(which)[1] for name, which in hard.items()}
    low = [f'"{name}={limit}:{limit}"' for name, limit in limits.items() if 0 < limit < _UNLIMITED]
    lines = ["[containers]"]
    if low:
        lines.append(f"default_ulimits = [{', '.join(low)}]")
    if "pids" not in cgroup.controllers():
        lines.append("pids_limit = 0")
    return "\n".join([*lines, ""])
