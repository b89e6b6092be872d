"""What a round of the soak does: a switch, how both profiles behave, what happens meanwhile, and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

WATCH_S = 2.5
TIMEOUT_S = 5.0
REBOOTS = {"clean reboot", "power lost"}
HARMLESS = {"controller killed", "connection reset", "cable pulled"}
# What befalls a switch, how often.
EVENTS = {
    "nothing": 4,
    "program killed": 5,
    "power lost": 3,
    "clean reboot": 3,
    "controller killed": 2,
    "connection reset": 2,
    "cable pulled": 2,
}
NEW = {"serves": 12, "crashes": 3, "hangs": 2, "refuses": 2, "dies": 3}
NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class Plan:
    """One round.

    Attributes:
        to: the profile to switch to.
        new: how it behaves, of `NEW`.
        old_broken: whether the old one crashes when it is started again.
        stubborn: whether the new one will ignore SIGTERM.
        load_s: of both.
        lingers_s: how long memory of a GPU stays in use when its holder is gone.
        events: what happens, each with the seconds since the one before it.
    """

    to: str
    new: str = "serves"
    old_broken: bool = False
    stubborn: bool = False
    load_s: float = 0.5
    lingers_s: float = 0.0
    events: tuple[tuple[str, float], ...] = ()

    @property
    def faults(self) -> list[str]:
        """What is injected."""
        named = [f"new {self.new}"] if self.new != "serves" else []
        named += ["old does not come back"] if self.old_broken else []
        named += ["stop ignored"] if self.stubborn else []
        named += ["memory freed late"] if self.lingers_s else []
        return named + [event for event, _ in self.events]

    @property
    def behaviour(self) -> dict[str, Any]:
        """Of the new one's engine."""
        faults: dict[str, dict[str, Any]] = {
            "crashes": {"crashes": True, "lines": ["error: unknown argument: --muge"]},
            "hangs": {"hangs": True},
            "refuses": {"refuses": True},
            "dies": {"dies_s": round(self.load_s, 2)},
        }
        return {"load_s": self.load_s, "stubborn": self.stubborn, **faults.get(self.new, {})}

    @property
    def old_behaviour(self) -> dict[str, Any]:
        """Of the old one's engine from its next start on."""
        return {"load_s": self.load_s, "crashes": self.old_broken, "status": 3}

    def allowed(self) -> set[str]:
        """Return the outcomes that are right."""
        happened = {event for event, _ in self.events}
        right = {"switched"}
        if self.new != "serves":
            right = {"failed" if self.old_broken else "rolled back"}
        if not happened <= HARMLESS:
            right |= {"refused"}
            right |= {"rolled back"} if not self.old_broken else set()
        return right | ({NOT_BEGUN} if happened else set())

    def __str__(self) -> str:
        events = ", ".join(f"{event} after {after:.2f} s" for event, after in self.events)
        named = [fault for fault in self.faults if fault not in {event for event, _ in self.events}]
        return f"to {self.to}, load {self.load_s:.2f} s: {', '.join([*named, events]).strip(', ') or 'no fault'}"


def draw(random: Random, serving: str) -> Plan:
    """Draw a round.

    Args:
        random: the source.
        serving: the profile that serves.
    """
    other = "one" if serving == "two" else "two"
    if random.random() < 0.05:
        return Plan(serving)
    events: list[tuple[str, float]] = []
    for _ in range(random.choice((1, 1, 1, 2))):
        event = random.choices([*EVENTS], [*EVENTS.values()])[0]
        if event != "nothing":
            events.append((event, random.uniform(0, 4.5) if not events else random.uniform(0, 1.5)))
    return Plan(
        other,
        random.choices([*NEW], [*NEW.values()])[0],
        old_broken=random.random() < 0.1,
        stubborn=random.random() < 0.15,
        load_s=random.uniform(0.2, 1.5),
        lingers_s=random.choice((0, 0, 0, 0, random.uniform(1, 4))),
        events=tuple(events),
    )
