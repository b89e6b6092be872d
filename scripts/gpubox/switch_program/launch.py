"""Start a switch as a transient unit, which whoever asked for it can't take down with them."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_TAG = "gpubox-switch"
PROGRAM = "/usr/local/lib/gpubox/switch.pyz"


def new_identity() -> str:
    """Return a name for a switch, which sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"


def unit_of_switch(identity: str) -> str:
    """Return the transient unit of a switch."""
    return f"{LOG_TAG}-{identity}.service"


def launch_command(identity: str, words: Sequence[str], program: str = PROGRAM) -> list[str]:
    """Return the command that starts a switch as a transient unit.

    What else holds for these units stands in a file that the role model_profiles puts beside them: killed, one is started
    again by systemd and ends what it began; and when the box goes down, it stops before the profiles.

    Args:
        identity: of the switch.
        words: the profile, and options.
        program: its path.
    """
    unit = ["--quiet", "--collect", f"--unit={unit_of_switch(identity)}", f"--description=gpubox: switch to {words[0]}"]
    literal = [word.replace("$", "$$") for word in words]  # systemd would put a variable's value there
    return ["systemd-run", *unit, "/usr/bin/python3", "-ISB", program, "run", *literal, f"--id={identity}"]


def asker() -> str:
    """Return who runs this program, for those who find the box busy."""
    user = os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"
    client = os.environ.get("SSH_CLIENT", "").partition(" ")[0]
    return f"{user}@{client}" if client else user
