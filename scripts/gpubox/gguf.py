"""GGUF headers: what a model is, and how many bytes each of its tensors takes, without reading its weights.

The format is that of GGUF 1 to 3, little- or big-endian, in one file or split into `NAME-00001-of-0000N.gguf`, on a
disk or on an HTTP(S) server. `read_header` tells what a model is; `check_model_file` also refuses what the engines do.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gpubox.errors import ModelFileError
from gpubox.gguf_cursor import LongArray, Value
from gpubox.gguf_file import GgufFile, Tensor, read_file
from gpubox.gguf_source import DOWNLOAD_AGAIN, FileSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpubox.gguf_cursor import Endianness
    from gpubox.gguf_http import HttpSource

__all__ = ["GgufHeader", "LongArray", "Part", "Tensor", "Value", "check_model_file", "read_header"]

MAX_PARTS = 1000  # published models have up to about 150
_SPLIT_NAME = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a model: its path or URL, where its tensor data starts, and its size, both in bytes."""

    place: str
    data_offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """All that a model's header says.

    Attributes:
        version: of the GGUF format: 1, 2 or 3.
        endianness: of the numbers in it, weights included.
        metadata: by full key; long arrays (vocabularies) are only located.
        tensors: of all parts, in file order.
        parts: the files, first to last.
        alignment: of tensor offsets, bytes.
    """

    version: int
    endianness: Endianness
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    parts: tuple[Part, ...]
    alignment: int

    @property
    def place(self) -> str:
        """The path or URL of the first file."""
        return self.parts[0].place

    @property
    def data_offset(self) -> int:
        """Where the tensor data of the first file starts, bytes."""
        return self.parts[0].data_offset

    @property
    def file_size(self) -> int:
        """Bytes of all files together."""
        return sum(part.size for part in self.parts)

    @property
    def architecture(self) -> str:
        """`general.architecture`, e.g. `glm-dsa`."""
        return str(self.metadata["general.architecture"])

    def meta(self, key: str) -> Value | None:
        """Return the architecture's own value of `key` (`block_count` for `glm-dsa.block_count`), or None."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def meta_int(self, key: str) -> int:
        """Return the architecture's own integer `key`.

        Raises:
            ModelFileError: if it is missing or not an integer.
        """
        value = self.meta(key)
        if not isinstance(value, int) or isinstance(value, bool):
            fault = "is missing" if value is None else "is not an integer"
            raise ModelFileError(self.place, f"metadata '{self.architecture}.{key}' {fault}", "convert the model again")
        return value


def read_header(source: str | os.PathLike[str], token_file: str | os.PathLike[str] | None = None) -> GgufHeader:
    """Read the header of a model, of all its files where it is split.

    Args:
        source: a path, or an `http://` or `https://` URL; of a split model the first file.
        token_file: a file with a bearer token for the URL's host.

    Raises:
        ModelFileError: if the file is missing, is not a GGUF, is truncated, or says what can't be.
    """
    first = _read_part(os.fspath(source), token_file, 0)
    files = [first, *_further_parts(os.fspath(source), token_file, first)]
    if not isinstance(first.metadata.get("general.architecture"), str):
        raise ModelFileError(first.place, "general.architecture is missing", "convert the model again")
    return GgufHeader(
        version=first.version,
        endianness=first.endianness,
        metadata=first.metadata,
        tensors=tuple(tensor for file in files for tensor in file.tensors),
        parts=tuple(Part(file.place, file.data_offset, file.size) for file in files),
        alignment=first.alignment,
    )


def check_model_file(path: str | os.PathLike[str]) -> GgufHeader:
    """Read a local model's header and refuse what no engine of llama.cpp's family loads.

    Raises:
        ModelFileError: as `read_header`, and for GGUF 1, big-endian numbers and models without tensors.
    """
    header = read_header(path)
    if header.version == 1:
        fault = "is GGUF version 1, which the engines no longer load"
        raise ModelFileError(header.place, fault, "convert the model again")
    if header.endianness == "big":
        fault = "is big-endian, which engines on this kind of machine don't load"
        raise ModelFileError(
            header.place, fault, "convert it with gguf_convert_endian.py, or download the little-endian one"
        )
    if not header.tensors:
        raise ModelFileError(header.place, "has no tensors", "name the model, not its vocabulary")
    return header


def _read_part(place: str, token_file: str | os.PathLike[str] | None, part: int) -> GgufFile:
    with _open(place, token_file) as source:
        return read_file(source, part)


def _open(place: str, token_file: str | os.PathLike[str] | None) -> FileSource | HttpSource:
    if not place.startswith(("http://", "https://")):
        return FileSource(place)
    from gpubox.gguf_http import HttpSource  # noqa: PLC0415  # an HTTP client that local files don't need

    return HttpSource(place, token_file)


def _further_parts(place: str, token_file: str | os.PathLike[str] | None, first: GgufFile) -> list[GgufFile]:
    """Read the other files of a split model and check that they belong together."""
    count = first.metadata.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return []
    match = _SPLIT_NAME.fullmatch(urlsplit(place).path if "://" in place else place)
    if match is None or int(match["count"]) != count:
        fault = f"holds one of {count} parts, but is not named like one"
        raise ModelFileError(first.place, fault, f"name the parts NAME-00001-of-{count:05}.gguf and so on")
    if count > MAX_PARTS:
        raise ModelFileError(first.place, f"claims {count} parts; at most {MAX_PARTS} are plausible", DOWNLOAD_AGAIN)
    names = [f"{match['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    number = first.metadata.get("split.no")
    if number != 0 or match.string != names[0]:
        fault = f"is part {number + 1} of {count}" if isinstance(number, int) else "split.no is missing"
        raise ModelFileError(first.place, fault, f"name the first part, {PurePath(names[0]).name}")
    files = [first]
    for index, name in enumerate(names[1:], start=1):
        further = _read_part(place.replace(match.string, name), token_file, index)
        split = (further.metadata.get("split.no"), further.metadata.get("split.count"), further.endianness)
        if split != (index, count, first.endianness):
            fault = f"is not part {index + 1} of {count}, as its name says"
            raise ModelFileError(further.place, fault, DOWNLOAD_AGAIN)
        files.append(further)
    _check_tensors(files)
    return files[1:]


def _check_tensors(files: list[GgufFile]) -> None:
    names = Counter(tensor.name for file in files for tensor in file.tensors)
    twice = next((name for name, times in names.items() if times > 1), None)
    if twice is not None:
        raise ModelFileError(files[0].place, f"tensor {twice!r} occurs in two parts", DOWNLOAD_AGAIN)
    expected = files[0].metadata.get("split.tensors.count", len(names))
    if expected != len(names):
        fault = f"split.tensors.count is {expected!r}, but the {len(files)} parts hold {len(names)} tensors"
        raise ModelFileError(files[0].place, fault, DOWNLOAD_AGAIN)
