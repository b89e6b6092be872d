"""One box, as a test sees it."""

from __future__ import annotations

import json
import subprocess
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import keeper, machine, network
from .errors import BoxError, CommandError
from .record import SSH_PORT, Record
from .root_folder import USER, write
from .ssh import Address, as_command, failed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .layer import Layer
    from .ssh import Result

_BOOT_LIMIT_S = 120.0
_OFF_LIMIT_S = 60.0
_LIMIT_S = 120.0
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Box:
    """A machine of its own for whoever logs in: systemd, sshd, a disk that outlives a reboot, a network.

    The users are root and `lab`, who may sudo; one key opens both. From inside, 10.0.2.2 is this machine's loopback.

    Args:
        record: what is written down about it.
        key: the private key that it lets in.
    """

    def __init__(self, record: Record, key: Path) -> None:
        self.record = record
        self.name = record.name
        self.user = USER
        self.key = key
        self._keeper: subprocess.Popen[bytes] | None = None

    @cached_property
    def ssh(self) -> Address:
        """How it is reached."""
        folder = self.record.folder
        return Address(self.name, self.record.address, SSH_PORT, self.key, folder / "known_hosts")

    @property
    def ssh_config(self) -> Path:
        """An ssh_config file in which the box is a host by its name."""
        return self.record.folder / "ssh_config"

    @property
    def inventory_file(self) -> Path:
        """`ansible_inventory` as a file for `ansible-playbook -i`."""
        return self.record.folder / "inventory.yml"

    def ansible_inventory(self) -> dict[str, Any]:
        """Return an Ansible inventory of this box alone; connections may be shared, as Ansible does by default."""
        options = {
            key: self.ssh.options[key] for key in ("IdentitiesOnly", "UserKnownHostsFile", "StrictHostKeyChecking")
        }
        variables = {
            "ansible_host": self.ssh.host,
            "ansible_port": self.ssh.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": " ".join(f"-o {key}={value}" for key, value in options.items()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        return {"all": {"hosts": {self.name: variables}}}

    def install(self, layer: Layer) -> None:
        """Lay the box's disk over a layer, with what is this box's alone: its name, its host key, the machine's limits.

        Args:
            layer: whose roots the box's record names.
        """
        folder = self.record.folder
        upper, stores = folder / "upper", folder / "stores"
        host_key = write(upper, "/etc/ssh/ssh_host_ed25519_key", "")
        host_key.unlink()
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(host_key)], check=True
        )
        public = host_key.with_suffix(".pub").read_text(encoding="utf-8")
        (folder / "known_hosts").write_text(f"[{self.ssh.host}]:{self.ssh.port} {public}", encoding="utf-8")
        write(upper, "/etc/hostname", f"{self.name}\n")
        write(upper, "/etc/containers/containers.conf.d/50-machine.conf", machine.containers_conf())
        if layer.stores.exists():
            subprocess.run(
                ["cp", "-a", "--sparse=always", "--reflink=auto", str(layer.stores), str(stores)], check=True
            )
        else:
            for store in (stores / "root", stores / "user"):
                store.mkdir(parents=True)
            users = layer.roots[-1] / "home" / self.user
            subprocess.run(["chown", f"--reference={users}", str(stores / "user")], check=True)
        self.ssh_config.write_text(self.ssh.config(self.user), encoding="utf-8")
        self.inventory_file.write_text(json.dumps(self.ansible_inventory(), indent=2) + "\n", encoding="utf-8")

    def power_on(self) -> None:
        """Start the box; `await_boot` waits until it is up."""
        self._keeper = keeper.start(self.record)

    def await_boot(self, after: str = "") -> None:
        """Wait until the box has booted: nothing is left to start, whether or not all of it did.

        Args:
            after: a `boot_id` that is over; another one is waited for.

        Raises:
            BoxError: it ended, or was not up in time.
        """
        ask = f"cat {_BOOT_ID}; systemctl is-system-running --wait"
        end = time.monotonic() + _BOOT_LIMIT_S
        while time.monotonic() < end:
            try:
                result = self.run(ask, check=False, limit_s=end - time.monotonic())
            except CommandError:
                break
            match result.stdout.split():
                case [boot_id, "running" | "degraded"] if boot_id != after:
                    return
            if self.record.process("keeper") is None:
                raise BoxError(self.name, "ended while it started", "", self._last_words())
            time.sleep(0.02)
        raise BoxError(self.name, f"not up within {_BOOT_LIMIT_S:g} s", "", self._last_words())

    def _last_words(self) -> list[str]:
        logs = (self.record.folder / name for name in ("keeper.log", "console.log"))
        lines = [log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:] for log in logs if log.exists()]
        return [line for part in lines for line in part]

    def run(
        self,
        command: str | Sequence[str],
        *,
        user: str = "root",
        check: bool = True,
        stdin: bytes = b"",
        limit_s: float = _LIMIT_S,
    ) -> Result:
        """Run a command on the box.

        Args:
            command: a shell's command line, or an argv that no shell changes.
            user: who runs it: root, or `lab`.
            check: whether another status than 0 is an error.
            stdin: what it reads.
            limit_s: seconds that it may take.

        Raises:
            CommandError: it failed and `check` is set, or it ran past its limit.
        """
        line = as_command(command)
        result = self.ssh.run(user, line, stdin, limit_s)
        if check and result.status:
            raise failed(self.name, line, result)
        return result

    def answers(self, limit_s: float = 5.0) -> bool:
        """Whether a command runs on the box within a time in seconds."""
        try:
            return self.run("true", check=False, limit_s=limit_s).status == 0
        except CommandError:
            return False

    def put(self, source: Path, target: str, *, user: str = "root") -> None:
        """Copy a file or folder of this machine to the box, with its mode and times."""
        self.ssh.copy(sources=[str(source)], target=self.ssh.remote(user, target))

    def get(self, source: str, target: Path, *, user: str = "root") -> None:
        """Copy a file or folder of the box to this machine, with its mode and times."""
        self.ssh.copy(sources=[self.ssh.remote(user, source)], target=str(target))

    def tunnel(self, port: int, *, user: str = "lab") -> AbstractContextManager[int]:
        """Open a tunnel to a port of the box's loopback; the value is the port of this machine's that leads to it."""
        return self.ssh.tunnel(user, port)

    def reboot(self) -> None:
        """Reboot from inside, as an operator does, and wait until the box is up again."""
        boot_id = self.run(f"cat {_BOOT_ID}").stdout.strip()
        self.run("systemctl reboot", check=False)
        self.await_boot(after=boot_id)

    def shut_down(self) -> None:
        """Shut down from inside and wait until the box is off."""
        self.run("systemctl poweroff", check=False)
        running = self.record.process("keeper")
        if running and not running.wait(_OFF_LIMIT_S):
            raise BoxError(
                self.name, f"not off within {_OFF_LIMIT_S:g} s", f"see {self.record.folder}", self._last_words()
            )
        self.kill()

    def cut_network(self) -> None:
        """Pull the network's cable: packets stop both ways, SSH's too, and connections hang rather than break."""
        network.cut(self.record)

    def restore_network(self) -> None:
        """Plug the network's cable in again."""
        network.restore(self.record)

    def kill(self) -> None:
        """Pull the plug; the disk stays, and `start` boots from it."""
        keeper.end(self.record)
        if self._keeper:
            self._keeper.wait()
            self._keeper = None

    def start(self) -> None:
        """Start a box that was killed or shut down, and wait until it is up."""
        self.power_on()
        self.await_boot()

    def remove(self) -> None:
        """Pull the plug and remove the disk."""
        self.kill()
        keeper.remove(self.record)
