"""The alternatives inside a pattern."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gpubox.lint.alternatives import alternatives, split_in_two


def test_every_alternative_of_every_group_is_told_with_the_pattern_around_it() -> None:
    found = [(one.text, one.only) for one in alternatives(r"blk\.(3|1[0-9]2[0-9])\.ffn_(up|gate)_exps")]
    assert found == [
        ("3", r"blk\.(3)\.ffn_(up|gate)_exps"),
        ("1[0-9]2[0-9]", r"blk\.(1[0-9]2[0-9])\.ffn_(up|gate)_exps"),
        ("up", r"blk\.(3|1[0-9]2[0-9])\.ffn_(up)_exps"),
        ("gate", r"blk\.(3|1[0-9]2[0-9])\.ffn_(gate)_exps"),
    ]


def test_bars_in_brackets_and_behind_a_backslash_divide_nothing() -> None:
    assert [one.text for one in alternatives(r"a[|]b\|c")] == []


def test_a_missing_bar_is_tried_between_whole_items_only() -> None:
    assert list(split_in_two("1[0-9]2+")) == ["1|[0-9]2+", "1[0-9]|2+"]


@given(
    st.recursive(
        st.sampled_from("ab"), lambda part: st.lists(part, min_size=1, max_size=3).map(lambda p: f"({'|'.join(p)})")
    ),
    st.text("ab", max_size=4),
)
def test_a_pattern_matches_what_one_of_its_alternatives_matches(pattern: str, text: str) -> None:
    outermost = [one for one in alternatives(pattern) if one.at == 1 and pattern.startswith("(")]
    if outermost:
        whole = re.search(pattern, text) is not None
        parts = [one for one in alternatives(pattern) if len(one.only) <= len(pattern)]
        assert whole == any(re.search(one.only, text) for one in parts)
