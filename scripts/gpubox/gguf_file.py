"""One GGUF file: its metadata and tensor list, read from a source and checked for what can't be."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from gpubox.errors import ModelFileError
from gpubox.ggml_types import ggml_types, tensor_bytes
from gpubox.gguf_cursor import Cursor, Value, shown
from gpubox.gguf_source import DOWNLOAD_AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.ggml_types import GgmlType
    from gpubox.gguf_cursor import Endianness
    from gpubox.gguf_source import Source

MAX_KEYS = 4096  # published models have below 100
MAX_TENSORS = 2**17  # a model of 61 layers with 256 separate experts each has 47,000
MAX_DIMENSIONS = 4
_CONVERT = "convert the model again"
_DEFAULT_ALIGNMENT = 32
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the tensor list.

    Attributes:
        name: e.g. `blk.3.ffn_gate_exps.weight`.
        ne: elements per dimension in ggml's order, the row length first.
        type: the tensor type.
        offset: from the start of its part's data, bytes.
        nbytes: size in the file without padding.
        part: index into the header's parts.
    """

    name: str
    ne: tuple[int, ...]
    type: GgmlType
    offset: int
    nbytes: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class GgufFile:
    """One file as read: `version`, `endianness`, `metadata` and `tensors`, and where its data lies (bytes)."""

    place: str
    version: int
    endianness: Endianness
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    alignment: int
    data_offset: int
    size: int


def read_file(source: Source, part: int = 0) -> GgufFile:
    """Read the header of one file.

    Args:
        source: the file.
        part: its index, when the model is split.

    Raises:
        ModelFileError: if it is not a GGUF, is truncated, or says what can't be.
    """
    version, endianness = _opening(source)
    cursor = Cursor(source, 8, endianness, wide=version > 1)
    n_tensors = _count(cursor, "tensors", MAX_TENSORS)
    n_keys = _count(cursor, "metadata keys", MAX_KEYS)
    metadata = _metadata(cursor, n_keys)
    tensors = tuple(_tensors(cursor, n_tensors, part))
    alignment = _alignment(source.place, metadata)
    # A file without tensors (a vocabulary, the first of some split models) need not be padded up to its data.
    data_offset = -(-cursor.offset // alignment) * alignment if tensors else cursor.offset
    file = GgufFile(source.place, version, endianness, metadata, tensors, alignment, data_offset, source.size)
    _check_layout(file)
    return file


def _opening(source: Source) -> tuple[int, Endianness]:
    """Return version and byte order; say what the file looks like where it is no GGUF."""
    if source.size == 0:
        raise ModelFileError(source.place, "is empty", DOWNLOAD_AGAIN)
    opening = source.read(0, 64)
    if opening[:4] != b"GGUF":
        fault = f"is not a GGUF: {_looks_like(opening)}"
        raise ModelFileError(source.place, fault, "name a .gguf file, or download it again")
    if len(opening) < 8:
        raise ModelFileError(source.place, f"ends at byte {source.size}, inside the version", DOWNLOAD_AGAIN)
    # A version is small, so its zero bytes tell the byte order.
    endianness: Endianness = "little" if int.from_bytes(opening[4:6], "little") else "big"
    version = int.from_bytes(opening[4:8], endianness)
    if version not in {1, 2, 3}:
        raise ModelFileError(source.place, f"is GGUF version {version}; 1, 2 and 3 are known", "update gpubox")
    return version, endianness


def _looks_like(opening: bytes) -> str:
    text = opening.lstrip().lower()
    kinds = {
        "it looks like a Git LFS pointer (fetch the file itself with `git lfs pull`)": text.startswith(_LFS_POINTER),
        "it looks like a web page": text.startswith((b"<!doctype html", b"<html", b"<?xml")),
        "it looks like a safetensors file": opening[8:10] == b'{"',
        "it looks like a PyTorch or zip archive": opening.startswith(b"PK\x03\x04"),
        "it looks like a GGML file from before GGUF": opening[:4] in {b"lmgg", b"fmgg", b"tjgg", b"algg"},
        "it looks like a compressed file": opening.startswith(
            (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh")
        ),
        "it looks like JSON": text.startswith((b"{", b"[")),
        "it starts with zeros, as an unfinished download does": not opening.strip(b"\0"),
    }
    return next((kind for kind, fits in kinds.items() if fits), f"it starts with {shown(opening[:4])}")


def _count(cursor: Cursor, what: str, limit: int) -> int:
    count = cursor.length(f"the number of {what}")
    if count > limit:
        raise cursor.fault(f"claims {count} {what}; at most {limit} are plausible")
    return count


def _metadata(cursor: Cursor, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for index in range(count):
        key = cursor.name(f"the name of metadata key {index + 1} of {count}")
        what = f"metadata {key!r}"
        if key in metadata:
            raise cursor.fault(f"{what} occurs twice")
        metadata[key] = cursor.value(cursor.u32(f"the type of {what}"), what)
    return metadata


def _tensors(cursor: Cursor, count: int, part: int) -> Iterator[Tensor]:
    types = ggml_types()
    seen: set[str] = set()
    for index in range(count):
        name = cursor.name(f"the name of tensor {index + 1} of {count}")
        what = f"tensor {name!r}"
        if name in seen:
            raise cursor.fault(f"{what} occurs twice")
        seen.add(name)
        dimensions = cursor.u32(what)
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise cursor.fault(f"{what} has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are possible")
        ne = tuple([cursor.length(what) for _ in range(dimensions)])
        # ggml counts elements in a signed 64-bit number.
        if not 0 < prod(ne) < 2**63:
            raise cursor.fault(f"{what} has the impossible shape {' x '.join(map(str, ne))}")
        number = cursor.u32(what)
        if number not in types:
            fault, remedy = (
                f"{what} has the unknown type {number}",
                "update gpubox, or convert the model to a known type",
            )
            raise ModelFileError(cursor.place, fault, remedy)
        offset = cursor.u64(what)
        try:
            nbytes = tensor_bytes(types[number], ne)
        except ValueError as error:
            raise cursor.fault(f"{what}: {error}") from None
        yield Tensor(name, ne, types[number], offset, nbytes, part)


def _alignment(place: str, metadata: dict[str, Value]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    plausible = type(alignment) is int and 0 < alignment <= 2**20 and alignment & (alignment - 1) == 0
    if not plausible:
        raise ModelFileError(place, f"general.alignment is {alignment!r}, not a power of two up to 1 MiB", _CONVERT)
    assert isinstance(alignment, int)
    return alignment


def _check_layout(file: GgufFile) -> None:
    """Refuse data that is misaligned, overlaps or is not there."""
    end, before = 0, ""
    for tensor in sorted(file.tensors, key=_by_offset):
        if tensor.offset % file.alignment:
            fault = f"tensor {tensor.name!r} starts at {tensor.offset}, not on a multiple of {file.alignment}"
            raise ModelFileError(file.place, fault, _CONVERT)
        if tensor.offset < end:
            raise ModelFileError(file.place, f"tensors {before!r} and {tensor.name!r} overlap", _CONVERT)
        end, before = tensor.offset + tensor.nbytes, tensor.name
    missing = file.data_offset + end - file.size
    if file.tensors and missing > 0:
        fault = f"is {missing} bytes too short: {file.size} of {file.data_offset + end} (tensor {before!r} is cut off)"
        raise ModelFileError(file.place, fault, DOWNLOAD_AGAIN)


def _by_offset(tensor: Tensor) -> tuple[int, int]:
    return tensor.offset, tensor.nbytes
