"""What a benchmark that was interrupted has to put back, and who has decided anew."""

from __future__ import annotations

import pytest

from gpubox.bench.box_state import asked_by, to_put_back

NOTE = {"batch": "b1", "by": "ann@desk", "active": ["one", "three"]}
BENCHMARKS = {"to": "two", "by": asked_by("ann@desk", "b1")}


def test_a_note_counts_where_the_last_switch_was_a_benchmarks() -> None:
    assert to_put_back(NOTE, BENCHMARKS) == ["one", "three"]
    # Of a benchmark that adopted the note and was itself interrupted before it switched.
    assert to_put_back(NOTE | {"batch": "b2"}, BENCHMARKS) == ["one", "three"]


def test_a_note_counts_where_nobody_has_switched_since_it_was_written() -> None:
    """A server that a benchmark stopped, without a switch of its own."""
    anns = {"id": "s1", "to": "one", "by": "ann@desk"}
    assert to_put_back(NOTE | {"after": "s1"}, anns) == ["one", "three"]
    assert to_put_back(NOTE | {"after": ""}, None) == ["one", "three"]
    assert to_put_back(NOTE | {"after": "s0"}, anns) is None


@pytest.mark.parametrize(
    ("note", "switch"),
    [
        (None, BENCHMARKS),
        (NOTE, None),
        (NOTE, {"id": "s1", "to": "two", "by": "ann@desk"}),
        (NOTE, {"id": "s1", "to": "two", "by": "bob@(x)"}),
    ],
)
def test_without_a_note_or_after_somebody_elses_switch_there_is_nothing_to_put_back(
    note: dict[str, object] | None, switch: dict[str, str] | None
) -> None:
    assert to_put_back(note, switch) is None
