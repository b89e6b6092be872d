"""Intervals and differences keep what they promise: checked against tables, and by simulation with fixed seeds."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.results.stats import Difference, Estimate, Verdict, difference, interval, t_quantile

TRIALS = 3000
COSTLY_TRIALS = 500  # of the bootstrap
FEW = 199  # resamples, enough for a simulation
RATES = st.floats(min_value=1, max_value=1e5)


@pytest.mark.parametrize(
    ("confidence", "freedom", "table"),
    [
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.95, 3, 3.182),
        (0.95, 4, 2.776),
        (0.95, 9, 2.262),
        (0.95, 30, 2.042),
        (0.99, 5, 4.032),
        (0.90, 10, 1.812),
        (0.95, 1000, 1.962),
    ],
)
def test_quantiles_of_t_are_those_of_the_printed_tables(confidence: float, freedom: int, table: float) -> None:
    assert t_quantile(confidence, freedom) == pytest.approx(table, abs=5e-4)


@pytest.mark.parametrize("n", [3, 5, 10, 50])
def test_a_95_percent_interval_of_normal_values_holds_the_mean_93_to_97_percent_of_the_time(n: int) -> None:
    random = Random(n)
    held = 0
    for _ in range(TRIALS):
        found = interval([random.gauss(100, 3) for _ in range(n)])
        assert found.lo is not None
        assert found.hi is not None
        held += found.lo <= 100 <= found.hi
    assert 0.93 <= held / TRIALS <= 0.97


@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_of_skewed_values_holds_the_mean_91_to_97_percent_of_the_time(n: int) -> None:
    random = Random(n)
    # Times with a long tail to the slow side, skewness 1.4; what the tail costs is told here.
    held = 0
    for _ in range(TRIALS):
        found = interval([1 + random.gammavariate(2, 0.05) for _ in range(n)])
        assert found.lo is not None
        assert found.hi is not None
        held += found.lo <= 1.1 <= found.hi
    assert 0.91 <= held / TRIALS <= 0.97


@pytest.mark.parametrize(
    ("n_a", "n_b", "sd_a", "sd_b"),
    [(3, 3, 1, 1), (4, 4, 1, 1), (5, 5, 1, 1), (10, 10, 1, 4), (5, 10, 3, 1), (5, 5, 20, 20)],
)
def test_equal_servers_are_told_apart_at_most_6_percent_of_the_time(
    n_a: int, n_b: int, sd_a: float, sd_b: float
) -> None:
    random = Random(n_a * n_b)
    claimed = 0
    for _ in range(COSTLY_TRIALS):
        a, b = [random.gauss(100, sd_a) for _ in range(n_a)], [random.gauss(100, sd_b) for _ in range(n_b)]
        claimed += difference(a, b, paired=False, resamples=FEW).verdict is not Verdict.UNDECIDED
    assert claimed / COSTLY_TRIALS <= 0.06


@pytest.mark.parametrize("n", [5, 10])
def test_equal_servers_measured_in_turns_are_told_apart_at_most_6_percent_of_the_time(n: int) -> None:
    random = Random(n)
    claimed = 0
    for _ in range(COSTLY_TRIALS):
        shared = [random.gauss(100, 5) for _ in range(n)]
        a, b = ([x + random.gauss(0, 1) for x in shared] for _ in range(2))
        claimed += difference(a, b, paired=True, resamples=FEW).verdict is not Verdict.UNDECIDED
    assert claimed / COSTLY_TRIALS <= 0.06


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_of_a_difference_holds_the_true_one_94_to_99_percent_of_the_time(*, paired: bool) -> None:
    random = Random(7)
    held = 0
    for _ in range(COSTLY_TRIALS):
        a, b = [random.gauss(100, 4) for _ in range(8)], [random.gauss(110, 6) for _ in range(8)]
        found = difference(a, b, paired=paired, resamples=FEW)
        assert found.lo is not None
        assert found.hi is not None
        held += found.lo <= 10 <= found.hi
    assert 0.94 <= held / COSTLY_TRIALS <= 0.99


def test_pairing_finds_what_a_shared_disturbance_hides() -> None:
    a, b = [20.0, 15.0, 22.0, 17.0, 19.0], [20.5, 15.4, 22.6, 17.5, 19.4]
    assert difference(a, b, paired=False).sentence() == "no difference can be claimed (95 % CI -17.6 to +27.7 %)"
    assert difference(a, b, paired=True).sentence() == "B is faster by 2.6 % (95 % CI 2.1 to 3.1)"


def test_a_mean_of_one_value_has_no_interval() -> None:
    assert interval([5.0]) == Estimate(5.0, None, None, 1)
    assert interval([5.0]).half_width is None


def test_a_mean_of_no_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an interval needs at least one value$"):
        interval([])


@pytest.mark.parametrize(
    ("a", "b", "paired", "message"),
    [
        ([1.0], [], False, "a difference needs at least one value on each side"),
        ([1.0, 2.0], [1.0], True, "paired series differ in length: 2 and 1"),
        ([0.0], [1.0], False, "a relative difference needs a positive mean to start from, not 0.0"),
    ],
)
def test_series_without_a_difference_are_refused(a: list[float], b: list[float], message: str, *, paired: bool) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        difference(a, b, paired=paired)


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        ([100, 101, 99], [104, 105, 103], "B is faster by 4.0 % (95 % CI 1.7 to 6.3)"),
        ([104, 105, 103], [100, 101, 99], "B is slower by 3.8 % (95 % CI 1.7 to 6.0)"),
        ([100, 101, 99], [100, 101, 99], "no difference can be claimed (95 % CI -2.2 to +2.3 %)"),
        ([100], [200, 201], "no difference can be claimed (too few samples)"),
        ([1, 100, 3], [50, 51, 52], "no difference can be claimed (the samples vary too much)"),
    ],
)
def test_the_verdict_is_said_in_one_sentence(a: list[float], b: list[float], sentence: str) -> None:
    assert difference(a, b, paired=False).sentence() == sentence


def test_the_words_of_a_verdict_fit_the_metric() -> None:
    more = Difference(4.06, 3.21, 4.98, 5, 5, paired=False)
    assert more.sentence("slower", "faster") == "B is slower by 4.1 % (95 % CI 3.2 to 5.0)"


@given(values=st.lists(RATES, min_size=2, max_size=20), factor=st.floats(min_value=0.5, max_value=2))
def test_an_interval_holds_its_mean_and_scales_with_the_unit(values: list[float], factor: float) -> None:
    one, other = interval(values), interval([value * factor for value in values])
    assert one.lo is not None
    assert one.hi is not None
    assert one.lo <= one.mean <= one.hi
    assert other.lo == pytest.approx(one.lo * factor, rel=1e-6, abs=1e-6)
    assert other.hi == pytest.approx(one.hi * factor, rel=1e-6, abs=1e-6)


@given(pairs=st.lists(st.tuples(RATES, RATES), min_size=2, max_size=20), paired=st.booleans())
def test_swapping_both_sides_turns_the_verdict_round(pairs: list[tuple[float, float]], *, paired: bool) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    turned = {Verdict.HIGHER: Verdict.LOWER, Verdict.LOWER: Verdict.HIGHER, Verdict.UNDECIDED: Verdict.UNDECIDED}
    there, back = difference(a, b, paired=paired), difference(b, a, paired=paired)
    if there.lo is not None and back.lo is not None and min(abs(there.lo), abs(there.hi or 0)) > 1e-6:
        assert back.verdict is turned[there.verdict]
