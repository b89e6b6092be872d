"""The tensor types of ggml: how many bytes a tensor of a type and a shape takes in a file.

The table (`data/ggml_types.json`) holds the types of ik_llama.cpp at 29a54f4 and those that only llama.cpp has. Types of
ik_llama.cpp may store a few bytes per row (scales) beside the blocks, so bits per weight times elements is not enough.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class GgmlType:
    """One tensor type.

    Attributes:
        id: number in a GGUF.
        name: ggml's own name, as it spells it (`q6_0`, `iq2_kt`, `q8_KV`).
        block: elements per block.
        bytes: bytes per block.
        row_meta: bytes in front of each row.
        rows_interleaved: rows that are stored together; 1 where each row is on its own.
        tensor_tail: bytes after the last row.
        engines: the engines that can load it: `ik_llama`, `llama_cpp`.
    """

    id: int
    name: str
    block: int
    bytes: int
    row_meta: int = 0
    rows_interleaved: int = 1
    tensor_tail: int = 0
    engines: tuple[str, ...] = ()


@cache
def ggml_types() -> Mapping[int, GgmlType]:
    """Return every known type by its id."""
    text = files("gpubox").joinpath("data/ggml_types.json").read_text(encoding="utf-8")
    return {row["id"]: GgmlType(**{**row, "engines": tuple(row["engines"])}) for row in json.loads(text)}


@cache
def _by_name() -> Mapping[str, GgmlType]:
    return {ggml_type.name: ggml_type for ggml_type in ggml_types().values()}


def type_named(name: str) -> GgmlType | None:
    """Return the type that ggml calls `name` (as in `--cache-type-k q8_0`), or None."""
    return _by_name().get(name)


def row_bytes(ggml_type: GgmlType, ne0: int) -> int:
    """Return the bytes of one row: `row_meta + bytes * ne0 / block` (ggml.c:4760 of ik_llama.cpp at 29a54f4).

    Args:
        ggml_type: the row's type.
        ne0: elements in a row.

    Raises:
        ValueError: if `ne0` is not a multiple of the type's block.
    """
    blocks, rest = divmod(ne0, ggml_type.block)
    if rest:
        raise ValueError(f"a row of {ne0} elements does not divide into {ggml_type.name} blocks of {ggml_type.block}")
    return ggml_type.row_meta + ggml_type.bytes * blocks


def whole_row_bytes(ggml_type: GgmlType, ne0: int) -> int:
    """Return the bytes of one row, its last block filled up where it does not divide."""
    return row_bytes(ggml_type, -(-ne0 // ggml_type.block) * ggml_type.block)


def tensor_bytes(ggml_type: GgmlType, ne: Sequence[int]) -> int:
    """Return the bytes of a tensor, without padding: the row's bytes times the number of rows.

    Args:
        ggml_type: the tensor's type.
        ne: elements per dimension, in ggml's order: the row length first.

    Raises:
        ValueError: if the row length is not a multiple of the type's block.
    """
    return row_bytes(ggml_type, ne[0]) * prod(ne[1:]) + ggml_type.tensor_tail
