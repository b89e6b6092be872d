"""What is said about a model file that is wrong, whole messages; `{}` stands for the file's path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from gguf_writer import ARCHITECTURE, Encoder, gguf_header, write_gguf, write_split
from hypothesis import given, settings
from hypothesis import strategies as st

from gpubox.errors import ModelFileError
from gpubox.gguf import check_model_file, read_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gguf_writer import Metadata, TensorInfo

ENCODE = Encoder()
ARCH = ENCODE.entry(*ARCHITECTURE)
AGAIN = "download or copy it again"
TENSORS: list[TensorInfo] = [("a.weight", "f32", (8,)), ("b.weight", "f32", (8,))]


def message(path: Path, read: Callable[[Path], object] = read_header) -> str:
    with pytest.raises(ModelFileError) as error:
        read(path)
    return str(error.value).replace(str(path), "{}").replace(str(path.parent), "{folder}")


def message_of(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    return message(path)


def header(*entries: bytes, tensors: tuple[bytes, ...] = ()) -> bytes:
    return ENCODE.opening(len(tensors), len(entries)) + b"".join(entries) + b"".join(tensors)


def test_a_missing_file(tmp_path: Path) -> None:
    assert message(tmp_path / "m.gguf") == "{}: does not exist; check the path"


def test_a_link_to_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.symlink_to("../blobs/abc")
    assert message(path) == f"{{}}: is a link to ../blobs/abc, which does not exist; {AGAIN}"


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    assert message(tmp_path / "m") == "{}: is a directory; name the .gguf file in it"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.gguf")
    assert message(tmp_path / "m.gguf") == "{}: is not a regular file; name a .gguf file"


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"")
    expected = "{}: can't be read: not a directory; check its permissions and the path"
    assert message(tmp_path / "m" / "n.gguf").replace("{folder}", str(tmp_path / "m")) == expected


def test_a_path_with_a_zero_byte(tmp_path: Path) -> None:
    assert message(tmp_path / "a\0b") == "{}: is no path: it holds a zero byte; check the path"


def test_an_empty_file(tmp_path: Path) -> None:
    assert message_of(tmp_path, b"") == f"{{}}: is empty; {AGAIN}"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "it looks like a Git LFS pointer (fetch the file itself with `git lfs pull`)",
        ),
        (b"<!DOCTYPE html><html>", "it looks like a web page"),
        (b"\n<html>", "it looks like a web page"),
        (b'\x40\0\0\0\0\0\0\0{"__metadata__":', "it looks like a safetensors file"),
        (b"PK\x03\x04....", "it looks like a PyTorch or zip archive"),
        (b"tjgg\x03\0\0\0", "it looks like a GGML file from before GGUF"),
        (b"\x1f\x8b\x08", "it looks like a compressed file"),
        (b'{"error": "Entry not found"}', "it looks like JSON"),
        (bytes(100), "it starts with zeros, as an unfinished download does"),
        (b"GGUX\x03\0\0\0", "it starts with 'GGUX'"),
        (b"\x1b[\xff", "it starts with '\\x1b[\\xff'"),
        (b"GG", "it starts with 'GG'"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    expected = f"{{}}: is not a GGUF: {kind}; name a .gguf file, or download it again"
    assert message_of(tmp_path, content) == expected


@pytest.mark.parametrize(("raw", "version"), [(b"\x04\0\0\0", 4), (b"\0\0\0\x07", 7), (b"\0\0\0\0", 0)])
def test_an_unknown_version(tmp_path: Path, raw: bytes, version: int) -> None:
    expected = f"{{}}: is GGUF version {version}; 1, 2 and 3 are known; update gpubox"
    assert message_of(tmp_path, b"GGUF" + raw + bytes(16)) == expected


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"GGUF\x03\0", "ends at byte 6, inside the version"),
        (b"GGUF\x03\0\0\0\x01\0", "ends at byte 10, inside the number of tensors"),
        (ENCODE.opening(0, 1), "ends at byte 24, inside the length of the name of metadata key 1 of 1"),
        (header(ARCH)[:40], "ends at byte 40, inside the name of metadata key 1 of 1"),
        (header(ARCH)[:53], "ends at byte 53, inside the type of metadata 'general.architecture'"),
        (header(ARCH)[:-1], "ends at byte 68, inside metadata 'general.architecture'"),
        (
            header(ENCODE.entry("a", "[string]", ["b"] * 999))[:-500],
            "ends at byte 8540, inside metadata 'a'",
        ),
        (
            header(ARCH, tensors=(ENCODE.tensor("t", (8,), 0, 0),))[:-1],
            "ends at byte 101, inside tensor 't'",
        ),
    ],
)
def test_a_header_that_is_cut_off(tmp_path: Path, content: bytes, fault: str) -> None:
    assert message_of(tmp_path, content) == f"{{}}: {fault}; {AGAIN}"


@given(cut=st.integers(0, 10**9))
@settings(max_examples=200)
def test_no_cut_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    metadata: list[Metadata] = [ARCHITECTURE, ("a", "[string]", ["x"] * 300), ("b", "[i32]", [1] * 300)]
    whole, data = gguf_header(metadata, TENSORS)
    content = whole + bytes(data)
    path = tmp_path_factory.getbasetemp() / "cut.gguf"
    path.write_bytes(content[: cut % len(content)])
    assert AGAIN in message(path) or message(path).startswith("{}: is not a GGUF")


def test_data_that_is_cut_off_says_by_how_much(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", tensors=TENSORS)
    size = path.stat().st_size
    os.truncate(path, size - 20)
    expected = f"{{}}: is 20 bytes too short: {size - 20} of {size} (tensor 'b.weight' is cut off); {AGAIN}"
    assert message(path) == expected


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (ENCODE.opening(2**60, 0), "claims 1152921504606846976 tensors; at most 131072 are plausible"),
        (ENCODE.opening(0, 2**60), "claims 1152921504606846976 metadata keys; at most 4096 are plausible"),
        (
            ENCODE.opening(0, 1) + ENCODE.length(2**60),
            "the name of metadata key 1 of 1 claims 1152921504606846976 bytes; at most 65535 are plausible",
        ),
        (
            ENCODE.opening(0, 1) + ENCODE.string("k") + ENCODE.number("u32", 8) + ENCODE.length(2**63),
            "metadata 'k' claims 9223372036854775808 bytes; at most 1048576 are plausible",
        ),
        (
            header(ENCODE.string("k") + ENCODE.number("u32", 9) + ENCODE.number("u32", 0) + ENCODE.length(2**60)),
            "metadata 'k' claims 1152921504606846976 elements, more than the rest of the file holds",
        ),
        (
            header(ENCODE.string("k") + ENCODE.number("u32", 9) + ENCODE.number("u32", 8) + ENCODE.length(2**60)),
            "metadata 'k' claims 1152921504606846976 elements, more than the rest of the file holds",
        ),
        (
            header(ENCODE.entry("k", "[string]", ["a"] * 299)[:-9] + ENCODE.length(2**64 - 1) + bytes(64)),
            "ends at byte 2803, inside metadata 'k'",
        ),
        (header(ENCODE.string("k") + ENCODE.number("u32", 13)), "metadata 'k' has the unknown value type 13"),
        (
            header(ENCODE.string("k") + ENCODE.number("u32", 9) + ENCODE.number("u32", 77) + ENCODE.length(1)),
            "metadata 'k' has the unknown element type 77",
        ),
        (header(ENCODE.entry(b"\xffk", "u8", 1)), "the name of metadata key 1 of 1 is not UTF-8: '\\xffk'"),
        (header(ENCODE.entry("k", "u8", 1), ENCODE.entry("k", "u8", 2)), "metadata 'k' occurs twice"),
        (
            header(ARCH, tensors=(ENCODE.tensor(b"\xff" * 50, (8,), 0, 0),)),
            "the name of tensor 1 of 1 is not UTF-8: '" + "\\xff" * 40 + "'…",
        ),
        (
            header(ARCH, tensors=(ENCODE.tensor("t", (8,), 0, 0), ENCODE.tensor("t", (8,), 0, 32))),
            "tensor 't' occurs twice",
        ),
        (header(ARCH, tensors=(ENCODE.tensor("t", (), 0, 0),)), "tensor 't' has 0 dimensions; 1 to 4 are possible"),
        (
            header(ARCH, tensors=(ENCODE.tensor("t", (1,) * 5, 0, 0),)),
            "tensor 't' has 5 dimensions; 1 to 4 are possible",
        ),
        (header(ARCH, tensors=(ENCODE.tensor("t", (8, 0), 0, 0),)), "tensor 't' has the impossible shape 8 x 0"),
        (
            header(ARCH, tensors=(ENCODE.tensor("t", (2**32, 2**31), 0, 0),)),
            "tensor 't' has the impossible shape 4294967296 x 2147483648",
        ),
        (
            header(ARCH, tensors=(ENCODE.tensor("t", (300,), 153, 0),)),
            "tensor 't': a row of 300 elements does not divide into iq2_kt blocks of 256",
        ),
    ],
)
def test_a_header_that_says_what_cannot_be(tmp_path: Path, content: bytes, fault: str) -> None:
    assert message_of(tmp_path, content) == f"{{}}: {fault}; {AGAIN}"


@pytest.mark.parametrize("kind", ["u8", "string"])
def test_a_header_of_gigabytes_is_refused(tmp_path: Path, kind: str) -> None:
    number = ENCODE.number("u32", 8 if kind == "string" else 0)
    start = header(ENCODE.string("k") + ENCODE.number("u32", 9) + number + ENCODE.length(2**31))
    path = tmp_path / "m.gguf"
    path.write_bytes(start)
    os.truncate(path, 2**40)
    expected = f"{{}}: its header is longer than 48 MiB, which is implausible (at metadata 'k'); {AGAIN}"
    assert message(path) == expected


def test_a_long_string_in_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    start = header(ENCODE.entry("k", "[string]", ["a"] * 299)[:-9] + ENCODE.length(2**35), ARCH)
    path = tmp_path / "m.gguf"
    path.write_bytes(start)
    os.truncate(path, 2**40)
    place = "the length of the name of metadata key 2 of 2"
    expected = f"{{}}: its header is longer than 48 MiB, which is implausible (at {place}); {AGAIN}"
    assert message(path) == expected


def test_an_array_of_arrays(tmp_path: Path) -> None:
    expected = "{}: metadata 'k' is an array of arrays, which no engine reads; convert the model again without it"
    assert message_of(tmp_path, header(ARCH, ENCODE.entry("k", "[[u8]]", [[1], [2]]))) == expected


def test_an_unknown_tensor_type(tmp_path: Path) -> None:
    content = header(ARCH, tensors=(ENCODE.tensor("t", (8,), 250, 0),))
    remedy = "update gpubox, or convert the model to a known type"
    assert message_of(tmp_path, content) == f"{{}}: tensor 't' has the unknown type 250; {remedy}"


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [("u32", 0, "0"), ("u32", 48, "48"), ("string", "32", "'32'"), ("u32", 2**31, "2147483648")],
)
def test_an_alignment_that_is_no_power_of_two(tmp_path: Path, kind: str, value: object, shown: str) -> None:
    content = header(ARCH, ENCODE.entry("general.alignment", kind, value))
    expected = f"{{}}: general.alignment is {shown}, not a power of two up to 1 MiB; convert the model again"
    assert message_of(tmp_path, content) == expected


def test_a_misaligned_tensor(tmp_path: Path) -> None:
    content = header(ARCH, tensors=(ENCODE.tensor("t", (8,), 0, 33),)) + bytes(999)
    expected = "{}: tensor 't' starts at 33, not on a multiple of 32; convert the model again"
    assert message_of(tmp_path, content) == expected


def test_overlapping_tensors(tmp_path: Path) -> None:
    tensors = (ENCODE.tensor("b", (8,), 0, 32), ENCODE.tensor("a", (9,), 0, 0))
    expected = "{}: tensors 'a' and 'b' overlap; convert the model again"
    assert message_of(tmp_path, header(ARCH, tensors=tensors) + bytes(999)) == expected


@pytest.mark.parametrize("entry", [("general.name", "string", "x"), ("general.architecture", "u8", 1)])
def test_a_model_without_architecture(tmp_path: Path, entry: Metadata) -> None:
    path = write_gguf(tmp_path / "m.gguf", [entry])
    assert message(path) == "{}: general.architecture is missing; convert the model again"


def test_a_model_to_serve_has_a_version_that_engines_load(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", tensors=TENSORS, encoder=Encoder(version=1))
    expected = "{}: is GGUF version 1, which the engines no longer load; convert the model again"
    assert message(path, check_model_file) == expected


def test_a_model_to_serve_is_little_endian(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", tensors=TENSORS, encoder=Encoder(endianness="big"))
    expected = (
        "{}: is big-endian, which engines on this kind of machine don't load; "
        "convert it with gguf_convert_endian.py, or download the little-endian one"
    )
    assert message(path, check_model_file) == expected


def test_a_model_to_serve_has_tensors(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    assert message(path, check_model_file) == "{}: has no tensors; name the model, not its vocabulary"


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "m", [TENSORS[:1], TENSORS[1:]])
    paths[1].unlink()
    assert message(paths[0]) == "{folder}/m-00002-of-00002.gguf: does not exist; check the path"


def test_a_part_that_is_not_the_first(tmp_path: Path) -> None:
    path = write_split(tmp_path, "m", [TENSORS[:1], TENSORS[1:]])[1]
    assert message(path) == "{}: is part 2 of 2; name the first part, m-00001-of-00002.gguf"


def test_a_first_part_under_another_name(tmp_path: Path) -> None:
    path = write_split(tmp_path, "m", [TENSORS[:1], TENSORS[1:]])[0].rename(tmp_path / "m.gguf")
    expected = "{}: holds one of 2 parts, but is not named like one; name the parts NAME-00001-of-00002.gguf and so on"
    assert message(path) == expected


def test_parts_in_the_wrong_order(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "m", [TENSORS[:1], TENSORS[1:], []])
    paths[2].rename(paths[1])
    expected = f"{{folder}}/m-00002-of-00003.gguf: is not part 2 of 3, as its name says; {AGAIN}"
    assert message(paths[0]) == expected


def test_parts_that_hold_a_tensor_twice(tmp_path: Path) -> None:
    path = write_split(tmp_path, "m", [TENSORS[:1], TENSORS[:1]])[0]
    assert message(path) == f"{{}}: tensor 'a.weight' occurs in two parts; {AGAIN}"


def test_parts_that_hold_too_few_tensors(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "m", [TENSORS[:1], TENSORS[1:]])
    write_split(tmp_path, "m", [TENSORS[:1], []])[1].rename(paths[1])
    other = write_split(tmp_path / "..", "other", [TENSORS[:1], TENSORS[1:]])
    other[0].rename(paths[0])
    other[1].unlink()
    expected = f"{{}}: split.tensors.count is 2, but the 2 parts hold 1 tensors; {AGAIN}"
    assert message(paths[0]) == expected


def test_a_model_of_too_many_parts(tmp_path: Path) -> None:
    metadata: list[Metadata] = [ARCHITECTURE, ("split.count", "u16", 50_000), ("split.no", "u16", 0)]
    path = write_gguf(tmp_path / "m-00001-of-50000.gguf", metadata)
    assert message(path) == f"{{}}: claims 50000 parts; at most 1000 are plausible; {AGAIN}"
