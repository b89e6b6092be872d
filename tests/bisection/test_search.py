"""The search alone: every commit is measured at most once, and the first slow one is found in as few steps as there are bits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpubox.bisect.search import bounds, next_position, steps_left


def search(last: int, culprit: int, unusable: set[int]) -> tuple[int, int, list[int], set[int]]:
    """Return both bounds, what was measured in order, and what turned out to be unusable."""
    fast, slow, known, measured = [0], [last], set[int](), list[int]()
    while True:
        low, high = bounds(last, fast, slow)
        position = next_position(low, high, known)
        if position is None:
            return low, high, measured, known
        assert low < position < high
        assert position not in known
        assert position not in measured
        if position in unusable:
            known.add(position)
        else:
            measured.append(position)
            (slow if position >= culprit else fast).append(position)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, int, set[int]]:
    last = draw(st.integers(1, 400))
    culprit = draw(st.integers(1, last))
    broken: set[int] = set()
    for _ in range(draw(st.integers(0, 6))):  # what doesn't build stands in rows
        begin = draw(st.integers(0, last))
        broken |= set(range(begin, begin + draw(st.integers(1, 60))))
    return last, culprit, broken - {0, last}


@given(st.integers(1, 5000), st.data())
def test_the_first_slow_commit_is_found_in_the_fewest_steps(last: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(1, last))
    low, high, measured, _ = search(last, culprit, set())
    assert (low, high) == (culprit - 1, culprit)
    assert len(measured) <= steps_left(0, last)


@given(histories())
def test_what_can_not_be_measured_widens_the_answer_to_exactly_those_that_can_not_be_told_apart(
    history: tuple[int, int, set[int]],
) -> None:
    last, culprit, broken = history
    low, high, measured, known = search(last, culprit, broken)
    assert low == max(one for one in range(culprit) if one not in broken)
    assert high == min(one for one in range(culprit, last + 1) if one not in broken)
    assert set(range(low + 1, high)) <= known <= broken
    assert len(measured) <= 2 * steps_left(0, last) + 1


def test_a_row_of_commits_that_do_not_build_is_left_in_few_tries() -> None:
    last, broken = 256, set(range(60, 200))
    _, _, _, known = search(last, 20, broken)
    assert len(known) <= 8


def test_the_nearest_neighbour_takes_the_place_of_one_that_does_not_build() -> None:
    assert next_position(0, 8, ()) == 4
    assert next_position(0, 8, {4}) == 3
    assert next_position(0, 4, {2}) == 1
    assert next_position(0, 3, {1}) == 2
    assert next_position(0, 3, {1, 2}) is None


def test_how_many_steps_are_left() -> None:
    assert [steps_left(0, high) for high in (1, 2, 3, 4, 5, 8, 9, 1024, 1025)] == [0, 1, 2, 2, 3, 3, 4, 10, 11]
