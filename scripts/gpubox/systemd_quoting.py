r"""Command lines in unit files: written so that they come back unchanged, and read as systemd reads them.

The two halves are independent on purpose. `quote_exec` follows one rule for every argument; `split_exec` follows
systemd's sources, with all that `quote_exec` never writes (single quotes, separators, specifiers, variables), so that
it can judge what others wrote as well: Podman's generator, for one.

The rules, and where systemd 257 states them:

    a line ends at \n, \r or NUL; at most 1 MiB          src/basic/fileio.c read_line_full; LONG_LINE_MAX
    `#`, `;` open a comment, also between continuations  src/shared/conf-parser.c config_parse; systemd.syntax(7)
    an odd run of `\` at the end continues the line      the same
    a line that is not valid UTF-8 is ignored            src/shared/conf-parser.c parse_line; src/basic/utf8.c
    words, quotes, C escapes                             src/basic/extract-word.c, src/basic/escape.c
    prefixes of the executable, `;` and `\;`             src/core/load-fragment.c config_parse_exec
    `%` specifiers                                       src/shared/specifier.c specifier_printf; systemd.unit(5)
    `${NAME}`, `$NAME`, `$$`                             src/basic/env-util.c replace_env_argv; systemd.service(5)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpubox.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONG_LINE_MAX = 1024 * 1024
"""Bytes in a logical line of a unit file, continuations joined, above which systemd refuses the whole file."""

_WHITESPACE = " \t\n\r"  # WHITESPACE in src/basic/string-util.h; not Python's idea of it
_LITERAL = {"\\": r"\\", '"': r"\"", "%": "%%", "$": "$$", "\n": r"\n", "\t": r"\t", "\r": r"\r"}
_LETTER_ESCAPES = dict(zip("abfnrtvs\\\"'", "\a\b\f\n\r\t\v \\\"'", strict=True))

_NONCHARACTERS = r"\ud800-\udfff\ufdd0-\ufdef" + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17))
NONCHARACTER = re.compile(f"[{_NONCHARACTERS}]")
"""What systemd takes for invalid UTF-8, ignoring the line: surrogates and the code points that Unicode sets aside.

Source: unichar_is_valid in systemd's src/basic/utf8.c.
"""

_SPECIAL = re.compile(rf"""[\\"%$\x01-\x1f\x7f{_NONCHARACTERS}]""")
_PIECE = re.compile(
    r"""
      "(?P<double> [^"\\]* (?: \\. [^"\\]* )* )"
    | '(?P<single> [^'\\]* (?: \\. [^'\\]* )* )'
    | (?P<bare> (?: [^ \t\n\r"'\\] | \\. | \\\Z )+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"""\\ (?:
      (?P<letter> [abfnrtvs\\"'] )
    | x (?P<hex> (?!00) [0-9a-fA-F]{2} )
    |   (?P<octal> (?!000) [0-3][0-7]{2} )
    | u (?P<u4> (?!0000) [0-9a-fA-F]{4} )
    | U (?P<u8> (?!0{8}) [0-9a-fA-F]{8} )
    )""",
    re.VERBOSE,
)
_PREFIX = re.compile(r"[-@:+!]*")
_SPECIFIER = re.compile(r"%(?P<letter>[%A-Za-z0-9])")
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[^}:]*)\}|\$\{[^}:]*:?|\$.?", re.DOTALL)


def quote_exec(args: Iterable[str]) -> str:
    r"""Quote arguments for `ExecStart=`, Quadlet's `Exec=`, `PodmanArgs=` or `Environment=`.

    Each argument stands in double quotes, with `\`, `"`, `%` and `$` made literal and control characters as C escapes,
    so the result is one physical line. Podman's generator hands `%%` and `$$` on untouched, so one rule serves both
    readers. A non-character is written byte by byte, which systemd reads back and Podman's generator does not.

    Args:
        args: without NUL and surrogates; the first one is not an executable (its prefixes `-@:+!` would count).

    Returns:
        The quoted arguments, one space between them; an empty string where there are none.
    """
    return " ".join(f'"{_SPECIAL.sub(_literal, arg)}"' for arg in args)


def _literal(special: re.Match[str]) -> str:
    char = special[0]
    return _LITERAL.get(char) or "".join(f"\\x{byte:02x}" for byte in char.encode())


def unit_values(text: str, section: str, key: str) -> list[str]:
    """Read the values of one key of a unit file as systemd reads them, in order of appearance.

    Args:
        text: a whole unit file.
        section: without brackets, e.g. `Service`.
        key: e.g. `ExecStart`.

    Returns:
        The values: continuations joined, surrounding whitespace gone, quotes and escapes untouched.

    Raises:
        ArgumentError: a line is longer than systemd reads.
    """
    values = []
    current = ""
    for line in _logical_lines(text):
        if not line or NONCHARACTER.search(line):
            continue
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1]
            continue
        name, equals, value = line.partition("=")
        if equals and current == section and name.rstrip(_WHITESPACE) == key:
            values.append(value.lstrip(_WHITESPACE))
    return values


def _logical_lines(text: str) -> Iterator[str]:
    continued = ""
    for line in re.split(r"\r\n|\n\r|[\n\r\0]", text.removeprefix("\ufeff")):
        if line.lstrip(_WHITESPACE).startswith(("#", ";")):
            continue
        joined = continued + line
        if len(joined.encode(errors="surrogatepass")) >= LONG_LINE_MAX:
            raise ArgumentError("unit file", "a line is longer than systemd reads (1 MiB)")
        backslashes = len(joined) - len(joined.rstrip("\\"))
        if backslashes % 2:
            continued = joined[:-1] + " "
            continue
        continued = ""
        yield joined.strip(_WHITESPACE)
    yield continued.strip(_WHITESPACE)


def split_exec(value: str, specifiers: Mapping[str, str] | None = None) -> list[str]:
    """Read one `ExecStart=` value as systemd does, down to the argv that it executes.

    Args:
        value: what `unit_values` returns: one command line, executable first.
        specifiers: what the unit's specifiers stand for, by letter (`{"N": "glm"}`); `%%` needs no entry.

    Returns:
        The argv; `argv[0]` is the executable, or the second word after the prefix `@`. Every variable counts as unset:
        `${NAME}` becomes nothing, and the whole word `$NAME` goes.

    Raises:
        ArgumentError: systemd would refuse the line, or a specifier has no entry, or a second command follows a `;`.
    """
    words = list(_command_words(value))
    if not words:
        raise ArgumentError(value, "no executable")
    prefix = _prefix(words[0])
    words[0] = words[0][len(prefix) :]
    if not words[0]:
        raise ArgumentError(value, "no executable")
    if "@" in prefix:
        del words[0]
    resolved = [_expand_specifiers(word, specifiers or {}) for word in words]
    if ":" in prefix:
        return resolved
    return [_drop_variables(word) for word in resolved if not _is_variable(word)]


def _prefix(executable: str) -> str:
    match = _PREFIX.match(executable)
    return match.group() if match else ""


def _command_words(value: str) -> Iterator[str]:
    """Yield the words of one command; `;` ends it where it stands alone, unquoted and not first."""
    position = _skip_whitespace(value, 0)
    first = True
    while position < len(value):
        start = position
        word, position = _next_word(value, position)
        raw = value[start:position]
        position = _skip_whitespace(value, position)
        if raw == r"\;" and not first:
            yield ";"
        elif raw == ";" or (first and word == ";"):
            if not first and position < len(value):
                raise ArgumentError(value, "a second command follows a ';'")
        else:
            yield word
            first = False


def _skip_whitespace(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position


def _next_word(text: str, position: int) -> tuple[str, int]:
    """Read the word that begins at `position`; return it, unquoted, and where it ends."""
    word = b""
    while position < len(text) and text[position] not in _WHITESPACE:
        piece = _PIECE.match(text, position)
        if piece is None:
            raise ArgumentError(text, "unbalanced quotes")
        word += _unescape(piece[piece.lastgroup or 0])
        position = piece.end()
    return word.decode(errors="surrogateescape"), position


def _unescape(text: str) -> bytes:
    """Undo C escapes; an unknown one stays as it is, which systemd grants with a warning."""
    pieces = []
    position = 0
    while (backslash := text.find("\\", position)) >= 0:
        pieces.append(text[position:backslash].encode(errors="surrogateescape"))
        match = _ESCAPE.match(text, backslash)
        pieces.append(_escaped_bytes(match) if match else text[backslash : backslash + 2].encode())
        position = match.end() if match else backslash + 2
    pieces.append(text[position:].encode(errors="surrogateescape"))
    return b"".join(pieces)


def _escaped_bytes(match: re.Match[str]) -> bytes:
    kind = match.lastgroup
    digits = match[kind or 0]
    if kind == "letter":
        return _LETTER_ESCAPES[digits].encode()
    if kind == "octal":
        return bytes([int(digits, 8)])
    if kind == "hex":
        return bytes([int(digits, 16)])
    code = int(digits, 16)
    if kind == "u8" and (code > 0x10FFFF or NONCHARACTER.match(chr(code))):
        return match[0].encode()
    return chr(code).encode(errors="surrogatepass")


def _expand_specifiers(word: str, specifiers: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        letter = match["letter"]
        if letter == "%":
            return "%"
        if letter not in specifiers:
            raise ArgumentError(word, f"unknown specifier %{letter}", "write %% for a percent sign")
        return specifiers[letter]

    return _SPECIFIER.sub(replacement, word)


def _is_variable(word: str) -> bool:
    return word.startswith("$") and word[1:2] not in ("{", "$")


def _drop_variables(word: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return match[0] if match["name"] is None else ""

    return _VARIABLE.sub(replacement, word)
