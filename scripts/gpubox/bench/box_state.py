"""What serves on a box before it is measured, and how that comes to serve again."""

from __future__ import annotations

import json
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gpubox.box_switch import ask_switch
from gpubox.errors import BoxError, nearest
from gpubox.switch_program.launch import PROGRAM
from gpubox.switch_program.profiles import BoxProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpubox.bench.box import Host
    from gpubox.box_connection import BoxConnection
    from gpubox.telemetry.box_watch import BoxWatch

PROFILES = "/var/lib/gpubox/profiles.json"
BUSY_POLL_S = 1.0
# How the box's state tells a benchmark's switch from anybody else's.
_MARK = "(benchmark "


class BoxState:
    """The profiles that serve on a box, around a benchmark.

    Args:
        connection: to the box.
        watch: which holds its lock.
        batch: the benchmark; empty for a restoration alone.
        who: asks.
        host: the box.
        say: told of progress.

    Attributes:
        serving: the profiles that serve when it begins.
    """

    def __init__(
        self,
        connection: BoxConnection,
        watch: BoxWatch,
        *,
        batch: str,
        who: str,
        host: Host,
        say: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._watch = watch
        self._batch = batch
        self._who = who
        self._host = host
        self._say = say
        self._before: list[str] = []
        self.serving: list[str] = []

    def begin(self) -> None:
        """Learn what serves, or what an earlier benchmark that was interrupted has to put back; write it down there.

        Raises:
            BoxError: the box can't be asked.
        """
        adopted, status = self.adopt(), self._status()
        self.serving = [name for name, serves in status["serving"].items() if serves]
        if not adopted:
            self._before = sorted(status["active"])
        note = {"batch": self._batch, "by": self._who, "active": self._before, "after": _last(status["switch"])}
        self._watch.write_note(note)

    def adopt(self) -> bool:
        """Take over what an earlier benchmark has left to be put back; return whether there is something.

        Raises:
            BoxError: the box can't be asked.
        """
        note, status = self._watch.note, self._idle()
        left = to_put_back(note, status["switch"])
        if left is None or note is None:
            return False
        self._before, self._batch = left, self._batch or str(note["batch"])
        if left != sorted(status["active"]):
            self._say(f"{self._host.name}: a benchmark by {note['by']} was interrupted; before it {_list(left)} served")
        return True

    def restore(self) -> str:
        """Let serve again what served before; return why it does not, or an empty string.

        Raises:
            BoxError: the box can't be asked.
        """
        status = self._idle()
        by = f"--by={asked_by(self._who, self._batch)}"
        for name in self._before:
            if not (name in status["active"] and status["serving"][name]):
                end = ask_switch(self._connection, name, [*self._host.switch_options, by], self._host.on_event)
                if not end.good:
                    return end.text
        self._say(f"{self._host.name}: {_list(self._before)} {'serve' if len(self._before) > 1 else 'serves'} again")
        beside = sorted(set(self._status()["active"]) - set(self._before))
        if beside:
            self._say(f"{self._host.name}: {_list(beside)} goes on too; nothing that served before needs its place")
        self._watch.write_note(None)
        return ""

    def _idle(self) -> dict[str, Any]:
        """Return the box's status when no switch is under way."""
        told = ""
        while busy := (status := self._status())["busy"]:
            if busy != told:
                told = busy
                self._say(f"{self._host.name}: waiting: {busy} is under way")
            time.sleep(BUSY_POLL_S)
        return status

    def _status(self) -> dict[str, Any]:
        status = json.loads("".join(self._connection.lines(["python3", "-ISB", PROGRAM, "status"])))
        if "active" not in status:
            raise BoxError(self._host.name, status.get("text", "does not tell what serves"))
        return dict(status)


def asked_by(who: str, batch: str) -> str:
    """Return what the box is told of who asks for a switch of a benchmark."""
    return f"{who} {_MARK}{batch})"


def to_put_back(note: Mapping[str, Any] | None, switch: Mapping[str, Any] | None) -> list[str] | None:
    """Return the profiles that a note says have to serve again; None where there is nothing to put back.

    A note counts as long as nobody but a benchmark has switched since: who did has decided anew.

    Args:
        note: on the box, or None.
        switch: the last one of the box, or None.
    """
    if note is None:
        return None
    benchmarks = switch is not None and _MARK in switch["by"]
    unswitched = "after" in note and note["after"] == _last(switch)
    return list(note["active"]) if benchmarks or unswitched else None


def deployed_profiles(connection: BoxConnection, wanted: Sequence[str]) -> dict[str, BoxProfile]:
    """Return the profiles of a box by name.

    Args:
        connection: to the box.
        wanted: profiles that have to be among them.

    Raises:
        BoxError: there are none, another version of gpubox wrote them, or one is missing; names the nearest.
    """
    entries = json.loads("".join(connection.lines(["cat", PROFILES])))["profiles"]
    names = [field.name for field in fields(BoxProfile)]
    try:
        profiles = {entry["name"]: BoxProfile(**{name: entry[name] for name in names}) for entry in entries}
    except KeyError as error:
        fault = f"{PROFILES} there is of another version of gpubox (without {error})"
        raise BoxError(connection.name, fault, "run playbooks/profiles.yml for this box") from None
    for name in wanted:
        if name not in profiles:
            remedy = nearest(name, profiles) or "list it in gpubox_profiles and run playbooks/profiles.yml"
            raise BoxError(connection.name, f"{name} is no profile of this box", remedy)
    return profiles


def _last(switch: Mapping[str, Any] | None) -> str:
    """Return the id of the last switch; empty where there was none."""
    return str(switch["id"]) if switch else ""


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
