"""Start a switch as a transient unit, which whoever asked for it can't take down with them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.switch_program.events import follow
from gpubox.switch_program.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from gpubox.switch_program.paths import Paths

LOG_TAG = "gpubox-switch"
SYSTEMD_RUN_S = 30.0


def new_identity() -> str:
    """Return a name for a switch, which sorts by time."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def unit_of_switch(identity: str) -> str:
    """Return the transient unit of a switch."""
    return f"{LOG_TAG}-{identity}.service"


def launch(identity: str, words: Sequence[str], services: Iterable[str]) -> None:
    """Start this program again, as a transient unit.

    Killed, it is started again by systemd and ends what it began; ended with an error, it is not.

    Args:
        identity: of the switch.
        words: what follows the program's name.
        services: units of profiles; when the box goes down, the switch stops before them.

    Raises:
        GpuboxError: systemd does not start it.
    """
    properties = {
        "SyslogIdentifier": LOG_TAG,
        "Restart": "on-abnormal",
        "RestartSec": "100ms",
        "OOMScoreAdjust": "-900",
        "After": " ".join(services),
    }
    argv = ["systemd-run", "--quiet", "--collect", f"--unit={unit_of_switch(identity)}"]
    argv += [f"--description=gpubox: {' '.join(words[:3])}"]
    argv += [f"--property={name}={value}" for name, value in properties.items()]
    argv += [sys.executable, "-ISB", sys.argv[0], *words]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=SYSTEMD_RUN_S, check=False)
    if said.returncode:
        raise GpuboxError("systemd-run", said.stderr.strip() or "failed", "is this root on a box with systemd?")


def follow_switch(paths: Paths, identity: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a switch until its end; where a reboot has taken them, the end that the state tells.

    Raises:
        GpuboxError: it ended without a word.
    """
    ended = False
    for event in follow(paths.events(identity), _alive(paths, identity)):
        ended = event["event"] == "end"
        yield event
    if ended:
        return
    state = StateFile(paths.state).read()
    switch = state.switch
    if switch is None or switch.id != identity or not switch.outcome:
        remedy = f"see journalctl -t {LOG_TAG}"
        raise GpuboxError(identity, "this switch has ended without a word", remedy)
    active = sorted(state.active)
    yield {"event": "end", "outcome": switch.outcome, "text": switch.summary, "id": identity, "active": active}


def _alive(paths: Paths, identity: str) -> Iterator[bool]:
    """Say again and again whether a switch may still tell its end: its unit is up, or the boot is about to end it."""
    while True:
        units = [unit_of_switch(identity), "gpubox-boot.service"]
        said = subprocess.run(["systemctl", "is-active", *units], capture_output=True, text=True, check=False)
        if any(word in {"active", "activating", "deactivating"} for word in said.stdout.split()):
            yield True
            continue
        switch = StateFile(paths.state).read().switch
        booting = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False)
        unended = switch is not None and switch.id == identity and not switch.outcome
        yield unended and booting.stdout.strip() in {"initializing", "starting", "stopping"}


def asker() -> str:
    """Return who runs this program, for those who find the box busy."""
    user = os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"
    client = os.environ.get("SSH_CLIENT", "").partition(" ")[0]
    return f"{user}@{client}" if client else user
