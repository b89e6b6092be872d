"""Headers of models whose profiles are shipped, so that they can be planned and checked before a byte is downloaded.

An outline (`data/models/*.json`) says which tensors there are, by layers and with their types and shapes. It is told from
the published architecture and proved against the published file size, not read from the file.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gpubox.argv import layer_numbers
from gpubox.ggml_types import tensor_bytes, type_named
from gpubox.gguf import GgufHeader, Part, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALIGNMENT = 32


def known_header(repo: str, revision: str, file: str) -> GgufHeader | None:
    """Return the header of a file of a Hugging Face revision, or None where no outline of it is shipped."""
    for entry in files("gpubox").joinpath("data", "models").iterdir():
        if entry.name.endswith(".json"):
            outline = json.loads(entry.read_text(encoding="utf-8"))
            for known in outline["files"]:
                if (known["repo"], known["revision"], known["file"]) == (repo, revision, file):
                    return _header(outline, known)
    return None


def _header(outline: dict[str, Any], known: dict[str, Any]) -> GgufHeader:
    arch = outline["architecture"]
    metadata = {"general.architecture": arch, **{f"{arch}.{key}": value for key, value in outline["metadata"].items()}}
    tensors, offset = [], 0
    for name, kind, ne in _tensors(outline, known["types"]):
        ggml_type = type_named(kind)
        assert ggml_type is not None
        size = tensor_bytes(ggml_type, ne)
        tensors.append(Tensor(name, tuple(ne), ggml_type, offset, size))
        offset += -(-size // _ALIGNMENT) * _ALIGNMENT
    part = Part(f"{known['repo']}/{known['file']} (outline)", 0, offset)
    return GgufHeader(3, "little", metadata, tuple(tensors), (part,), _ALIGNMENT)


def _tensors(outline: dict[str, Any], types: dict[str, str]) -> Iterator[tuple[str, str, list[int]]]:
    """Yield name, type and ne of each tensor, layer by layer."""
    for name, kind, *ne in outline["outside"]:
        yield name, types.get(kind, kind), ne
    layers = [(set(layer_numbers(group["layers"]) or ()), group["tensors"]) for group in outline["inside"]]
    for layer in range(outline["metadata"]["block_count"]):
        for numbers, tensors in layers:
            if layer in numbers:
                for name, kind, *ne in tensors:
                    yield f"blk.{layer}.{name}", types.get(kind, kind), ne
