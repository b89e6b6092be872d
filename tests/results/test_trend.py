"""A trend is told from chance."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from gpubox.results.trend import SIGNIFICANCE, trend


def test_a_series_that_rises_throughout_has_the_change_of_its_line() -> None:
    assert trend([100, 102, 104, 106, 108]) == pytest.approx(8 / 104)


def test_a_series_that_falls_but_for_one_value_has_a_negative_change() -> None:
    assert trend([108, 106, 104, 106.5, 102, 101, 100]) == pytest.approx(-1.25 * 6 / (727.5 / 7))


@pytest.mark.parametrize(
    "values",
    [[], [5.0], [1.0, 2.0, 3.0, 4.0], [100, 104, 99, 103, 101], [100, 100.1, 100.2, 100.3, 100.4], [7.0] * 20],
    ids=["none", "one", "four in order", "jumping", "too small to matter", "constant"],
)
def test_too_few_unordered_or_nearly_constant_values_have_no_trend(values: list[float]) -> None:
    assert trend(values) == 0.0


def test_of_all_orders_of_six_values_as_many_have_a_trend_as_the_level_allows() -> None:
    orders = list(permutations([100.0, 110.0, 121.0, 133.0, 146.0, 161.0]))
    share = sum(trend(order) != 0 for order in orders) / len(orders)
    # The test is exact, so the share is the largest possible one under the level: 2 x (1 + 5 + 14) of 720 is over it.
    assert share == pytest.approx(12 / 720)
    assert share <= SIGNIFICANCE < 40 / 720


def test_long_series_without_a_trend_show_one_at_most_6_percent_of_the_time() -> None:
    random = Random(3)
    shown = sum(trend([random.gauss(100, 20) for _ in range(60)]) != 0 for _ in range(400))
    assert shown / 400 <= 0.06
