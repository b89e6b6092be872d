"""What is said in the end, whole."""

from __future__ import annotations

from gpubox.bisect.decision import Ending, Outcome, Rules
from gpubox.bisect.history import Commit
from gpubox.bisect.wording import document, in_words
from gpubox.results.stats import Difference

LINE = [Commit(str(number) * 40, f"2026-01-0{number + 1}", f"Step {number}") for number in range(7)]
ENDS = Difference(-8.123, -9.0, -7.2, 5, 5, paired=False, confidence=1 - 0.05 / 6)
STEP = Difference(-7.9, -8.5, -7.25, 16, 16, paired=True)
NONE = Difference(-0.4, -1.5, 0.7, 16, 16, paired=True)
RULES = Rules()


def said(ending: Ending, unusable: dict[int, str] | None = None) -> str:
    return "\n".join(in_words(ending, LINE, unusable or {}, RULES))


def test_the_first_slow_commit_with_its_loss_and_what_was_left_out() -> None:
    ending = Ending(Outcome.FOUND, 3, 4, "tg_tps", ENDS, STEP)
    assert said(ending, {2: "it failed: a.cpp:1: error", 6: "it ended with exit status 1"}) == (
        "The first slow commit is 444444444 (2026-01-05) Step 4\n"
        "TG against 333333333, the commit before it, measured in turns: slower by 7.9 % (95 % CI 7.2 to 8.5).\n"
        "TG from 000000000 to 666666666: slower by 8.1 % (99.17 % CI 7.2 to 9.0).\n"
        "Left out on the way:\n"
        "  222222222: it failed: a.cpp:1: error\n"
        "  666666666: it ended with exit status 1"
    )


def test_commits_that_can_not_be_told_apart() -> None:
    ending = Ending(Outcome.FOUND, 1, 4, "pp_tps", ENDS, STEP, undecided=(3,))
    assert said(ending, {2: "it failed"}) == (
        "The first slow commit is one of these 3, which can't be told apart:\n"
        "  222222222 (2026-01-03) Step 2: it failed\n"
        "  333333333 (2026-01-04) Step 3: neither fast nor slow for certain\n"
        "  444444444 (2026-01-05) Step 4: slow\n"
        "PP against 111111111, the last that is fast, measured in turns: slower by 7.9 % (95 % CI 7.2 to 8.5).\n"
        "PP from 000000000 to 666666666: slower by 8.1 % (99.17 % CI 7.2 to 9.0)."
    )


def test_a_suspect_that_was_not_confirmed() -> None:
    assert said(Ending(Outcome.NOT_CONFIRMED, 3, 4, "tg_tps", ENDS, NONE)) == (
        "The search led to 444444444 (2026-01-05) Step 4\n"
        "Measured in turns with 333333333 before it: no difference can be claimed (95 % CI -1.5 to +0.7 %).\n"
        "So it is not proven: measure again on a quieter box, or with more --reps and --turns.\n"
        "TG from 000000000 to 666666666: slower by 8.1 % (99.17 % CI 7.2 to 9.0)."
    )


def test_a_suspect_that_was_not_slower_each_time() -> None:
    told = said(Ending(Outcome.NOT_CONFIRMED, 3, 4, "tg_tps", ENDS, STEP)).splitlines()
    before = "Measured in turns with 333333333 before it: slower by 7.9 % (95 % CI 7.2 to 8.5)"
    assert told[1] == f"{before}, but not in each turn."


def test_ends_that_do_not_differ() -> None:
    assert said(Ending(Outcome.NOT_SLOWER, 0, 6, "tg_tps", NONE)) == (
        "666666666 is not slower than 000000000 by 3 % for certain; nothing to look for.\n"
        "TG: no difference can be claimed (95 % CI -1.5 to +0.7 %).\n"
        "A smaller --threshold looks for less, more --reps make it more certain."
    )


def test_an_end_that_can_not_be_measured() -> None:
    assert said(Ending(Outcome.UNUSABLE, 6, 6, why="it failed: a.cpp:1: error")) == (
        "The bad end can't be measured: 666666666 (2026-01-07) Step 6\n"
        "  it failed: a.cpp:1: error\n"
        "Name another commit as --bad."
    )


def test_as_json_a_commit_is_named_only_where_it_is_the_only_one() -> None:
    one = document(Ending(Outcome.FOUND, 3, 4, "tg_tps", ENDS, STEP), LINE, {2: "it failed"}, RULES)
    assert one["first_slow"] == {"hash": "4" * 40, "date": "2026-01-05", "subject": "Step 4"}
    assert (one["between"], one["unusable"], one["step"]["percent"]) == (5, {"2" * 40: "it failed"}, -7.9)
    several = document(Ending(Outcome.FOUND, 1, 4, "tg_tps", ENDS, STEP), LINE, {}, RULES)
    assert several["first_slow"] is None
    assert [commit["subject"] for commit in several["suspects"]] == ["Step 2", "Step 3", "Step 4"]
    none = document(Ending(Outcome.NOT_SLOWER, 0, 6, "tg_tps", NONE), LINE, {}, RULES)
    assert (none["suspects"], none["last_fast"]) == ([], None)
