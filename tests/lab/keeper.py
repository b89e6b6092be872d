"""The process that runs one box: it makes the mounts and the network, starts systemd-nspawn, and ends it all.

It has a mount namespace of its own, so that the box's mounts are nobody else's and end with it. It watches the process
that the box is for: however that ends, by an error, Ctrl-C or a kill, the box is ended and removed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import network
from .cgroup import Cgroup
from .errors import LabError
from .layer import remove_tree
from .record import Record
from .root_folder import USER

if TYPE_CHECKING:
    from types import FrameType

_NAMESPACE = "box"
# With --keep-unit, nspawn leaves a reboot to its caller and says so with this status.
_REBOOT = 133
_END_LIMIT_S = 20.0


def start(record: Record) -> subprocess.Popen[bytes]:
    """Start a box's keeper; it goes on when the caller ends, unless the caller is the box's owner."""
    with (record.folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(
            ["unshare", "--mount", sys.executable, "-m", f"{__package__}.keeper", str(record.folder)],
            cwd=record.folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is the owner's to judge
        )
    record.note("keeper", keeper.pid)
    return keeper


def end(record: Record) -> None:
    """Pull a box's plug; its disk stays. Nothing is done to a box that is off."""
    if keeper := record.process("keeper"):
        keeper.send(signal.SIGTERM)
        if not keeper.wait(_END_LIMIT_S):
            keeper.send(signal.SIGKILL)
            keeper.wait(_END_LIMIT_S)
    # A keeper that was killed has left its box running.
    Cgroup(record.group).end()


def remove(record: Record) -> None:
    """Pull a box's plug and remove its disk."""
    end(record)
    remove_tree(record.folder)


def keep(record: Record) -> None:
    """Run a box until it is shut down, this process gets SIGTERM, or the box's owner ends."""
    group = Cgroup(record.group)
    group.end()
    merged = record.folder / "merged"
    signal.signal(signal.SIGTERM, _exit)
    try:
        _mount(record, merged)
        network.up(record, group, _NAMESPACE)
        _run(record, group.wrap("box", _nspawn(record, merged)))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        group.end()
        subprocess.run(["umount", "--quiet", "--lazy", str(merged)], check=False)
        if record.abandoned():
            remove_tree(record.folder)


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _mount(record: Record, merged: Path) -> None:
    for folder in (merged, record.folder / "work"):
        folder.mkdir(exist_ok=True)
    lower = ":".join(map(str, record.roots))
    options = f"lowerdir={lower},upperdir={record.folder / 'upper'},workdir={record.folder / 'work'}"
    # `ip netns` keeps its names here; in a mount of the keeper's own they are seen by no one and outlive nothing.
    Path("/run/netns").mkdir(exist_ok=True)
    for argv in (
        ["mount", "-t", "tmpfs", "netns", "/run/netns"],
        ["mount", "-t", "overlay", record.name, "-o", options, str(merged)],
    ):
        subprocess.run(argv, check=True)


def _nspawn(record: Record, merged: Path) -> list[str]:
    stores = record.folder / "stores"
    return [
        "env",
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",  # else a machine with v1 hierarchies hands them on
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network",  # Podman sets net.* in its containers
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--register=no",
        "--keep-unit",
        f"--directory={merged}",
        f"--machine=gpubox-{record.group}",
        f"--hostname={record.name}",
        f"--network-namespace-path=/run/netns/{_NAMESPACE}",
        "--capability=all",
        "--system-call-filter=@keyring bpf",
        "--bind=/dev/fuse",
        "--bind=/dev/net/tun",
        f"--bind={stores}/root:/var/lib/containers",
        f"--bind={stores}/user:/home/{USER}/.local/share/containers",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
    ]


def _run(record: Record, argv: list[str]) -> None:
    watched = select.poll()
    owner = record.owner
    if owner:
        try:
            owner_fd = os.pidfd_open(owner.pid)
        except ProcessLookupError:
            return
        if not owner.alive():
            return
        watched.register(owner_fd, select.POLLIN)
    with (record.folder / "console.log").open("wb") as console:
        status = _REBOOT
        while status == _REBOOT:
            nspawn = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
            nspawn_fd = os.pidfd_open(nspawn.pid)
            watched.register(nspawn_fd, select.POLLIN)
            ended = [number for number, _ in watched.poll()]
            watched.unregister(nspawn_fd)
            os.close(nspawn_fd)
            if nspawn_fd not in ended:
                return
            status = nspawn.wait()


def main() -> int:
    """Keep the box whose folder is the argument."""
    try:
        keep(Record.read(Path(sys.argv[1])))
    except (LabError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
