"""Write a deployment as a shell command, a Quadlet file or a plain systemd unit, all from one command line.

What the files look like is in `templates/`; they take one variable, `unit`, whose texts are already quoted, and
`unit_of` makes it. Ansible's `template` module writes the same bytes from the same file and `unit`, since it too drops
the newline after a block (`trim_blocks`) and keeps the last one. Every text is read back before it is returned.
"""

from __future__ import annotations

import shlex
from itertools import chain
from typing import TYPE_CHECKING, Any

from gpubox.arguments import Form, check_argument, check_line
from gpubox.deployment_faults import check
from gpubox.podman_run import grouped, options
from gpubox.systemd_quoting import quote_exec, split_exec, unit_values
from gpubox.template_files import render_template, template_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from gpubox.deployment import Deployment

_SUFFIX: dict[Form, str] = {"command": ".sh", "quadlet": ".container", "systemd": ".service"}
_TEMPLATE: dict[Form, str] = {
    "command": "podman-run.sh.j2",
    "quadlet": "quadlet.container.j2",
    "systemd": "podman-run.service.j2",
}
_NEEDLESS_CAPABILITIES = (
    "CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_BLOCK_SUSPEND CAP_BPF CAP_CHECKPOINT_RESTORE CAP_IPC_LOCK "
    "CAP_LEASE CAP_LINUX_IMMUTABLE CAP_PERFMON CAP_SYSLOG CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_PACCT "
    "CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM"
)
# What keeps Podman itself, and whatever might break out of its container, from what neither needs. Nothing here gives the
# unit a mount namespace of its own (`podman exec` from outside would miss the container's root), and no_new_privileges is
# left out since under SELinux it keeps Podman from its own domain; the container has it anyway.
_HARDENING = (
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap",
    "SystemCallErrorNumber=EPERM",
    f"CapabilityBoundingSet=~{_NEEDLESS_CAPABILITIES}",
)
_CONTINUED = " \\\n    "
_STOP_GRACE_S = 10  # systemd waits longer than podman, so that podman is the one to kill

# Before the options that the forms share. Podman's generator adds its own to a Quadlet file.
_OWN: dict[Form, tuple[str, ...]] = {
    "command": ("--rm", "--replace"),
    "quadlet": (),
    "systemd": ("--detach", "--rm", "--replace", "--cgroups=split", "--sdnotify=conmon"),
}


def render(deployment: Deployment, form: Form) -> str:
    r"""Write a deployment in one form.

    Args:
        deployment: what to run.
        form: `command` is one `podman run` command for a POSIX shell, in the foreground; `quadlet` a file for
            /etc/containers/systemd (Podman 4.4 or newer); `systemd` a unit for /etc/systemd/system (older Podman).

    Returns:
        The whole file, with `\n` line ends, to be encoded in UTF-8.

    Raises:
        DocumentError: the deployment has faults.
        ArgumentError: the form can't carry an argument.
    """
    unit = unit_of(deployment, form)
    text = render_template(_TEMPLATE[form], unit=unit)
    _check_read_back(deployment, form, text)
    return text


def unit_filename(deployment: Deployment, form: Form) -> str:
    """Return the name of the file that `render` writes: `NAME.sh`, `NAME.container` or `NAME.service`."""
    return deployment.name + _SUFFIX[form]


def template_path(form: Form) -> Path:
    """Return the template of a form."""
    return template_folder() / _TEMPLATE[form]


def unit_of(deployment: Deployment, form: Form) -> dict[str, Any]:
    """Make the variable `unit` that a form's template takes.

    Args:
        deployment: what to run.
        form: the form.

    Returns:
        Texts, numbers, booleans and lists of texts by name, with all quoting done, fit for JSON.

    Raises:
        DocumentError: the deployment has faults.
        ArgumentError: the form can't carry an argument.
    """
    check(deployment)
    _check_arguments(deployment, form)
    if form == "command":
        return {"command": _continued(_groups(deployment, form), shlex.join)}
    # systemd stops a unit before it starts another, whichever of them comes first; but two that come after each other are a
    # circle, out of which it drops the stop of one when the box goes down.
    later = {rival for rival in deployment.conflicts if rival > f"{deployment.name}.service"}
    unit = {
        "name": deployment.name,
        "description": deployment.description.replace("%", "%%"),
        "after": " ".join(["network-online.target", *(rival for rival in deployment.conflicts if rival not in later)]),
        "before": " ".join(sorted(later)),
        "conflicts": " ".join(deployment.conflicts),
        "restart": deployment.restart.policy,
        "restart_delay_s": deployment.restart.delay_s,
        "start_burst": deployment.restart.burst,
        "start_window_s": deployment.restart.window_s,
        "start_timeout_s": deployment.start_timeout_s,
        "stop_timeout_s": deployment.stop_timeout_s + _STOP_GRACE_S,
        "hardening": list(_HARDENING),
        "start_at_boot": deployment.start_at_boot,
    }
    if form == "systemd":
        sources = sorted({mount.source for mount in deployment.mounts})
        return unit | {
            "mounts_for": " ".join(("%t/containers", *sources)),
            "run": _continued(_groups(deployment, form), quote_exec),
        }
    return unit | {
        "image": deployment.image,
        "options": [option.quadlet_line for option in options(deployment)],
        "exec": _continued(grouped(deployment.argv), quote_exec),
    }


def command_line(deployment: Deployment, form: Form) -> list[str]:
    """Return the argv of podman that a form executes; for `quadlet`, less what Podman's generator adds.

    Args:
        deployment: without faults.
        form: the form.

    Returns:
        `podman run`, options, image, server arguments.
    """
    return ["podman", "run", *chain.from_iterable(_groups(deployment, form))]


def _check_arguments(deployment: Deployment, form: Form) -> None:
    for option in options(deployment):
        check_argument(f"{deployment.name}: {option.place}", option.argument, form)
    for position, arg in enumerate(deployment.argv, start=1):
        check_argument(f"{deployment.name}: argument {position}", arg, form)
    check_line(deployment.name, command_line(deployment, form), form)


def _groups(deployment: Deployment, form: Form) -> list[list[str]]:
    """Group what follows `podman run` into the lines that a reader sees."""
    shared = [[option.argument] for option in options(deployment)]
    return [[f"--name={deployment.name}", *_OWN[form]], *shared, [deployment.image], *grouped(deployment.argv)]


def _continued(groups: Iterable[Sequence[str]], quote: Callable[[Sequence[str]], str]) -> str:
    return _CONTINUED.join(map(quote, groups))


def _check_read_back(deployment: Deployment, form: Form, text: str) -> None:
    """Read the text as its reader will; a difference is a bug here, never the user's fault."""
    expected = command_line(deployment, form)
    if form == "command":
        # shlex makes a word of each continued line's end; an argument that is but a newline goes with them
        found, expected = (list(filter("\n".__ne__, words)) for words in (shlex.split(text), expected))
    elif form == "systemd":
        (value,) = unit_values(text, "Service", "ExecStart")
        found = ["podman", *split_exec(value)[1:]]
    else:
        expected = list(deployment.argv)
        values = unit_values(text, "Container", "Exec")
        found = split_exec(f"podman {values[0]}")[1:] if values else []
    assert found == expected, f"{form} of {deployment.name}: written {expected}, read back {found}"
