"""Seeded damage to a GGUF header: the same seed makes the same file."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from gguf_writer import ARCHITECTURE, Encoder, gguf_header

from gpubox.errors import ModelFileError
from gpubox.gguf_file import GgufFile, read_file

if TYPE_CHECKING:
    from gguf_writer import Metadata, TensorInfo

_METADATA: list[Metadata] = [
    ARCHITECTURE,
    ("general.alignment", "u32", 32),
    ("llama.block_count", "u32", 2),
    ("llama.rope.freq_base", "f64", 1e6),
    ("tokenizer.ggml.tokens", "[string]", [f"t{index}" for index in range(300)]),
    ("tokenizer.ggml.token_type", "[i32]", list(range(300))),
    ("general.tags", "[string]", ["a", "bc", "def"]),
    ("general.flags", "[bool]", [True, False]),
]
_TENSORS: list[TensorInfo] = [
    ("token_embd.weight", "q6_0", (64, 300)),
    *((f"blk.{layer}.ffn_up.weight", "iq2_kt", (256, 4)) for layer in range(4)),
    ("output_norm.weight", "f32", (64,)),
]
# Numbers at which readers go wrong.
_EDGES = [0, 1, 2**8 - 1, 2**16, 2**31, 2**32 - 1, 2**32, 2**60, 2**63 - 1, 2**63, 2**64 - 1, 300, 1000]


def originals() -> list[bytes]:
    """Return sound headers, one for every version and byte order."""
    encoders = [Encoder(1), Encoder(2), Encoder(3), Encoder(3, "big")]
    return [gguf_header(_METADATA, _TENSORS, encoder=encoder)[0] for encoder in encoders]


def mutated(original: bytes, seed: int) -> bytes:
    """Return the header with one to four faults: bits, bytes, numbers, and pieces cut, doubled or moved."""
    random_ = random.Random(seed)
    content = bytearray(original)
    for _ in range(random_.randint(1, 4)):
        # Most of the header is vocabulary, so aim at the rest half of the time.
        at = random_.randrange(len(content)) if random_.random() < 0.5 else random_.randrange(min(300, len(content)))
        kind = random_.randrange(6)
        if kind == 0:
            content[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            content[at : at + 8] = random_.choice(_EDGES).to_bytes(8, random_.choice(["little", "big"]))
        elif kind == 2:
            content[at : at + 4] = (random_.choice(_EDGES) % 2**32).to_bytes(4, "little")
        elif kind == 3:
            del content[at : at + random_.randint(1, 40)]
        elif kind == 4:
            content[at:at] = content[at : at + random_.randint(1, 40)]
        else:
            del content[at:]
        if not content:
            break
    return bytes(content)


class MemorySource:
    """Bytes in memory that continue as zeros up to `size`, as a sparse file does."""

    place = "m.gguf"

    def __init__(self, content: bytes, size: int) -> None:
        self._content = content
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Return what a file would."""
        length = max(0, min(length, self.size - offset))
        return self._content[offset : offset + length].ljust(length, b"\0")

    def close(self) -> None:
        """Nothing to close."""


def outcome(content: bytes, size: int) -> GgufFile | str:
    """Return what reading gives: the file, or the fault; any other exception passes."""
    try:
        return read_file(MemorySource(content, size))
    except ModelFileError as error:
        return str(error)
