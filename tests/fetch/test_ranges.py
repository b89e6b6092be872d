"""The set of bytes against Python's own sets."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gguf_fetch.ranges import ByteRanges

SIZE = 40
ends = st.integers(0, SIZE)
ranges = st.lists(st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair))), max_size=12)


@given(ranges)
def test_it_holds_the_bytes_that_were_added_and_no_others(added: list[tuple[int, int]]) -> None:
    expected = {at for start, end in added for at in range(start, end)}
    found = ByteRanges(added)
    held = [at for start, end in found.as_list() for at in range(start, end)]
    assert held == sorted(expected)
    assert found.total == len(expected)
    assert found.prefix == next(at for at in range(SIZE + 1) if at not in expected)


@given(ranges, st.integers(0, SIZE))
def test_what_is_missing_and_what_is_there_make_the_file(added: list[tuple[int, int]], size: int) -> None:
    found = ByteRanges(added)
    missing = {at for start, end in found.missing(size) for at in range(start, end)}
    there = {at for start, end in added for at in range(start, end)}
    assert missing == set(range(size)) - there
    assert all(start < end for start, end in found.missing(size))


@given(ranges)
def test_ranges_neither_touch_nor_overlap(added: list[tuple[int, int]]) -> None:
    listed = ByteRanges(added).as_list()
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(listed))


@given(ranges)
def test_the_order_of_adding_does_not_matter(added: list[tuple[int, int]]) -> None:
    assert ByteRanges(added).as_list() == ByteRanges(reversed(added)).as_list()
