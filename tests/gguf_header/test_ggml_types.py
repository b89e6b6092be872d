"""Sizes of tensor types."""

from __future__ import annotations

import glm52
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.ggml_types import GgmlType, ggml_types, row_bytes, tensor_bytes, type_named

TYPES = sorted(ggml_types().values(), key=lambda ggml_type: ggml_type.id)


def test_ids_and_names_are_unique() -> None:
    assert (
        len({ggml_type.id for ggml_type in TYPES}) == len({ggml_type.name for ggml_type in TYPES}) == len(TYPES) == 94
    )


@pytest.mark.parametrize(
    ("name", "elements", "expected"),
    [
        ("f32", 6144, 24_576),
        ("q8_0", 576, 612),  # the KV cache of one token and layer of GLM-5.2
        ("q6_0", 6144, 4992),
        ("iq2_kt", 2048, 548),  # 8 blocks of 68 and 4 for the row
        ("iq1_s_r4", 6144, 1154),  # 192 blocks of 6 and 2 for the row
        ("q8_KV", 512, 520),
    ],
)
def test_a_row_takes_its_blocks_and_its_row_meta(name: str, elements: int, expected: int) -> None:
    ggml_type = type_named(name)
    assert ggml_type is not None
    assert row_bytes(ggml_type, elements) == expected


def test_a_row_that_does_not_divide_into_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a row of 300 elements does not divide into iq2_kt blocks of 256$"):
        row_bytes(ggml_types()[153], 300)


def test_i2_s_stores_four_elements_a_byte_and_a_tail() -> None:
    assert tensor_bytes(ggml_types()[36], (4096, 2)) == 4096 * 2 // 4 + 32


def test_an_unknown_name_has_no_type() -> None:
    assert type_named("q6_0 ") is None


def test_the_name_of_an_interleaved_type_ends_in_its_number_of_rows() -> None:
    interleaved = {ggml_type.name: ggml_type.rows_interleaved for ggml_type in TYPES if ggml_type.rows_interleaved > 1}
    aarch64 = {"q4_0_4x4": 4, "q4_0_4x8": 4, "q4_0_8x8": 8}
    assert aarch64.items() <= interleaved.items()
    assert all(name.lower().endswith(f"_r{rows}") for name, rows in interleaved.items() if name not in aarch64)
    assert len(interleaved) == 32


@given(st.sampled_from(TYPES), st.integers(1, 64), st.lists(st.integers(1, 9), max_size=3))
def test_bytes_grow_with_rows_alone(kind: GgmlType, blocks: int, others: list[int]) -> None:
    ne = (kind.block * blocks, *others)
    doubled = (*ne[:-1], ne[-1] * 2) if others else (*ne, 2)
    tail = kind.tensor_tail
    assert tensor_bytes(kind, doubled) - tail == 2 * (tensor_bytes(kind, ne) - tail)


@pytest.mark.parametrize(("quantization", "gib"), [("1.630", 142.947), ("2.244", 196.756)])
def test_the_tensors_of_glm_52_add_up_to_the_published_sizes(quantization: str, gib: float) -> None:
    tensors = glm52.tensors(glm52.QUANTIZATIONS[quantization])
    total = sum(tensor_bytes(kind, ne) for _, name, ne in tensors if (kind := type_named(name)) is not None)
    assert len(tensors) == 1524
    assert round(total / 2**30, 3) == gib
