"""Watch a box while it is measured: its program there, over one SSH session, which is also the lock on the box."""

from __future__ import annotations

import json
import threading
import time
from importlib import resources
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, Self

from gpubox.bench.gpu_readings import FIELDS
from gpubox.clock import now_s
from gpubox.errors import BoxError, ConnectionLostError
from gpubox.host_facts import SOURCES, facts_of
from gpubox.nvidia import GPU_FIELDS, parse_gpus
from gpubox.telemetry.readings import parse_tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.box_connection import BoxConnection
    from gpubox.switch_program.profiles import BoxProfile
    from gpubox.telemetry.readings import Reading

LOCK = "/run/gpubox/bench.lock"
NOTE = "/var/lib/gpubox/bench.json"
# Python reads no more than the program from its standard input, whose rest are orders.
LOADER = (
    "import os, sys\ntext = b''\nwhile len(text) < int(sys.argv[1]):\n"
    "    text += os.read(0, int(sys.argv[1]) - len(text)) or sys.exit(1)\n"
    "exec(compile(text, 'gpubox', 'exec'))"
)
ANSWER_S = 60.0
HANG_UP_S = 5.0
PINGS = 5
# The program on the box lets its lock go this long after the last word; whoever was cut off waits for that.
LOCK_LEASE_S = 25.0
RETRY_S = 1.0


class BoxWatch:
    """The program on a box, started with the block and ended with it.

    Args:
        connection: to the box.
        who: is told to whoever comes second.
        wait_s: how long to wait for the lock, seconds; for one that was cut off from its own.

    Attributes:
        facts: of the box, as `gpubox.host_facts`.
        note: what an earlier benchmark left to be put back, or None.
    """

    def __init__(self, connection: BoxConnection, who: str, wait_s: float = 0.0) -> None:
        self._connection = connection
        self._who = who
        self._wait_s = wait_s
        self._answers: Queue[dict[str, Any] | Exception]
        self._readings: list[Reading] = []
        self._lock = threading.Lock()
        self._ticked = threading.Event()
        self._offset_s = 0.0
        self._lost: Exception | None = None

    def __enter__(self) -> Self:
        begin = self._begin()
        texts = begin["sources"]
        gpus = parse_gpus(begin["gpus"])
        self.facts = facts_of(texts, begin["siblings"], gpus, None) | {"python": begin["python"]}
        self.note: dict[str, Any] | None = begin["note"]
        self.compare_clocks()
        return self

    def __exit__(self, *exception: object) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        self._process.close()
        self._listener.join(HANG_UP_S)

    def _begin(self) -> dict[str, Any]:
        end = time.monotonic() + self._wait_s
        while True:
            self._start()
            begin = self._answer("begin", "busy")
            if begin["event"] == "begin":
                return begin
            self._hang_up()
            if time.monotonic() > end:
                fault = f"{begin['text'] or 'another benchmark'} is under way"
                raise BoxError(self._connection.name, fault, "wait until it has ended, then ask again")
            time.sleep(RETRY_S)

    def _start(self) -> None:
        program = resources.files("gpubox.telemetry").joinpath("program.py").read_bytes()
        told = {"who": self._who, "lock": LOCK, "note": NOTE, "sources": SOURCES}
        told |= {"gpu_fields": ",".join(GPU_FIELDS), "gpu_query": ",".join(FIELDS)}
        argv = ["python3", "-ISB", "-c", LOADER, str(len(program)), json.dumps(told)]
        self._answers = Queue()
        self._process = self._connection.start(argv)
        self._process.send(program)
        self._lost = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Sort what the program says, and answer each tick: it ends when nobody does."""
        lost: Exception = ConnectionLostError(self._connection.name, "its telemetry has ended")
        try:
            for line in self._process.lines():
                event = json.loads(line)
                if event["event"] != "tick":
                    self._answers.put(event)
                    continue
                with self._lock:
                    self._readings.append(parse_tick(event, self._offset_s))
                self._ticked.set()
                self._order("alive")
        except (BoxError, OSError, ValueError) as error:
            lost = error
        self._lost = lost
        self._answers.put(lost)
        self._ticked.set()

    def _order(self, do: str, **more: Any) -> None:  # noqa: ANN401  # JSON
        self._process.send((json.dumps({"do": do, **more}) + "\n").encode())

    def _answer(self, *events: str) -> dict[str, Any]:
        self.check()
        try:
            while True:
                answer = self._answers.get(timeout=ANSWER_S)
                if isinstance(answer, Exception):
                    raise answer
                if answer["event"] in events:
                    return answer
        except Empty:
            raise ConnectionLostError(self._connection.name, f"no word for {ANSWER_S:g} s") from None

    def check(self) -> None:
        """Raise what ended the watch, if it has ended.

        Raises:
            BoxError: the connection broke; the box is no longer ours.
        """
        if self._lost is not None:
            raise self._lost

    def compare_clocks(self) -> None:
        """Learn what our clock says when the box's monotonic clock says something: the fastest of a few answers counts.

        Raises:
            BoxError: the connection broke.
        """
        shortest = float("inf")
        for _ in range(PINGS):
            sent = now_s()
            self._order("ping")
            at = self._answer("pong")["at"]
            took = now_s() - sent
            if took < shortest:
                shortest, self._offset_s = took, sent + took / 2 - at

    def take(self) -> list[Reading]:
        """Return the readings since the last call, oldest first."""
        with self._lock:
            taken, self._readings = self._readings, []
        return taken

    def settle(self, ticks: int = 1) -> None:
        """Wait until the box has told of the moment of the call, or the watch has ended."""
        for _ in range(ticks):
            self._ticked.clear()
            self._ticked.wait(ANSWER_S if self._lost is None else 0)

    def follow(self, profile: str) -> None:
        """Follow the service of a profile from here on."""
        self._order("watch", profile=profile)

    def deployed(self, profile: BoxProfile) -> dict[str, Any]:
        """Return what is deployed as a profile: `image…`, `argv`, `unit_sha256`, `models`.

        Raises:
            BoxError: the connection broke.
        """
        self._order("describe", profile=profile.name, file=profile.file, models=profile.models)
        return self._answer("deployed")

    def write_note(self, note: dict[str, Any] | None) -> None:
        """Leave on the box what is to be put back, or remove it.

        Raises:
            BoxError: the connection broke.
        """
        self._order("note", note=note)
        self._answer("noted")

    def look_around(self) -> Sequence[Reading]:
        """Return the readings of the next two seconds, for a look at a box before it is measured."""
        self.settle(2)
        return self.take()
