"""A real sshd on loopback, as the user who runs this, that takes one key made for it; nothing of it is left afterwards."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S = 10.0


@contextmanager
def loopback_sshd(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the variables of the inventory that lead to the sshd, as of any box; it ends with the block.

    Args:
        folder: for its keys.
    """
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        sys.exit("there is no sshd here; install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it of root alone
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "AllowTcpForwarding": "yes",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    with subprocess.Popen([program, "-D", "-e", "-f", "/dev/null", *options], stderr=subprocess.DEVNULL) as server:
        try:
            _wait(port)
            yield {
                "ansible_host": "127.0.0.1",
                "ansible_port": port,
                "ansible_user": getpass.getuser(),
                "ansible_ssh_private_key_file": folder / "user",
                "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
            }
        finally:
            server.terminate()


def _wait(port: int) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > end:
                sys.exit("sshd does not start; try it by hand: sshd -D -d")
            time.sleep(0.05)
        else:
            return
