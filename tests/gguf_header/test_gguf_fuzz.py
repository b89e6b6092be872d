"""No header, however damaged, gives anything but a header or a fault."""

from __future__ import annotations

import gguf_mutations
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpubox.gguf_file import GgufFile

ORIGINALS = gguf_mutations.originals()
SIZES = st.sampled_from([0, 2**20, 2**40])


def check(result: GgufFile | str) -> None:
    if isinstance(result, GgufFile):
        assert all(tensor.offset + tensor.nbytes + result.data_offset <= result.size for tensor in result.tensors)
    else:
        assert result.startswith("m.gguf: ")
        assert result.isprintable()


@pytest.mark.parametrize("original", ORIGINALS)
def test_the_originals_are_sound(original: bytes) -> None:
    assert isinstance(gguf_mutations.outcome(original, 2**20), GgufFile)


@given(st.sampled_from(ORIGINALS), st.integers(0, 2**32), SIZES)
@settings(max_examples=2000)
def test_a_damaged_header_is_read_or_refused(original: bytes, seed: int, more: int) -> None:
    content = gguf_mutations.mutated(original, seed)
    check(gguf_mutations.outcome(content, len(content) + more))


@given(st.binary(max_size=400), SIZES)
@settings(max_examples=500)
def test_noise_behind_the_magic_is_read_or_refused(noise: bytes, more: int) -> None:
    content = b"GGUF\x03\0\0\0" + noise
    check(gguf_mutations.outcome(content, len(content) + more))
