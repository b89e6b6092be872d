"""Which arguments each form of a command line carries unchanged; the others are refused by name.

Measured with Podman's generator 4.9.3 and 5.4.2 and with systemd 252. From Podman 4.4 on, the generator's splitting and
quoting differ only in octal escapes, which are never written here (pkg/systemd/parser/split.go).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from gpubox.errors import ArgumentError
from gpubox.systemd_quoting import LONG_LINE_MAX, NONCHARACTER, quote_exec

if TYPE_CHECKING:
    from collections.abc import Iterable

Form = Literal["command", "quadlet", "systemd"]
FORMS: tuple[Form, ...] = get_args(Form)

MAX_ARGUMENT_BYTES = 128 * 1024 - 1
"""Longest argument that Linux executes a program with, 4 KiB pages (MAX_ARG_STRLEN in execve(2), NUL included)."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LINE_RESERVE = 4096  # what Podman's generator adds to the command line: its own options, at most some hundred bytes
_SHOWN = 60
_OTHER_FORM = "leave it out, or render the systemd or command form"


def check_argument(place: str, arg: str, form: Form) -> None:
    """Refuse an argument that `form` can't carry.

    Args:
        place: where the user finds it, e.g. `glm: argument 7`.
        arg: the argument.
        form: the form that is to carry it.

    Raises:
        ArgumentError: place, value and reason.
    """
    refusal = _refusal(arg, form)
    if refusal is not None:
        fault, remedy = refusal
        raise ArgumentError(f"{place} ({_shown(arg)})", fault, remedy)


def check_line(place: str, args: Iterable[str], form: Form) -> None:
    """Refuse a command line that is too long for a unit file.

    Args:
        place: the unit's name.
        args: the whole command line.
        form: `command` has no such limit.

    Raises:
        ArgumentError: the quoted line would pass systemd's limit of 1 MiB.
    """
    if form == "command":
        return
    size = len(quote_exec(args).encode())
    limit = LONG_LINE_MAX - _LINE_RESERVE
    if size > limit:
        raise ArgumentError(
            place,
            f"its command line takes {size} bytes in a unit file; {limit} fit into the longest line that systemd reads",
            "pass long texts (a grammar, a chat template) as files",
        )


def _refusal(arg: str, form: Form) -> tuple[str, str] | None:
    if "\0" in arg:
        return "a NUL ends an argument", "leave the NUL out"
    if _SURROGATE.search(arg):
        return "half of a surrogate pair is no character", "write the character itself"
    size = len(arg.encode())
    if size > MAX_ARGUMENT_BYTES:
        return (
            f"{size} bytes; Linux executes no program with an argument above {MAX_ARGUMENT_BYTES}",
            "pass it as a file",
        )
    return _generator_refusal(arg) if form == "quadlet" else None


def _generator_refusal(arg: str) -> tuple[str, str] | None:
    if not arg:
        return "Podman's generator drops an empty argument and all that follow", _OTHER_FORM
    if arg == ";":
        return "Podman's generator leaves a lone ';' bare, where systemd ends the command", _OTHER_FORM
    if "\x80" in arg:
        return "Podman's generator turns U+0080 into a broken byte", _OTHER_FORM
    if NONCHARACTER.search(arg):
        return "systemd ignores the line that Podman's generator writes with a Unicode non-character", _OTHER_FORM
    return None


def _shown(arg: str) -> str:
    text = ascii(arg[: _SHOWN + 1])
    return text if len(arg) <= _SHOWN else ascii(arg[:_SHOWN]) + "…"
