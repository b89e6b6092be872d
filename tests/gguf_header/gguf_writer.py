"""Writes GGUF files for tests, from any value of the format, right or wrong, with data that takes no disk space."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gpubox.ggml_types import tensor_bytes, type_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

KINDS = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64")
_CODES = dict(zip(KINDS, "BbHhIif?--Qqd", strict=True))

# Key, kind and value; an array's kind is its elements' kind in brackets: `[string]`.
Metadata = tuple[str, str, Any]
# Name, type and shape.
TensorInfo = tuple[str, str, tuple[int, ...]]

ARCHITECTURE: Metadata = ("general.architecture", "string", "llama")


@dataclass(frozen=True)
class Encoder:
    """Encodes the parts of a header in one version and byte order."""

    version: int = 3
    endianness: Literal["little", "big"] = "little"

    def number(self, kind: str, value: Any) -> bytes:
        """Encode a scalar."""
        return struct.pack(("<" if self.endianness == "little" else ">") + _CODES[kind], value)

    def length(self, value: int) -> bytes:
        """Encode a count, which GGUF 1 keeps in 4 bytes."""
        return self.number("u32" if self.version == 1 else "u64", value)

    def string(self, text: str | bytes) -> bytes:
        """Encode a string with its length."""
        raw = text.encode() if isinstance(text, str) else text
        return self.length(len(raw)) + raw

    def value(self, kind: str, value: Any) -> bytes:
        """Encode the type number and the value."""
        number = self.number("u32", KINDS.index("array" if kind.startswith("[") else kind))
        return number + self._plain(kind, value)

    def _plain(self, kind: str, value: Any) -> bytes:
        if kind.startswith("["):
            inner = kind[1:-1]
            number = KINDS.index("array" if inner.startswith("[") else inner)
            elements = b"".join(self._plain(inner, element) for element in value)
            return self.number("u32", number) + self.length(len(value)) + elements
        return self.string(value) if kind == "string" else self.number(kind, value)

    def entry(self, key: str | bytes, kind: str, value: Any) -> bytes:
        """Encode one metadata entry."""
        return self.string(key) + self.value(kind, value)

    def tensor(self, name: str | bytes, ne: Sequence[int], number: int, offset: int) -> bytes:
        """Encode one entry of the tensor list."""
        dimensions = b"".join(self.length(dimension) for dimension in ne)
        return (
            self.string(name)
            + self.number("u32", len(ne))
            + dimensions
            + self.number("u32", number)
            + self.number("u64", offset)
        )

    def opening(self, n_tensors: int, n_keys: int) -> bytes:
        """Encode magic, version and the two counts."""
        return b"GGUF" + self.number("u32", self.version) + self.length(n_tensors) + self.length(n_keys)


def gguf_header(
    metadata: Sequence[Metadata], tensors: Iterable[TensorInfo], *, alignment: int = 32, encoder: Encoder | None = None
) -> tuple[bytes, int]:
    """Return a header, padded, and the bytes of data that belong behind it."""
    encode = encoder or Encoder()
    infos, offset = [], 0
    for name, kind, ne in tensors:
        ggml_type = type_named(kind)
        assert ggml_type is not None
        infos.append(encode.tensor(name, ne, ggml_type.id, offset))
        offset += -(-tensor_bytes(ggml_type, ne) // alignment) * alignment
    header = encode.opening(len(infos), len(metadata))
    header += b"".join(encode.entry(*entry) for entry in metadata) + b"".join(infos)
    return header + bytes(-len(header) % alignment), offset


def write_gguf(
    path: Path,
    metadata: Sequence[Metadata] = (ARCHITECTURE,),
    tensors: Iterable[TensorInfo] = (),
    *,
    alignment: int = 32,
    encoder: Encoder | None = None,
) -> Path:
    """Write a GGUF whose data is a hole, and return its path."""
    header, data = gguf_header(metadata, tensors, alignment=alignment, encoder=encoder)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + data)
    return path


def write_split(
    folder: Path, stem: str, parts: Sequence[Sequence[TensorInfo]], metadata: Sequence[Metadata] = (ARCHITECTURE,)
) -> list[Path]:
    """Write a split model, the metadata in its first part, and return the paths."""
    total = sum(map(len, parts))
    paths = []
    for index, tensors in enumerate(parts):
        split: list[Metadata] = [
            ("split.no", "u16", index),
            ("split.count", "u16", len(parts)),
            ("split.tensors.count", "i32", total),
        ]
        path = folder / f"{stem}-{index + 1:05}-of-{len(parts):05}.gguf"
        paths.append(write_gguf(path, [*metadata, *split] if index == 0 else split, tensors))
    return paths
