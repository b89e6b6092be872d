"""The state of several boxes at a glance, asked of all at once: a box that does not answer costs the others nothing."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from gpubox.box_facts import ask_status
from gpubox.errors import BoxError, GpuboxError
from gpubox.profile_files import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 32


@dataclass(frozen=True)
class BoxStatus:
    """One box.

    Attributes:
        box: its name.
        status: as `gpubox.switch_program.box.status` returns it; empty where the box did not answer.
        drift: what is no longer as it was declared or deployed, in words.
        fault: why the box did not answer; empty where it did.
        trace: the traceback where it was gpubox that failed on it: a bug of ours.
    """

    box: str
    status: dict[str, Any] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    fault: str = ""
    trace: str = ""

    @property
    def well(self) -> bool:
        """Whether it answered, and what is active serves as declared."""
        return not (self.fault or self.drift) and all(self.status["serving"].values())


def ask_fleet(hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[BoxStatus]:
    """Yield the status of every box as it answers, so that one that is silent keeps none waiting.

    Args:
        hosts: variables of the boxes, by name.
    """
    todo = SimpleQueue[tuple[str, Mapping[str, Any]]]()
    answers = SimpleQueue[BoxStatus]()
    for host in hosts.items():
        todo.put(host)
    for _ in range(min(len(hosts), AT_ONCE)):
        # Daemons, so that Ctrl-C does not wait for a box that is silent.
        Thread(target=_ask_some, args=(todo, answers), daemon=True).start()
    for _ in hosts:
        yield answers.get()


def ago(since: str, now: float | None = None) -> str:
    """Return an ISO 8601 time as how long ago it is: `12 s`, `5 min`, `3 h`, `2 d`."""
    from datetime import datetime  # noqa: PLC0415  # asked for by tables alone

    seconds = (now or time.time()) - datetime.fromisoformat(since).timestamp()
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _ask_some(todo: SimpleQueue[tuple[str, Mapping[str, Any]]], answers: SimpleQueue[BoxStatus]) -> None:
    with suppress(Empty):
        while True:
            answers.put(_ask(*todo.get_nowait()))


def _ask(name: str, variables: Mapping[str, Any]) -> BoxStatus:
    try:
        status = ask_status(name, variables)
        return BoxStatus(name, status, tuple(_drift(status)))
    except BoxError as error:
        return BoxStatus(name, fault=error.fault)
    except Exception as error:  # noqa: BLE001  # one box's must cost the others nothing; whoever shows it tells of it
        fault = f"gpubox failed on it: {type(error).__name__}: {error}"
        return BoxStatus(name, fault=fault, trace=traceback.format_exc())


def _drift(status: Mapping[str, Any]) -> Iterator[str]:
    for profile, hashed in status["hashes"].items():
        try:
            if load_profile(profile).hash != hashed:
                yield f"{profile} was changed after its deployment; run playbooks/profiles.yml"
        except GpuboxError as error:
            yield f"{profile} is deployed and can't be read here: {error.fault}"
    yield from status["drift"]
