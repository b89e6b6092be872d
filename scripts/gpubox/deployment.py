"""What a unit needs to run one server in one container, whatever the form it is written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Mount:
    """A bind mount.

    Attributes:
        source: absolute path on the host.
        target: absolute path in the container.
        read_only: mounted `ro`.
        relabel: SELinux label that all containers share (`z`); relabelling walks the whole tree once.
    """

    source: str
    target: str
    read_only: bool = True
    relabel: bool = False


@dataclass(frozen=True)
class Port:
    """A published TCP port.

    Attributes:
        host_ip: address to listen on; `0.0.0.0` serves the LAN.
        host_port: 1 to 65535.
        container_port: 1 to 65535.
    """

    host_ip: str
    host_port: int
    container_port: int


@dataclass(frozen=True)
class Secret:
    """A Podman secret, mounted as a file.

    Attributes:
        name: as `podman secret ls` shows it.
        target: absolute path in the container.
    """

    name: str
    target: str


@dataclass(frozen=True)
class Health:
    """A health check that Podman runs in the container.

    Attributes:
        command: a shell command line.
        interval_s: between two checks.
        timeout_s: after which a check counts as failed.
        retries: failed checks in a row that make the container unhealthy.
        start_period_s: in which failures do not count; at least the time that the model takes to load.
    """

    command: str
    interval_s: int = 30
    timeout_s: int = 5
    retries: int = 3
    start_period_s: int = 0


@dataclass(frozen=True)
class Restart:
    """When systemd starts the server again, and when it gives up.

    Attributes:
        policy: systemd's `Restart=`.
        delay_s: before each new start.
        burst: starts within `window_s` after which systemd gives up, so that a crash loop ends.
        window_s: longer than `burst` loads of the model, else the loop never ends.
    """

    policy: Literal["no", "on-failure", "always"] = "on-failure"
    delay_s: int = 10
    burst: int = 3
    window_s: int = 3600


@dataclass(frozen=True)
class Deployment:
    """One server in one container under one unit.

    Attributes:
        name: of the unit, without suffix, and of the container.
        description: one line for `systemctl status`.
        image: reference or digest.
        argv: what follows the image: the server's arguments, in order.
        devices: CDI names (`nvidia.com/gpu=all`) or device paths.
        mounts: bind mounts.
        publish: published ports; empty with `host_network`.
        host_network: share the host's network instead.
        add_capabilities: kept, without `CAP_`; all others are dropped. SYS_NICE lets the server raise thread priority.
        no_new_privileges: setuid programs in the container gain nothing.
        read_only_root: the image's file system can't be written; /tmp, /run, /dev/shm stay writable (tmpfs).
        tmpfs: further absolute paths in the container to mount a tmpfs on.
        environment: variables by name.
        secrets: mounted secrets.
        podman_args: further options of `podman run`, for what has no field (`--ulimit=memlock=-1:-1`).
        pull: `never` for images built on the box, which no registry has.
        conflicts: full names of services (`glm.service`) that systemd stops before this one starts.
        start_at_boot: wanted by multi-user.target.
        start_timeout_s: until the container runs; covers the pull of an image, not the load of the model.
        stop_timeout_s: between SIGTERM and SIGKILL.
        restart: restart policy.
        health: health check, or None.
    """

    name: str
    description: str
    image: str
    argv: tuple[str, ...]
    devices: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    publish: tuple[Port, ...] = ()
    host_network: bool = False
    add_capabilities: tuple[str, ...] = ("SYS_NICE",)
    no_new_privileges: bool = True
    read_only_root: bool = True
    tmpfs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    podman_args: tuple[str, ...] = ()
    pull: Literal["missing", "never"] = "missing"
    conflicts: tuple[str, ...] = ()
    start_at_boot: bool = False
    start_timeout_s: int = 900
    stop_timeout_s: int = 60
    restart: Restart = Restart()
    health: Health | None = None
