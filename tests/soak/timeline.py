"""What an observer's lines tell: the moments in which nothing served or two lived, and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Line = Mapping[str, Any]

SLOW_S = 1.0  # an answer that takes no longer is no gap while the engine lives
LATE_S = 2.0  # from a settled state to the first answer that the observer got
TOUCHING = {"stop", "free", "load", "watch", "roll back"}
KINDS = ("switch", "reboot", "both broken", "unexplained", "reported")


@dataclass
class Gap:
    """A time in which no profile of a port served.

    Attributes:
        begun: when one served last, seconds.
        ended: when one served again.
        empty_s: of that, without any engine alive: neither ending nor loading.
        kind: of `KINDS`.
    """

    begun: float
    ended: float = 0.0
    empty_s: float = 0.0
    kind: str = "unexplained"

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended - self.begun


@dataclass
class Timeline:
    """What was seen.

    Attributes:
        gaps: in which nothing served.
        doubles: [begin, end] of each time in which two engines of one port lived.
        faults: what must not be, in words.
        lines: how many there are.
    """

    gaps: list[Gap] = field(default_factory=list)
    doubles: list[tuple[float, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lines: int = 0


class Reader:
    """Reads the lines of one port.

    Args:
        port: of the profiles.
        profiles: that exclude each other there.
    """

    def __init__(self, port: int, profiles: Sequence[str]) -> None:
        self.seen = Timeline()
        self._port = str(port)
        self._profiles = set(profiles)
        self._last: Line | None = None
        self._answered = ("", 0.0)  # who did last, and when
        self._pids: list[int] = []  # of the engine that answered
        self._gap: Gap | None = None
        self._settled_at: float | None = None
        self._first: float | None = None  # when the watch began
        self._begun = False
        self._double: float | None = None

    def read(self, lines: Iterable[Line]) -> Timeline:
        """Read further lines, in the order of time."""
        for line in lines:
            self._line(line)
            self._last = line
            self.seen.lines += 1
        return self.seen

    def _line(self, line: Line) -> None:
        now, state = float(line["t"]), line["state"]
        if isinstance(state, str):
            self._fault(now, f"the state file is unreadable: {state}")
            return
        rebooted = self._last is not None and self._last["boot"] != line["boot"]
        if rebooted:
            self._answered, self._pids = ("", 0.0), []
        alive = defaultdict(list)
        for name, pid in line["engines"]:
            if name in self._profiles:
                alive[name].append(pid)
        self._two(now, [f"{name} ({pid})" for name, pids in alive.items() for pid in pids], rebooted=rebooted)
        serving = self._serving(line, alive)
        begun = self._has_begun(now, sure=bool(serving) or not alive)
        if begun and self._gap is None and (rebooted or not serving):
            self._gap = Gap(float(self._last["t"]) if self._last else now)
            self._settled_at = None
        if self._gap is None:
            return
        self._explain(self._gap, line, rebooted=rebooted)
        if not alive and self._last:
            self._gap.empty_s += now - float(self._last["t"])
        if serving:
            self._gap.ended = now
            self.seen.gaps.append(self._gap)
            if self._gap.kind == "unexplained":
                self._fault(now, f"nothing served for {self._gap.seconds:.2f} s and no switch was under way: {state}")
            self._gap = None

    def _has_begun(self, now: float, *, sure: bool) -> bool:
        """Whether the watch has begun: the answer to the first look may come with a later one."""
        if self._first is None:
            self._first = now
        self._begun = self._begun or sure or now - self._first >= SLOW_S
        return self._begun

    def _serving(self, line: Line, alive: Mapping[str, list[int]]) -> str:
        """Return who serves: who has answered, or who did a moment ago and still lives."""
        now = float(line["t"])
        name = line["answers"].get(self._port, "")
        if name:
            self._answered, self._pids = (name, now), alive.get(name, [])
            return str(name)
        name, when = self._answered
        return name if now - when < SLOW_S and self._pids and alive.get(name) == self._pids else ""

    def _explain(self, gap: Gap, line: Line, *, rebooted: bool) -> None:
        """Note what the gap is due to; the graver reason counts. Complain where all is said to be well and is not."""
        now, state = float(line["t"]), line["state"]
        under_way = bool(state["id"]) and not state["outcome"]
        if rebooted or line["down"]:
            gap.kind, self._settled_at = "reboot", None
        elif gap.kind in {"unexplained", "switch"} and state["outcome"] == "failed":
            gap.kind = "both broken"
        elif gap.kind == "unexplained" and under_way and state["step"] in TOUCHING:
            gap.kind = "switch"
        settled = not under_way and bool(self._profiles & set(state["active"]))
        if not settled or gap.kind == "reboot":
            self._settled_at = None
        elif self._settled_at is None:
            self._settled_at = now
        elif now - self._settled_at > LATE_S and gap.kind != "reported":
            self._fault(now, f"the state says {state}, and for {LATE_S:g} s nothing has answered")
            gap.kind = "reported"

    def _two(self, now: float, alive: Sequence[str], *, rebooted: bool) -> None:
        if len(alive) > 1 and self._double is None:
            self._double = now
            self._fault(now, f"two live: {', '.join(alive)}")
        elif self._double is not None and (len(alive) < 2 or rebooted):
            self.seen.doubles.append((self._double, now))
            self._double = None

    def _fault(self, now: float, text: str) -> None:
        self.seen.faults.append(f"at {now:.2f} s: {text}")


def table(timeline: Timeline) -> list[str]:
    """Return the gaps of a port, a line a kind: how many, and seconds in all, the longest, without any engine alive."""
    rows = [
        f"  {'nothing served':18} {'count':>6} {'total s':>9} {'longest s':>10} {'no engine, total s':>19} {'longest s':>10}"
    ]
    for kind in KINDS:
        gaps = [gap for gap in timeline.gaps if gap.kind == kind]
        longest = max((gap.seconds for gap in gaps), default=0.0)
        empty = max((gap.empty_s for gap in gaps), default=0.0)
        rows.append(
            f"  {kind:18} {len(gaps):6} {sum(gap.seconds for gap in gaps):9.1f} {longest:10.2f}"
            f" {sum(gap.empty_s for gap in gaps):19.1f} {empty:10.2f}"
        )
    total = sum(end - begin for begin, end in timeline.doubles)
    return [*rows, f"  {'two lived':18} {len(timeline.doubles):6} {total:9.1f}"]
