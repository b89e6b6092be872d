"""Sizes as people write them."""

from __future__ import annotations

import pytest

from gpubox.errors import GpuboxError
from gpubox.placement.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("96GB", 96 * 10**9),
        ("81559MiB", 81_559 * 2**20),
        ("24GiB", 24 * 2**30),
        ("24 gib", 24 * 2**30),
        ("1.5G", 3 * 2**29),
        ("7", 7),
    ],
)
def test_units_count_in_1024_or_1000_as_they_say(text: str, size: int) -> None:
    assert parse_size(text, "--gpu") == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "12 parsecs", "1e3MB"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(GpuboxError) as caught:
        parse_size(text, "--gpu")
    assert str(caught.value) == f"--gpu: {text!r} is no size; write a number and a unit, e.g. 96GB, 24GiB or 81559MiB"
