"""The whole decision, from both ends to the confirmation, on histories that were made up."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpubox.bisect.decision import Ending, Facts, Measure, Outcome, Round, Rules, confidence_of, decide

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = Rules(resamples=399)


class World:
    """A line of commits with true speeds, measured as a bisection asks for it.

    Args:
        length: of the line.
        tg: the true TG of each commit.
        broken: what can't be measured.
        noise: standard deviation of a repetition, relative.
        reps: repetitions of a run.
        loud: commits whose repetitions vary by 30 %.
    """

    def __init__(
        self,
        length: int,
        tg: Callable[[int], float],
        *,
        broken: frozenset[int] = frozenset(),
        noise: float = 0.0,
        reps: int = 5,
        loud: frozenset[int] = frozenset(),
        seed: int = 1,
    ) -> None:
        self._loud = loud
        self.length = length
        self._tg = tg
        self._broken = broken
        self._noise = noise
        self._reps = reps
        self._random = random.Random(seed)
        self.rounds: dict[int, list[Round]] = {}
        self.turns: dict[int, list[Round]] = {}
        self.unusable: dict[int, str] = {}
        self.asked: list[Measure] = []

    @property
    def facts(self) -> Facts:
        return Facts(self.rounds, self.turns, self.unusable)

    def run(self, rules: Rules = QUICK, *, stop_after: int | None = None) -> Ending | None:
        """Measure until the end, or for some steps."""
        serving: int | None = None
        while True:
            told = decide(self.length, self.facts, rules, serving)
            if isinstance(told, Ending):
                return told
            if stop_after is not None and len(self.asked) >= stop_after:
                return None
            self.asked.append(told)
            serving = told.position
            self._measure(told)

    def _measure(self, asked: Measure) -> None:
        if asked.position in self._broken:
            self.unusable[asked.position] = "does not build"
            return
        kept = self.turns if asked.purpose == "confirm" else self.rounds
        assert len(kept.get(asked.position, [])) == asked.round
        kept.setdefault(asked.position, []).append(self._round(asked.position))

    def _round(self, position: int) -> Round:
        noise = 0.3 if position in self._loud else self._noise
        pp, tg = (
            tuple(true * self._random.gauss(1, noise) for _ in range(self._reps))
            for true in (1000.0, self._tg(position))
        )
        return Round(pp, tg)


def falling(culprit: int, loss: float) -> Callable[[int], float]:
    return lambda position: 100.0 if position < culprit else 100.0 * (1 - loss / 100)


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
    # The end that serves is measured on; the other one is loaded only once more.
    assert [one.position for one in world.asked] == [0, 39, 39, 39, 39, 0, 0, 0]


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
    """Repetitions vary by 1 %, losses are 4 to 12 %."""
    chance = random.Random(20261127)
    named = 0
    for trial in range(60):
        length = chance.randint(3, 120)
        culprit = chance.randint(1, length - 1)
        broken = frozenset(chance.sample(range(1, length), k=length // 10)) - {culprit - 1, culprit, length - 1}
        world = World(length, falling(culprit, chance.uniform(4, 12)), broken=broken, noise=0.01, seed=trial)
        ending = world.run()
        assert ending is not None
        named += (ending.outcome, ending.low, ending.high) == (Outcome.FOUND, culprit - 1, culprit)
    assert named >= 57
