"""Times of a fleet's status as people say them."""

from __future__ import annotations

import pytest

from gpubox.fleet import BoxStatus, ago


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_a_time_is_said_as_how_long_ago_it_is(seconds: int, words: str) -> None:
    assert ago("2026-11-24T03:00:00.000+00:00", 1_795_489_200 + seconds) == words


def test_a_box_is_well_when_all_that_is_active_serves_as_declared() -> None:
    assert BoxStatus("a", {"serving": {"one": True}}).well
    assert not BoxStatus("a", {"serving": {"one": True, "two": False}}).well
    assert not BoxStatus("a", {"serving": {"one": True}}, ("changed",)).well
    assert not BoxStatus("a", fault="can't be reached").well
