"""What can be wrong with a deployment, its argv apart.

The rules are those of the strictest reader of each field (podman, its generator, systemd), so that a deployment without
faults can be written in every form. The argv is judged per form, by `arguments.py`.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar

from gpubox.errors import DocumentError, Fault
from gpubox.systemd_quoting import NONCHARACTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.deployment import Deployment

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NAME_MAX = 245  # with `.container` a file name's 255 bytes
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.service")
_IMAGE = re.compile(r"[A-Za-z0-9[][A-Za-z0-9._:/@\[\]-]*")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*/[A-Za-z0-9._-]+=[A-Za-z0-9._:-]+|/dev/[A-Za-z0-9._/:-]+")
_PATH = re.compile(r"""/[^\s:,"'\\$%]*""")
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE_BREAKING = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029]|{NONCHARACTER.pattern}")
_Item = TypeVar("_Item")
_TEXT_MAX = 4095  # PATH_MAX; far below any line limit
_Found = tuple[str, str, object, str]  # field, fault, value, remedy


def check(deployment: Deployment) -> None:
    """Refuse a deployment that some form can't express.

    Raises:
        DocumentError: all faults at once, under the deployment's name.
    """
    faults = faults_of(deployment, deployment.name or "deployment")
    if faults:
        raise DocumentError(faults)


def faults_of(deployment: Deployment, file: str) -> list[Fault]:
    """Find all faults of a deployment, its argv apart.

    Args:
        deployment: to look through.
        file: what the faults name as their place: the document that the deployment came from.

    Returns:
        Faults in the order of the fields; empty where all is well.
    """
    return [
        Fault(file, place, fault, repr(got), remedy)
        for faults in (_identity, _privileges, _files, _network, _runtime)
        for place, fault, got, remedy in faults(deployment)
    ]


def _identity(deployment: Deployment) -> Iterator[_Found]:
    if not _NAME.fullmatch(deployment.name) or len(deployment.name) > _NAME_MAX:
        yield (
            "name",
            "not a name for a unit and a container",
            deployment.name,
            f"use letters, digits, '_', '.', '-', a letter or digit first, {_NAME_MAX} characters at most",
        )
    text = deployment.description
    if not text or text != text.strip() or text.endswith("\\") or len(text) > _TEXT_MAX or not _is_one_line(text):
        yield (
            "description",
            "not one line of plain text",
            text,
            "give text without control characters, without spaces around it and without a backslash at its end",
        )
    if not _IMAGE.fullmatch(deployment.image) or deployment.image.endswith((".image", ".build")):
        yield "image", "not an image reference", deployment.image, "give registry/name:tag or registry/name@sha256:…"


def _files(deployment: Deployment) -> Iterator[_Found]:
    for place, mount in _numbered("mounts", deployment.mounts):
        yield from _path(f"{place}.source", mount.source)
        yield from _path(f"{place}.target", mount.target)
    for place, path in _numbered("tmpfs", deployment.tmpfs):
        yield from _path(place, path)
    for place, secret in _numbered("secrets", deployment.secrets):
        if not _NAME.fullmatch(secret.name):
            yield f"{place}.name", "not the name of a secret", secret.name, "use letters, digits, '_', '.', '-'"
        yield from _path(f"{place}.target", secret.target)


def _privileges(deployment: Deployment) -> Iterator[_Found]:
    for place, device in _numbered("devices", deployment.devices):
        if not _DEVICE.fullmatch(device):
            yield place, "not a device", device, "give a CDI name such as nvidia.com/gpu=all, or a path below /dev"
    for place, capability in _numbered("add_capabilities", deployment.add_capabilities):
        if not _CAPABILITY.fullmatch(capability) or capability.startswith("CAP_"):
            yield place, "not a capability", capability, "write it in capitals without CAP_, as in SYS_NICE"


def _network(deployment: Deployment) -> Iterator[_Found]:
    if deployment.host_network and deployment.publish:
        yield (
            "publish",
            "no port can be published on the host's network",
            len(deployment.publish),
            "drop one of the two",
        )
    for place, port in _numbered("publish", deployment.publish):
        if not _is_address(port.host_ip):
            yield f"{place}.host_ip", "not an IP address", port.host_ip, "give 127.0.0.1, 0.0.0.0 or the box's address"
        for side in ("host_port", "container_port"):
            number = getattr(port, side)
            if not 1 <= number <= 65535:
                yield f"{place}.{side}", "not a TCP port", number, "give 1 to 65535"


def _runtime(deployment: Deployment) -> Iterator[_Found]:
    for name in deployment.environment:
        if not _VARIABLE.fullmatch(name):
            yield "environment", "not a variable's name", name, "use letters, digits and '_', a digit not first"
    for place, unit in _numbered("conflicts", deployment.conflicts):
        if not _UNIT.fullmatch(unit) or unit == f"{deployment.name}.service":
            yield place, "not the name of another service", unit, "give it whole, as in glm.service"
    for place, seconds in _durations(deployment):
        if seconds < 1:
            yield place, "below 1", seconds, "give a whole number from 1"
    if deployment.health and deployment.health.start_period_s < 0:
        yield "health.start_period_s", "below 0", deployment.health.start_period_s, "give seconds"
    if deployment.health and not deployment.health.command.strip():
        yield "health.command", "empty", deployment.health.command, "give a command, or no health check"


def _durations(deployment: Deployment) -> Iterator[tuple[str, int]]:
    yield "start_timeout_s", deployment.start_timeout_s
    yield "stop_timeout_s", deployment.stop_timeout_s
    yield "restart.delay_s", deployment.restart.delay_s
    yield "restart.burst", deployment.restart.burst
    yield "restart.window_s", deployment.restart.window_s
    if deployment.health:
        yield "health.interval_s", deployment.health.interval_s
        yield "health.timeout_s", deployment.health.timeout_s
        yield "health.retries", deployment.health.retries


def _path(place: str, path: str) -> Iterator[_Found]:
    if not _PATH.fullmatch(path) or len(path.encode(errors="replace")) > _TEXT_MAX or not _is_one_line(path):
        # podman's --volume splits at ':', --secret at ','; RequiresMountsFor=, which Podman's generator adds, at spaces
        yield (
            place,
            "not a path that podman and systemd both take",
            path,
            r"""give an absolute path without spaces and : , " ' \ $ %""",
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # podman has no notion of an IPv6 scope


def _is_one_line(text: str) -> bool:
    return not _LINE_BREAKING.search(text)


def _numbered(name: str, items: tuple[_Item, ...]) -> Iterator[tuple[str, _Item]]:
    return ((f"{name}[{index}]", item) for index, item in enumerate(items))
