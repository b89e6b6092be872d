"""What a header says, for every version, byte order and way to store a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import glm52
import pytest
from gguf_writer import ARCHITECTURE, Encoder, write_gguf, write_split

from gpubox.errors import ModelFileError
from gpubox.ggml_types import ggml_types
from gpubox.gguf import LongArray, Part, check_model_file, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from gguf_writer import Metadata, TensorInfo

TENSORS: list[TensorInfo] = [("token_embd.weight", "q6_0", (64, 10)), ("output_norm.weight", "f32", (5,))]

EVERY_KIND: list[Metadata] = [
    ARCHITECTURE,
    ("a.u8", "u8", 255),
    ("a.i8", "i8", -128),
    ("a.u16", "u16", 65_535),
    ("a.i16", "i16", -32_768),
    ("a.u32", "u32", 2**32 - 1),
    ("a.i32", "i32", -(2**31)),
    ("a.f32", "f32", 2.5),
    ("a.bool", "bool", True),
    ("a.string", "string", "köln"),
    ("a.u64", "u64", 2**64 - 1),
    ("a.i64", "i64", -(2**63)),
    ("a.f64", "f64", 0.1),
    ("a.numbers", "[i16]", [1, -2, 3]),
    ("a.flags", "[bool]", [True, False]),
    ("a.texts", "[string]", ["", "b"]),
    ("a.nothing", "[u8]", []),
]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("endianness", ["little", "big"])
def test_every_version_and_byte_order_reads_the_same(
    tmp_path: Path, version: int, endianness: Literal["little", "big"]
) -> None:
    encoder = Encoder(version, endianness)
    header = read_header(write_gguf(tmp_path / "m.gguf", EVERY_KIND, TENSORS, encoder=encoder))
    assert (header.version, header.endianness) == (version, endianness)
    expected = {key: tuple(value) if kind.startswith("[") else value for key, kind, value in EVERY_KIND}
    assert header.metadata == expected
    assert [(tensor.name, tensor.type.name, tensor.ne) for tensor in header.tensors] == TENSORS
    # 10 rows of two 26-byte blocks, padded to 544; 5 floats.
    assert [(tensor.offset, tensor.nbytes) for tensor in header.tensors] == [(0, 520), (544, 20)]
    assert header.file_size == header.data_offset + 544 + 32


def test_a_header_tells_architecture_alignment_and_parts(tmp_path: Path) -> None:
    metadata = [ARCHITECTURE, ("general.alignment", "u32", 64), ("llama.block_count", "u32", 3)]
    path = write_gguf(tmp_path / "m.gguf", metadata, TENSORS, alignment=64)
    header = read_header(str(path))
    assert (header.architecture, header.alignment, header.place) == ("llama", 64, str(path))
    assert header.parts == (Part(str(path), header.data_offset, path.stat().st_size),)
    assert header.data_offset % 64 == 0
    assert (header.meta("block_count"), header.meta("missing"), header.meta_int("block_count")) == (3, None, 3)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (("llama.other", "u32", 1), "is missing"),
        (("llama.block_count", "string", "3"), "is not an integer"),
        (("llama.block_count", "bool", True), "is not an integer"),
        (("llama.block_count", "[u32]", [3]), "is not an integer"),
    ],
)
def test_an_integer_that_is_none_is_an_error(tmp_path: Path, entry: Metadata, fault: str) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", [ARCHITECTURE, entry]))
    with pytest.raises(ModelFileError) as error:
        header.meta_int("block_count")
    place = tmp_path / "m.gguf"
    assert str(error.value) == f"{place}: metadata 'llama.block_count' {fault}; convert the model again"


def test_a_value_that_is_not_utf8_shows_its_bytes(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", [ARCHITECTURE, ("a", "string", b"\xffx")]))
    assert header.metadata["a"] == "\\xffx"


@pytest.mark.parametrize("kind", ["string", "u8", "f64"])
def test_long_arrays_are_only_located(tmp_path: Path, kind: str) -> None:
    values = [b"ab"] * 257 if kind == "string" else [7] * 257
    metadata = [ARCHITECTURE, ("long", f"[{kind}]", values), ("after", "u8", 9)]
    header = read_header(write_gguf(tmp_path / "m.gguf", metadata))
    long = header.metadata["long"]
    assert isinstance(long, LongArray)
    assert (long.type, long.count, header.metadata["after"]) == (kind, 257, 9)
    first = Encoder().string(b"ab") if kind == "string" else Encoder().number(kind, 7)
    assert (tmp_path / "m.gguf").read_bytes()[long.offset :].startswith(first * 257)


def test_strings_may_lie_across_every_boundary_of_reading(tmp_path: Path) -> None:
    texts = ["x" * (index * 37 % 4001) for index in range(2000)]  # 4 MB, four windows
    metadata = [ARCHITECTURE, ("long", "[string]", texts), ("text", "string", "y" * 900_000), ("after", "u8", 9)]
    header = read_header(write_gguf(tmp_path / "m.gguf", metadata))
    assert (header.metadata["after"], len(str(header.metadata["text"]))) == (9, 900_000)


@pytest.mark.parametrize(("quantization", "gib"), [("1.630", 142.947), ("2.244", 196.756)])
def test_a_full_size_model_costs_its_header_only(tmp_path: Path, quantization: str, gib: float) -> None:
    header = check_model_file(glm52.write_glm52(tmp_path / "glm.gguf", quantization))
    assert (header.architecture, header.meta_int("block_count"), len(header.tensors)) == ("glm-dsa", 79, 1524)
    assert round(sum(tensor.nbytes for tensor in header.tensors) / 2**30, 3) == gib
    assert header.file_size == (tmp_path / "glm.gguf").stat().st_size
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, LongArray)
    assert (tokens.type, tokens.count) == ("string", 154_880)


def test_a_split_model_reads_as_one(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "m", [TENSORS[:1], [], TENSORS[1:]])
    header = check_model_file(paths[0])
    assert [(tensor.name, tensor.part, tensor.offset) for tensor in header.tensors] == [
        ("token_embd.weight", 0, 0),
        ("output_norm.weight", 2, 0),
    ]
    assert [part.place for part in header.parts] == [str(path) for path in paths]
    assert header.file_size == sum(path.stat().st_size for path in paths)


def test_one_part_of_one_needs_no_name(tmp_path: Path) -> None:
    metadata = [ARCHITECTURE, ("split.count", "u16", 1), ("split.no", "u16", 0)]
    assert len(read_header(write_gguf(tmp_path / "m.gguf", metadata, TENSORS)).parts) == 1


def test_every_known_type_can_be_read(tmp_path: Path) -> None:
    tensors = [(kind.name, kind.name, (1024, 16)) for kind in ggml_types().values()]
    header = read_header(write_gguf(tmp_path / "m.gguf", tensors=tensors))
    assert [tensor.type for tensor in header.tensors] == list(ggml_types().values())
