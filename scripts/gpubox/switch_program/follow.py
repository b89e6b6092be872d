"""Tell how a switch goes to whoever asks: from its events and, where a reboot has taken them, from the state."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.switch_program.events import follow
from gpubox.switch_program.launch import LOG_TAG, unit_of_switch
from gpubox.switch_program.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from gpubox.switch_program.paths import Paths


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
