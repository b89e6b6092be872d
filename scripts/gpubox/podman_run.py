"""The one `podman run` command line of a deployment, from which all three forms are written.

Each option is stated once, with its flag and the Quadlet key that Podman's generator turns into that flag. The keys are
those of Podman 4.4, Quadlet's first release, which refuses a file with a key that it does not know; an option that got
its key later (`Tmpfs=`, `Secret=`, `HealthCmd=`, `StopTimeout=`, `Pull=`) goes through `PodmanArgs=`. That one is split
like `Exec=`, so it also carries a health command with quotes, of which `HealthCmd=` up to Podman 5.4 loses the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from gpubox.systemd_quoting import quote_exec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpubox.deployment import Deployment, Health, Mount, Port


@dataclass(frozen=True)
class Option:
    """One option of `podman run`.

    Attributes:
        place: the deployment's field that it comes from.
        argument: as podman takes it, one word.
        key: its Quadlet key; empty where Podman 4.4 has none.
        value: the key's value, already quoted where the key's reader unquotes.
    """

    place: str
    argument: str
    key: str = ""
    value: str = ""

    @property
    def quadlet_line(self) -> str:
        """The option as a line of a Quadlet file's `[Container]` section."""
        return f"{self.key}={self.value}" if self.key else f"PodmanArgs={quote_exec([self.argument])}"


def options(deployment: Deployment) -> Iterator[Option]:
    """Yield the options of `podman run` between the container's name and the image.

    Args:
        deployment: without faults.

    Yields:
        Options in a fixed order; those that a user gave in the user's order.
    """
    yield from _privileges(deployment)
    yield from _files(deployment)
    yield from _network(deployment)
    for name, value in deployment.environment.items():
        assignment = f"{name}={value}"
        yield Option(f"environment.{name}", f"--env={assignment}", "Environment", quote_exec([assignment]))
    yield Option("stop_timeout_s", f"--stop-timeout={deployment.stop_timeout_s}")
    if deployment.pull != "missing":
        yield Option("pull", f"--pull={deployment.pull}")
    if deployment.health:
        yield from _health(deployment.health)
    for index, argument in enumerate(deployment.podman_args):
        yield Option(f"podman_args[{index}]", argument)


def grouped(args: Sequence[str]) -> list[list[str]]:
    """Group an argv for reading: an option begins a group, its values stay with it.

    Args:
        args: an argv, or its tail.

    Returns:
        Non-empty groups that, joined, are `args`. A negative number is a value.
    """
    groups: list[list[str]] = []
    for arg in args:
        is_option = arg.startswith("-") and not arg[1:2].isdigit()
        if is_option or not groups:
            groups.append([arg])
        else:
            groups[-1].append(arg)
    return groups


def _privileges(deployment: Deployment) -> Iterator[Option]:
    for index, device in enumerate(deployment.devices):
        yield Option(f"devices[{index}]", f"--device={device}", "AddDevice", device)
    yield Option("add_capabilities", "--cap-drop=all", "DropCapability", "all")
    for index, capability in enumerate(deployment.add_capabilities):
        yield Option(f"add_capabilities[{index}]", f"--cap-add={capability}", "AddCapability", capability)
    if deployment.no_new_privileges:
        yield Option("no_new_privileges", "--security-opt=no-new-privileges", "NoNewPrivileges", "true")
    if deployment.read_only_root:
        yield Option("read_only_root", "--read-only", "ReadOnly", "true")
        # CUDA and NCCL write to /dev/shm; the generator of Podman 4.4 turns this off unless told
        yield Option("read_only_root", "--read-only-tmpfs=true")


def _files(deployment: Deployment) -> Iterator[Option]:
    for index, path in enumerate(deployment.tmpfs):
        yield Option(f"tmpfs[{index}]", f"--tmpfs={path}")
    for index, mount in enumerate(deployment.mounts):
        volume = _volume(mount)
        yield Option(f"mounts[{index}]", f"--volume={volume}", "Volume", volume)
    for index, secret in enumerate(deployment.secrets):
        yield Option(f"secrets[{index}]", f"--secret={secret.name},type=mount,target={secret.target}")


def _volume(mount: Mount) -> str:
    # `z` is the label that containers share: `Z` would take a model away from another profile that serves it
    flags = ["ro" if mount.read_only else "rw", *(["z"] if mount.relabel else [])]
    return f"{mount.source}:{mount.target}:{','.join(flags)}"


def _network(deployment: Deployment) -> Iterator[Option]:
    if deployment.host_network:
        yield Option("host_network", "--network=host", "Network", "host")
    for index, port in enumerate(deployment.publish):
        mapping = _mapping(port)
        yield Option(f"publish[{index}]", f"--publish={mapping}", "PublishPort", mapping)


def _mapping(port: Port) -> str:
    address = f"[{port.host_ip}]" if ip_address(port.host_ip).version == 6 else port.host_ip
    return f"{address}:{port.host_port}:{port.container_port}"


def _health(health: Health) -> Iterator[Option]:
    yield Option("health.command", f"--health-cmd={health.command}")
    yield Option("health.interval_s", f"--health-interval={health.interval_s}s")
    yield Option("health.timeout_s", f"--health-timeout={health.timeout_s}s")
    yield Option("health.retries", f"--health-retries={health.retries}")
    yield Option("health.start_period_s", f"--health-start-period={health.start_period_s}s")
