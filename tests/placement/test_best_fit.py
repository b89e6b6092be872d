"""The laws of the buffer allocator."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpubox.placement.best_fit import BestFit


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5000)), max_size=60), st.sampled_from([32, 128]))
def test_what_is_taken_never_overlaps_and_the_peak_covers_it(steps: list[tuple[bool, int]], alignment: int) -> None:
    buffer = BestFit(alignment)
    taken: list[tuple[int, int]] = []
    for take, size in steps:
        if take or not taken:
            start = buffer.allocate(size)
            assert start % alignment == 0
            assert all(start + size <= other or other + length <= start for other, length in taken if size and length)
            taken.append((start, size))
        else:
            buffer.free(*taken.pop(size % len(taken)))
    assert buffer.peak >= sum(-(-size // alignment) * alignment for _, size in taken)


def test_a_hole_of_the_right_size_is_used_before_the_end() -> None:
    buffer = BestFit(32)
    first, second, _ = (buffer.allocate(size) for size in (64, 128, 32))
    buffer.free(first, 64)
    buffer.free(second, 128)
    assert buffer.allocate(192) == 0
    assert buffer.peak == 224
