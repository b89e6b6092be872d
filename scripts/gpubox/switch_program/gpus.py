"""Who holds the memory of the GPUs, and the wait until it is free."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.errors import GpuboxError
from gpubox.switch_program.questions import CARDS, HOLDERS, answer, smi_question
from gpubox.switch_program.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

SMI_S = 30.0
POLL_S = 0.05
GONE_S = 0.005
# What a driver may keep of a GPU for a while after the last process has gone.
SLACK_MIB = 256
_UNIT = re.compile(r"/([^/]+)\.(?:service|scope)(?:/|$)")


@dataclass(frozen=True)
class Card:
    """A GPU: `index` and `uuid` as nvidia-smi names it, and its memory in MiB."""

    index: int
    uuid: str
    used_mib: int
    total_mib: int


@dataclass(frozen=True)
class Holder:
    """A process that holds memory of a GPU; `mib` is 0 where the driver does not say how much."""

    uuid: str
    pid: int
    name: str
    mib: int

    @property
    def unit(self) -> str:
        """The service or scope that it belongs to, without suffix; empty for none."""
        return unit_of(self.pid)

    def __str__(self) -> str:
        where = f", {self.unit}" if self.unit else ""
        return f"{self.name} (pid {self.pid}{where}) holds {self.mib} MiB of {self.uuid}"


def cards() -> list[Card]:
    """Return the GPUs of this box.

    Raises:
        GpuboxError: nvidia-smi is missing or fails.
    """
    rows = _ask(CARDS)
    return [Card(int(index), uuid, _number(used), _number(total)) for index, uuid, used, total in rows]


def holders() -> list[Holder]:
    """Return the processes that hold memory of a GPU.

    Raises:
        GpuboxError: nvidia-smi is missing or fails.
    """
    rows = _ask(HOLDERS)
    return [Holder(uuid, int(pid), Path(", ".join(name)).name, _number(mib)) for uuid, pid, *name, mib in rows]


def cards_and_holders() -> tuple[list[Card], list[Holder]]:
    """Return both, asked for at the same time: nvidia-smi is slow to start.

    Raises:
        GpuboxError: nvidia-smi is missing or fails.
    """
    present, held = together(cards, holders)
    return present, held


def sensors() -> list[dict[str, object]]:
    """Return what the GPUs measure: `index`, `name`, `used_mib`, `total_mib`, `power_w`, `temperature_c`, `driver`.

    A measure that a GPU does not have is None; a box without GPUs, or with a driver that fails, has none.
    """
    try:
        rows = list(_ask("--query-gpu=index,name,memory.used,memory.total,power.draw,temperature.gpu,driver_version"))
    except GpuboxError:
        return []
    return [
        {
            "index": int(index),
            "name": ", ".join(name),
            "used_mib": _number(used),
            "total_mib": _number(total),
            "power_w": _measure(power),
            "temperature_c": _measure(heat),
            "driver": driver,
        }
        for index, *name, used, total, power, heat, driver in rows
    ]


def chosen(gpus: str | list[int | str], present: Collection[Card]) -> list[Card]:
    """Return the GPUs that a profile means.

    Args:
        gpus: `all`, `none`, or indices and UUIDs.
        present: the GPUs of the box.

    Raises:
        GpuboxError: the box has no such GPU.
    """
    if gpus in ("all", "none"):
        return list(present) if gpus == "all" else []
    found = []
    for wanted in gpus:
        match = next((card for card in present if wanted in (card.index, card.uuid)), None)
        if match is None:
            known = ", ".join(f"{card.index} ({card.uuid})" for card in present) or "none"
            raise GpuboxError(f"GPU {wanted}", "is not in this box", f"it has {known}; correct gpus in the profile")
        found.append(match)
    return found


def not_free(wanted: Collection[Card], present: Collection[Card], held: Collection[Holder]) -> str:
    """Return what holds GPUs that should be free, or an empty string.

    Args:
        wanted: the GPUs as they were while others served; `used_mib` is what may stay in use.
        present: the GPUs as they are.
        held: by whom they are held now.
    """
    uuids = {card.uuid for card in wanted}
    found = [str(one) for one in held if one.uuid in uuids]
    if found:
        return "; ".join(found)
    used = {card.uuid: card.used_mib for card in present}
    full = [card for card in wanted if used.get(card.uuid, 0) > card.used_mib + SLACK_MIB]
    return "; ".join(f"{used[card.uuid]} MiB of {card.uuid} are in use by no process that is seen" for card in full)


def wait_until_free(wanted: Collection[Card], limit_s: float, on_wait: Callable[[str], None]) -> float:
    """Wait until the memory of some GPUs is free.

    Args:
        wanted: as `not_free` takes them.
        limit_s: seconds to wait at most.
        on_wait: told what holds them, whenever that changes.

    Returns:
        The seconds that it took.

    Raises:
        GpuboxError: they were not free in time; names the process.
    """
    begun, told = time.monotonic(), ""
    while True:
        try:
            said = not_free(wanted, *cards_and_holders())
        except GpuboxError as error:  # it answered before the stop, so it will again
            said = str(error)
        waited = time.monotonic() - begun
        if not said:
            return waited
        if waited >= limit_s:
            raise GpuboxError("VRAM", f"not free after {limit_s:g} s: {said}", "end that process, then switch again")
        if said != told:
            told = said
            on_wait(said)
        time.sleep(POLL_S)


def free_after(wanted: Collection[Card], held: Collection[Holder], stopped: Callable[[], bool]) -> bool:
    """Wait until some processes have ended that hold GPUs, and return whether the memory is free then.

    It can be while their services still stop. That it is not, or can't be told, is no error: `wait_until_free` tells it.

    Args:
        wanted: as `not_free` takes them.
        held: by whom they are held.
        stopped: says when there is nothing more to wait for.
    """
    alive = {Path(f"/proc/{one.pid}") for one in held}
    while alive and not stopped():
        alive = {path for path in alive if path.exists()}
        time.sleep(GONE_S)
    try:
        return not alive and not not_free(wanted, *cards_and_holders())
    except GpuboxError:
        return False


def unit_of(pid: int) -> str:
    """Return the service or scope of a process, without suffix; empty where it can't be told."""
    try:
        names = _UNIT.findall(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        return ""
    # A container's own scope is inside the service that started it.
    return next((name for name in names if not name.startswith("libpod-")), "")


def _ask(query: str) -> Iterator[list[str]]:
    try:
        said = answer(smi_question(query), SMI_S)
    except (FileNotFoundError, PermissionError):
        raise GpuboxError("nvidia-smi", "is not installed", "run playbooks/provision.yml") from None
    except subprocess.TimeoutExpired:
        raise GpuboxError("nvidia-smi", f"gives no answer within {SMI_S:g} s", "see journalctl -k for NVRM") from None
    if said.returncode:
        first = (said.stdout + said.stderr).strip().partition("\n")[0]
        raise GpuboxError("nvidia-smi", first or f"ended with exit status {said.returncode}", "mend the driver first")
    rows = (line.split(", ") for line in said.stdout.splitlines())  # a name may have commas of its own
    return (row for row in rows if len(row) > query.count(","))


def _measure(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0
