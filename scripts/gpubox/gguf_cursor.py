"""A reader of GGUF's primitive values that moves through a source and never trusts a length.

No allocation follows a declared length before it is checked against what is left and against the limits below, which
are several times what published models need, so that a hostile header costs neither time nor memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from struct import Struct, unpack_from
from typing import TYPE_CHECKING, Literal

from gpubox.errors import ModelFileError
from gpubox.gguf_source import DOWNLOAD_AGAIN

if TYPE_CHECKING:
    from typing import TypeAlias

    from gpubox.gguf_source import Source

Scalar = int | float | bool | str
Endianness: TypeAlias = Literal["little", "big"]

MAX_HEADER = 48 * 2**20  # bytes; vocabularies of 260,000 tokens with their merges take about 15 MiB
MAX_STRING = 2**20  # bytes; the longest chat templates are below 100 KiB
MAX_NAME = 2**16 - 1  # bytes; the format's own limit for keys
MAX_KEPT = 256  # elements; arrays by layer stay below it, vocabularies exceed it and are only located
_WINDOW = 2**20  # bytes asked from the source at a time

STRING = 8
ARRAY = 9
# struct's codes of the scalar types, by GGUF's type number.
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_NAMES = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64")


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array too long to keep: where it lies.

    Attributes:
        type: `u8`, `i8`, `u16`, `i16`, `u32`, `i32`, `u64`, `i64`, `f32`, `f64`, `bool` or `string`.
        count: elements.
        offset: byte in the file where the first element starts.
    """

    type: str
    count: int
    offset: int


Value: TypeAlias = "Scalar | tuple[Scalar, ...] | LongArray"


class Cursor:
    """Reads one value after another.

    Every method raises ModelFileError when the file ends inside the value or when a limit is exceeded.

    Args:
        source: where the bytes come from.
        start: the offset to start at.
        endianness: of every number.
        wide: whether counts and lengths take 8 bytes (GGUF 2 and 3) or 4 (GGUF 1).
    """

    def __init__(self, source: Source, start: int, endianness: Endianness, *, wide: bool) -> None:
        self._source = source
        self._order = "<" if endianness == "little" else ">"
        self._length = Struct(self._order + ("Q" if wide else "I"))
        self._scalars = {number: Struct(self._order + code) for number, code in _CODES.items()}
        self._window = b""
        self._base = start
        self._at = 0  # position in the window

    @property
    def place(self) -> str:
        """The source's place, for messages."""
        return self._source.place

    @property
    def offset(self) -> int:
        """The offset in the file of the next value."""
        return self._base + self._at

    def scalar(self, number: int, what: str) -> int | float | bool:
        """Return one value of a fixed-size GGUF type; `what` names it in messages."""
        shape = self._scalars[number]
        at = self._take(shape.size, what)
        value: int | float | bool = shape.unpack_from(self._window, at)[0]
        return value

    def u32(self, what: str) -> int:
        """Return an unsigned 32-bit number."""
        return int(self.scalar(4, what))

    def u64(self, what: str) -> int:
        """Return an unsigned 64-bit number."""
        return int(self.scalar(10, what))

    def length(self, what: str) -> int:
        """Return a count, length or dimension, in the width of the file's version."""
        at = self._take(self._length.size, what)
        length: int = self._length.unpack_from(self._window, at)[0]
        return length

    def string(self, what: str, limit: int = MAX_STRING) -> bytes:
        """Return a length-prefixed string, not decoded."""
        length = self.length(f"the length of {what}")
        if length > limit:
            raise self.fault(f"{what} claims {length} bytes; at most {limit} are plausible")
        at = self._take(length, what)
        return self._window[at : at + length]

    def name(self, what: str) -> str:
        """Return a string that must be UTF-8."""
        raw = self.string(what, MAX_NAME)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.fault(f"{what} is not UTF-8: {shown(raw)}") from None

    def value(self, number: int, what: str) -> Value:
        """Return a metadata value of any GGUF type; text that is not UTF-8 shows its bytes in hexadecimal."""
        if number == STRING:
            return self.string(what).decode(errors="backslashreplace")
        if number == ARRAY:
            return self._array(what)
        if number not in _CODES:
            raise self.fault(f"{what} has the unknown value type {number}")
        return self.scalar(number, what)

    def fault(self, fault: str) -> ModelFileError:
        """Return the error for a file that says what can't be."""
        return ModelFileError(self.place, fault, DOWNLOAD_AGAIN)

    def _array(self, what: str) -> tuple[Scalar, ...] | LongArray:
        number = self.u32(f"the element type of {what}")
        count = self.length(f"the length of {what}")
        if number == ARRAY:
            remedy = "convert the model again without it"
            raise ModelFileError(self.place, f"{what} is an array of arrays, which no engine reads", remedy)
        if number != STRING and number not in _CODES:
            raise self.fault(f"{what} has the unknown element type {number}")
        smallest = self._length.size if number == STRING else self._scalars[number].size
        if count * smallest > self._source.size - self.offset:
            raise self.fault(f"{what} claims {count} elements, more than the rest of the file holds")
        if count * smallest > MAX_HEADER:
            raise self._too_long(what)
        if count > MAX_KEPT:
            array = LongArray(_NAMES[number], count, self.offset)
            self._skip_strings(count, what) if number == STRING else self._skip(count * smallest, what)
            return array
        if number == STRING:
            return tuple(self.string(what).decode(errors="backslashreplace") for _ in range(count))
        at = self._take(count * smallest, what)
        return unpack_from(f"{self._order}{count}{_CODES[number]}", self._window, at)

    def _skip_strings(self, count: int, what: str) -> None:
        """Pass `count` strings.

        A vocabulary has hundreds of thousands of them, so the loop only adds lengths; the end of the window, and a
        string that reaches beyond it, are left to the exception.
        """
        unpack, prefix = self._length.unpack_from, self._length.size
        while count:
            window, at, passed = self._window, self._at, 0
            try:
                for passed in range(count):  # noqa: B007 - how far it came
                    at += prefix + unpack(window, at)[0]
                passed = count
            except (struct.error, OverflowError):
                pass
            count -= passed
            self._skip(at - self._at, what)
            if count:
                self._fill(prefix, what)

    def _skip(self, length: int, what: str) -> None:
        self._at += length
        if self.offset > self._source.size:
            raise self._ended(what)

    def _take(self, length: int, what: str) -> int:
        """Make `length` bytes available, move past them, and return where in the window they start."""
        if self._at + length > len(self._window):
            self._fill(length, what)
        at = self._at
        self._at = at + length
        return at

    def _fill(self, length: int, what: str) -> None:
        """Move the window to the position and read at least `length` bytes into it."""
        kept = self._window[self._at :]
        self._base, self._at = self.offset, 0
        if self._base + length > MAX_HEADER:
            raise self._too_long(what)
        pieces, available = [kept], len(kept)
        while available < length:
            piece = self._source.read(self._base + available, _WINDOW)
            if not piece:
                raise self._ended(what)
            pieces.append(piece)
            available += len(piece)
        self._window = b"".join(pieces)

    def _ended(self, what: str) -> ModelFileError:
        return self.fault(f"ends at byte {self._source.size}, inside {what}")

    def _too_long(self, what: str) -> ModelFileError:
        return self.fault(f"its header is longer than {MAX_HEADER // 2**20} MiB, which is implausible (at {what})")


def shown(raw: bytes) -> str:
    """Return bytes of a file as they can stand in a message: printable, quoted and short."""
    text = raw[:40].decode("ascii", errors="backslashreplace")
    return repr(text).replace("\\\\x", "\\x") + ("…" if len(raw) > 40 else "")
