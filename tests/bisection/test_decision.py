"""The whole decision, from both ends to the confirmation, on histories that were made up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisection.world import QUICK, World, falling
from gpubox.bisect.decision import Ending, Measure, Outcome, Round, Rules, confidence_of, decide


@given(st.integers(2, 300), st.floats(3.5, 60), st.data())
@settings(max_examples=150)
def test_without_noise_the_first_slow_commit_is_named_and_nothing_is_measured_twice(
    length: int, loss: float, data: st.DataObject
) -> None:
    culprit = data.draw(st.integers(1, length - 1))
    broken = frozenset(data.draw(st.sets(st.integers(1, max(1, length - 2)), max_size=20))) - {length - 1}
    world = World(length, falling(culprit, loss), broken=broken)
    ending = world.run()
    assert ending is not None
    assert ending.outcome is Outcome.FOUND
    assert ending.low == max(one for one in range(culprit) if one not in broken)
    assert ending.high == min(one for one in range(culprit, length) if one not in broken)
    assert ending.step is not None
    assert ending.step.percent == pytest.approx(-loss)
    assert len({(one.position, one.purpose, one.round) for one in world.asked}) == len(world.asked)
    assert [one.position for one in world.asked[-4:]] == [ending.low, ending.high] * 2


@given(st.integers(2, 60), st.data())
@settings(max_examples=60)
def test_interrupted_after_any_step_it_goes_on_as_if_nothing_had_been(length: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(1, length - 1))
    broken = frozenset(data.draw(st.sets(st.integers(1, max(1, length - 2)), max_size=5))) - {length - 1}
    straight = World(length, falling(culprit, 10), broken=broken)
    whole = straight.run()
    halves = World(length, falling(culprit, 10), broken=broken)
    assert halves.run(stop_after=data.draw(st.integers(0, len(straight.asked)))) in {None, whole}
    assert halves.run() == whole
    assert halves.asked == straight.asked


def test_ends_that_do_not_differ_by_the_threshold_end_it_at_once() -> None:
    world = World(40, falling(7, 2.0), noise=0.002)
    ending = world.run()
    assert ending is not None
    assert (ending.outcome, ending.metric) == (Outcome.NOT_SLOWER, "tg_tps")
    assert {one.position for one in world.asked} == {0, 39}


def test_ends_that_vary_too_much_are_measured_to_the_cap_and_nothing_is_claimed() -> None:
    world = World(40, falling(7, 3.0), noise=0.2, seed=3)
    ending = world.run()
    assert ending is not None
    assert ending.outcome is Outcome.NOT_SLOWER
    assert [len(world.rounds[end]) for end in (0, 39)] == [4, 4]
    assert [one.position for one in world.asked] == [0] * 4 + [39] * 4


def test_the_fast_end_is_known_well_before_others_are_held_against_it() -> None:
    quiet, noisy = World(9, falling(5, 10)), World(9, falling(5, 10), noise=0.01)
    quiet.run()
    noisy.run()
    assert len(quiet.rounds[0]) == 1
    assert len(noisy.rounds[0]) > 1


def test_a_search_that_stays_uncertain_is_given_up_and_says_what_it_has_not_measured() -> None:
    world = World(400, falling(200, 10), loud=frozenset(range(1, 399)), seed=5)
    ending = world.run()
    assert ending is not None
    assert len(ending.undecided) == QUICK.max_undecided + 1
    assert ending.high - ending.low > 100


def test_a_faster_end_is_no_slow_one() -> None:
    ending = World(10, lambda position: 100.0 + position).run()
    assert ending is not None
    assert ending.outcome is Outcome.NOT_SLOWER
    assert ending.ends is not None


@pytest.mark.parametrize("end", [0, 9])
def test_an_end_that_can_not_be_measured_ends_it(end: int) -> None:
    ending = World(10, falling(3, 10), broken=frozenset({end})).run()
    assert ending == Ending(Outcome.UNUSABLE, end, end, why="does not build")


def test_of_several_losses_the_first_that_is_slow_counts() -> None:
    world = World(64, lambda position: 100.0 - (5 if position >= 20 else 0) - (20 if position >= 50 else 0))
    ending = world.run()
    assert ending is not None
    assert (ending.low, ending.high) == (19, 20)


def test_a_loss_near_the_threshold_is_cut_in_its_middle() -> None:
    world = World(64, falling(33, 3.6), noise=0.002)
    ending = world.run(Rules(resamples=399))
    assert ending is not None
    assert (ending.outcome, ending.high) == (Outcome.FOUND, 33)


def test_a_commit_that_stays_undecided_is_named_beside_the_first_slow_one() -> None:
    world = World(9, falling(5, 10), loud=frozenset({4}), seed=2)
    ending = world.run()
    assert ending is not None
    assert (ending.outcome, ending.low, ending.high, ending.undecided) == (Outcome.FOUND, 3, 5, (4,))
    assert len(world.rounds[4]) == QUICK.max_rounds


def test_a_suspect_that_is_not_slower_in_turns_is_not_confirmed() -> None:
    world = World(9, falling(5, 10))
    world.turns = {4: [Round((1000.0,) * 5, (100.0,) * 5)] * 2, 5: [Round((1000.0,) * 5, (100.0,) * 5)] * 2}
    ending = world.run()
    assert ending is not None
    assert (ending.outcome, ending.low, ending.high) == (Outcome.NOT_CONFIRMED, 4, 5)


def test_a_suspect_that_is_not_slower_each_time_it_is_loaded_is_not_confirmed() -> None:
    """Repetitions of one load are alike, so that 10 of them prove little where loads differ."""
    world = World(9, falling(5, 10))
    rates = {4: (99.0, 101.0), 5: (90.0, 99.5)}
    world.turns = {
        position: [Round((1000.0,) * 5, (rate, rate + 0.1) * 3) for rate in turns] for position, turns in rates.items()
    }
    ending = world.run()
    assert ending is not None
    assert ending.outcome is Outcome.NOT_CONFIRMED


def test_the_rate_that_got_worse_is_found_by_itself() -> None:
    world = World(9, lambda _: 100.0)
    for end, pp in ((0, 1000.0), (8, 800.0)):
        world.rounds[end] = [Round((pp,) * 5, (100.0,) * 5)]
    told = decide(9, world.facts, QUICK)
    assert isinstance(told, Measure)
    assert (told.position, told.purpose, told.left) == (4, "search", 2)
    ending = decide(9, world.facts, Rules(metric="tg_tps"))
    assert isinstance(ending, Ending)
    assert ending.outcome is Outcome.NOT_SLOWER


def test_neighbours_are_only_confirmed() -> None:
    world = World(2, falling(1, 10))
    ending = world.run()
    assert ending is not None
    assert (ending.outcome, ending.low, ending.high) == (Outcome.FOUND, 0, 1)
    assert [one.position for one in world.asked] == [0, 1, 0, 1, 0, 1]


def test_all_verdicts_together_are_right_95_times_of_100() -> None:
    assert confidence_of(2, Rules()) == pytest.approx(1 - 0.05 / 3)
    assert confidence_of(1025, Rules(metric="tg_tps")) == pytest.approx(1 - 0.05 / 12)


def test_with_noise_the_right_commit_is_named_in_nearly_all_of_many_histories() -> None:
    """Repetitions vary by 1 %, losses are 5 to 12 %."""
    chance = random.Random(20261127)
    named = 0
    for trial in range(60):
        length = chance.randint(3, 120)
        culprit = chance.randint(1, length - 1)
        broken = frozenset(chance.sample(range(1, length), k=length // 10)) - {culprit - 1, culprit, length - 1}
        world = World(length, falling(culprit, chance.uniform(5, 12)), broken=broken, noise=0.01, seed=trial)
        ending = world.run()
        assert ending is not None
        named += (ending.outcome, ending.low, ending.high) == (Outcome.FOUND, culprit - 1, culprit)
    assert named >= 59


def test_where_loads_differ_too_it_says_less_and_hardly_ever_names_a_wrong_one() -> None:
    """Loads and repetitions vary by 1 % each, losses are 6 to 12 %."""
    chance = random.Random(20261128)
    told = []
    for trial in range(40):
        length = chance.randint(20, 120)
        culprit = chance.randint(1, length - 1)
        world = World(length, falling(culprit, chance.uniform(6, 12)), noise=0.01, load_noise=0.01, seed=trial)
        ending = world.run()
        assert ending is not None
        found = ending.outcome is Outcome.FOUND
        told.append("nothing" if not found else "right" if ending.low < culprit <= ending.high else "wrong")
    assert told.count("right") >= 38
    assert told.count("wrong") <= 1
