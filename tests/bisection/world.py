"""A line of commits that was made up: measured as a bisection asks for it, with noise as one wants it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from gpubox.bisect.decision import Ending, Facts, Measure, Round, Rules, decide

if TYPE_CHECKING:
    from collections.abc import Callable

# Fewer resamples than a real one takes, for many of them.
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
        load_noise: standard deviation of what all repetitions of one run have in common, relative.
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
        load_noise: float = 0.0,
        seed: int = 1,
    ) -> None:
        self._loud = loud
        self._load_noise = load_noise
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
            tuple(true * load * self._random.gauss(1, noise) for _ in range(self._reps))
            for true, load in ((rate, self._random.gauss(1, self._load_noise)) for rate in (1000.0, self._tg(position)))
        )
        return Round(pp, tg)


def falling(culprit: int, loss: float) -> Callable[[int], float]:
    return lambda position: 100.0 if position < culprit else 100.0 * (1 - loss / 100)
