"""An observer's lines are read for what they tell, and for what must not be."""

from __future__ import annotations

from random import Random
from typing import Any

from soak.plan import Plan, draw
from soak.timeline import Reader, Timeline

BEFORE = {"active": ["one"], "id": "1", "to": "one", "step": "watch", "outcome": "switched"}
AFTER = {"active": ["two"], "id": "2", "to": "two", "step": "watch", "outcome": "switched"}


def under_way(step: str) -> dict[str, Any]:
    return {"active": ["one"], "id": "2", "to": "two", "step": step, "outcome": ""}


def read(*stretches: tuple[float, str, str, Any], boots: str = "aaaaaaaaaa", down: int = -1) -> Timeline:
    """Read stretches of (seconds, engines that live, who answers, state), ten looks a second, each in a boot.

    In the stretch numbered `down` the box goes down.
    """
    lines, now = [], 0.0
    for number, ((seconds, alive, answers, state), boot) in enumerate(zip(stretches, boots, strict=False)):
        for _ in range(round(seconds * 10)):
            lines.append(
                {
                    "t": round(now, 3),
                    "boot": boot,
                    "engines": [[name, 10 + len(name)] for name in alive.split()],
                    "answers": {"8000": answers} if answers else {},
                    "down": number == down,
                    "state": state,
                }
            )
            now += 0.1
    return Reader(8000, ["one", "two"]).read(lines)


def kinds(seen: Timeline) -> list[tuple[str, float, float]]:
    return [(gap.kind, round(gap.seconds, 1), round(gap.empty_s, 1)) for gap in seen.gaps]


def test_a_switch_has_one_gap_of_which_a_part_has_no_engine() -> None:
    seen = read(
        (2, "one", "one", BEFORE),
        (0.5, "", "", under_way("stop")),
        (1, "two", "", under_way("load")),
        (1, "two", "two", under_way("watch")),
        (3, "two", "two", AFTER),
    )
    assert (kinds(seen), seen.faults) == ([("switch", 1.6, 0.5)], [])


def test_a_slow_answer_is_no_gap_while_the_same_engine_lives() -> None:
    seen = read((2, "one", "one", BEFORE), (0.8, "one", "", BEFORE), (2, "one", "one", BEFORE))
    assert (seen.gaps, seen.faults) == ([], [])


def test_the_first_answer_may_be_slow_too() -> None:
    seen = read((0.3, "one", "", BEFORE), (2, "one", "one", BEFORE))
    assert (seen.gaps, seen.faults) == ([], [])
    assert len(read((2, "one", "", BEFORE), (2, "one", "one", BEFORE)).faults) == 1
    assert len(read((0.3, "", "", BEFORE), (2, "one", "one", BEFORE)).faults) == 1


def test_an_engine_that_ends_without_a_switch_is_a_fault() -> None:
    seen = read((2, "one", "one", BEFORE), (0.5, "", "", BEFORE), (2, "one", "one", BEFORE))
    assert kinds(seen) == [("unexplained", 0.6, 0.5)]
    assert seen.faults[0].startswith("at 2.50 s: nothing served for 0.60 s and no switch was under way")


def test_two_engines_at_once_are_a_fault() -> None:
    seen = read((1, "one", "one", BEFORE), (0.3, "one two", "one", under_way("load")), (1, "two", "two", AFTER))
    assert [round(end - begin, 1) for begin, end in seen.doubles] == [0.3]
    assert seen.faults == ["at 1.00 s: two live: one (13), two (13)"]


def test_a_state_that_says_what_is_not_so_is_a_fault() -> None:
    seen = read((1, "one", "one", BEFORE), (1, "", "", under_way("stop")), (3, "", "", AFTER), (1, "two", "two", AFTER))
    assert len(seen.faults) == 1
    assert "and for 2 s nothing has answered" in seen.faults[0]


def test_a_reboot_explains_its_gap_also_where_a_switch_was_under_way() -> None:
    seen = read(
        (1, "one", "one", BEFORE),
        (0.5, "", "", under_way("stop")),
        (2, "one", "", under_way("roll back")),
        (1, "one", "one", {**BEFORE, "id": "2", "outcome": "rolled back"}),
        boots="aabb",
    )
    assert (kinds(seen), seen.faults) == ([("reboot", 2.6, 0.5)], [])


def test_a_box_that_takes_long_to_go_down_is_a_reboot_and_one_that_does_not_is_a_fault() -> None:
    stretches = (1, "one", "one", BEFORE), (5, "", "", BEFORE), (1, "one", "", BEFORE), (1, "one", "one", BEFORE)
    seen = read(*stretches, boots="aabb", down=1)
    assert (kinds(seen), seen.faults) == ([("reboot", 6.1, 5.0)], [])
    assert len(read(*stretches, boots="aabb").faults) == 1


def test_both_broken_is_told_by_the_state() -> None:
    failed = {"active": [], "id": "2", "to": "two", "step": "roll back", "outcome": "failed"}
    seen = read(
        (1, "one", "one", BEFORE), (1, "", "", under_way("stop")), (5, "", "", failed), (1, "two", "two", AFTER)
    )
    assert ([kind for kind, *_ in kinds(seen)], seen.faults) == (["both broken"], [])


def test_a_state_that_cannot_be_read_is_a_fault() -> None:
    assert read((0.1, "one", "one", "ValueError()")).faults == ["at 0.00 s: the state file is unreadable: ValueError()"]


def test_a_seed_draws_the_same_rounds_again() -> None:
    first, second = ([draw(random, "one") for _ in range(50)] for random in (Random(7), Random(7)))
    assert first == second
    assert {event for plan in first for event, _ in plan.events} > {"power lost", "program killed"}


def test_a_harmless_fault_allows_no_other_outcome_than_the_one_that_is_right() -> None:
    cut = (("cable pulled", 1.0),)
    assert Plan("two", events=cut).allowed() == {"switched", "not begun"}
    assert Plan("two", "hangs", events=cut).allowed() == {"rolled back", "not begun"}
    assert Plan("two", "hangs", old_broken=True, events=cut).allowed() == {"failed", "not begun"}
    assert Plan("two", old_broken=True, events=(("program killed", 1.0),)).allowed() == {
        "switched",
        "refused",
        "not begun",
    }
