"""Start a switch as a transient unit, which whoever asked for it can't take down with them."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_TAG = "gpubox-switch"
PROPERTIES = {
    "SyslogIdentifier": LOG_TAG,
    "Restart": "on-abnormal",
    "RestartSec": "100ms",
    "OOMScoreAdjust": "-900",
}
PROGRAM = "/usr/local/lib/gpubox/switch.pyz"


def new_identity() -> str:
    """Return a name for a switch, which sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"


def unit_of_switch(identity: str) -> str:
    """Return the transient unit of a switch."""
    return f"{LOG_TAG}-{identity}.service"


def launch_command(identity: str, words: Sequence[str], program: str = PROGRAM) -> list[str]:
    """Return the command that starts a switch as a transient unit.

    Killed, it is started again by systemd and ends what it began; ended with an error, it is not. That it stops before the
    profiles when the box goes down stands in a file that the role model_profiles writes for all these units.

    Args:
        identity: of the switch.
        words: the profile, and options.
        program: its path.
    """
    unit = ["--quiet", "--collect", f"--unit={unit_of_switch(identity)}", f"--description=gpubox: switch to {words[0]}"]
    unit += [f"--property={name}={value}" for name, value in PROPERTIES.items()]
    literal = [word.replace("$", "$$") for word in words]  # systemd would put a variable's value there
    return ["systemd-run", *unit, "/usr/bin/python3", "-ISB", program, "run", *literal, f"--id={identity}"]


def asker() -> str:
    """Return who runs this program, for those who find the box busy."""
    user = os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"
    client = os.environ.get("SSH_CLIENT", "").partition(" ")[0]
    return f"{user}@{client}" if client else user
