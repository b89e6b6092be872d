"""systemd's view of a profile's service, and orders to it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

CGROUPS = Path("/sys/fs/cgroup")
SYSTEMCTL_S = 30.0
_PROPERTIES = {
    "LoadState": "load",
    "ActiveState": "active",
    "SubState": "sub",
    "Result": "result",
    "ExecMainCode": "code",
    "ExecMainStatus": "status",
    "NRestarts": "restarts",
    "InvocationID": "invocation",
    "ControlGroup": "cgroup",
    "NeedDaemonReload": "stale",
    "Job": "job",
}


@dataclass(frozen=True)
class UnitState:
    """A service as systemd sees it; the texts are systemd's.

    Attributes:
        load: `loaded`, `not-found`, `bad-setting`, …
        active: `active`, `activating`, `deactivating`, `inactive` or `failed`.
        sub: finer: `running`, `auto-restart`, …
        result: why it ended: `success`, `exit-code`, `signal`, `oom-kill`, `timeout`, …
        code: `1` exited, `2` killed, `3` dumped core.
        status: exit status or signal.
        restarts: how often systemd has started it again by itself.
        invocation: of the start that runs or ended last.
        cgroup: below /sys/fs/cgroup; empty where nothing runs.
        stale: `yes` where its file is newer than what systemd has read.
        job: empty where systemd has nothing to do for it.
    """

    load: str
    active: str
    sub: str
    result: str
    code: str
    status: str
    restarts: str
    invocation: str
    cgroup: str
    stale: str
    job: str

    @property
    def up(self) -> bool:
        """Whether the server runs or starts; one that waits for its next start after a crash does not."""
        return self.active in {"active", "activating", "reloading"} and not self.restarting

    @property
    def restarting(self) -> bool:
        """Whether nothing runs, and systemd will start the server again by itself."""
        return self.sub.startswith("auto-restart")

    @property
    def ended(self) -> bool:
        """Whether the server has ended by itself: systemd may be about to start it again."""
        return self.restarts not in {"", "0"} or (not self.up and self.job in {"", "0"})

    @property
    def exit_status(self) -> int:
        """As a shell shows it: the exit status, or 128 and the signal."""
        status = int(self.status or 0)
        return status if self.code in {"", "0", "1"} else 128 + status


def show(unit: str) -> UnitState:
    """Return the state of a service; one that does not exist is `not-found` and inactive."""
    said = _systemctl("show", f"--property={','.join(_PROPERTIES)}", unit).stdout
    values = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
    return UnitState(**{name: values.get(key, "") for key, name in _PROPERTIES.items()})


def start(unit: str) -> None:
    """Ask for a start, without waiting for it; earlier failures and restarts don't count, also of what runs.

    Raises:
        GpuboxError: systemd refuses.
    """
    forget_failures(unit)
    start_next(unit)


def forget_failures(unit: str) -> None:
    """Let the next start of a service be as if it had never failed."""
    if show(unit).restarting:  # systemd would count this start as one more restart, as after a crash of what it started
        _systemctl("stop", unit)
    _systemctl("reset-failed", unit)


def start_next(unit: str) -> None:
    """Ask for a start, without waiting for it, where failures have been forgotten.

    Raises:
        GpuboxError: systemd refuses.
    """
    done = _systemctl("start", "--no-block", unit)
    if done.returncode:
        raise GpuboxError(unit, f"systemd does not start it: {done.stderr.strip()}", f"see systemctl status {unit}")


def stop(names: Sequence[str], limit_s: float) -> None:
    """Stop services, all at once, and wait until they have ended.

    Args:
        names: of the services.
        limit_s: seconds after which to give up; systemd kills what does not stop before.

    Raises:
        GpuboxError: something of them still runs.
    """
    place = ", ".join(names)
    try:
        done = _systemctl("stop", *names, limit_s=limit_s)
    except subprocess.TimeoutExpired:
        fault = f"did not stop within {limit_s:g} s, not even by SIGKILL"
        raise GpuboxError(place, fault, "see what its processes wait for: ps -eo pid,stat,wchan,args") from None
    if done.returncode and any(show(name).load != "not-found" for name in names):
        raise GpuboxError(place, f"systemd does not stop it: {done.stderr.strip()}", f"see systemctl status {names[0]}")


def reload_units() -> None:
    """Let systemd read the units again.

    Raises:
        GpuboxError: it can't.
    """
    done = _systemctl("daemon-reload")
    if done.returncode:
        raise GpuboxError("systemd", f"can't read its units: {done.stderr.strip()}", "see journalctl -b -p err")


def forget(unit: str) -> None:
    """Let systemd forget a service whose file is gone, and that it failed.

    Raises:
        GpuboxError: systemd can't read its units.
    """
    _systemctl("reset-failed", unit)
    reload_units()


def shutting_down() -> bool:
    """Whether the box is on its way down; what stops then has not failed."""
    return _systemctl("is-system-running").stdout.strip() == "stopping"


def log_lines(state: UnitState, count: int = 2000) -> list[str]:
    """Return the last lines that a service's current or last start has logged, oldest first."""
    subprocess.run(["journalctl", "--sync"], capture_output=True, timeout=SYSTEMCTL_S, check=False)
    argv = ["journalctl", "--output=cat", "--no-pager", f"--lines={count}"]
    argv.append(f"_SYSTEMD_INVOCATION_ID={state.invocation}")
    said = subprocess.run(argv, capture_output=True, timeout=SYSTEMCTL_S, check=False).stdout
    return said.decode("utf-8", "replace").splitlines()


def out_of_memory_lines(unit: str, state: UnitState) -> list[str]:
    """Return what systemd and the kernel logged of a service's processes that were killed for want of memory.

    systemd's own word is not among the service's lines, and the result of a container's service is Podman's exit status.
    """
    asked = {
        ("_PID=1", f"INVOCATION_ID={state.invocation}", "--grep=killed by the OOM killer"): "",
        ("--dmesg", "--since=-10min", "--grep=oom-kill:"): f"task_memcg=/system.slice/{unit}",
    }
    found = []
    for words, sign in asked.items():
        argv = ["journalctl", "--output=cat", "--no-pager", *words]
        said = subprocess.run(argv, capture_output=True, timeout=SYSTEMCTL_S, check=False).stdout
        lines = said.decode("utf-8", "replace").splitlines()
        # Without accounting of memory there is no group but the root.
        found += [line for line in lines if sign in line or "task_memcg=/," in line]
    return found


def processes(state: UnitState) -> list[int]:
    """Return the processes of a service, those of its container included."""
    if not state.cgroup:
        return []
    return [pid for file in (CGROUPS / state.cgroup.lstrip("/")).rglob("cgroup.procs") for pid in _members(file)]


def _members(file: Path) -> list[int]:
    try:
        return [int(word) for word in file.read_text().split()]
    except OSError:  # the container's own group has just gone
        return []


def _systemctl(*words: str, limit_s: float = SYSTEMCTL_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=limit_s, check=False)
