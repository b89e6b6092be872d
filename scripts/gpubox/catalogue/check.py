"""Says what is wrong with an argv, before an engine spends minutes on loading a model to say it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gpubox.catalogue.options import spelling, words
from gpubox.catalogue.tensor_override import override_faults
from gpubox.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpubox.catalogue.options import Catalogue, Option, Word

Level = Literal["error", "warning", "note"]

_INT = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|nan)")
# The numeric kinds: pattern, what to call it, and the range that the engines' conversion takes.
_NUMBERS = {
    "int": (_INT, "an integer", 2**31),
    "long": (_INT, "an integer", 2**64),
    "float": (_FLOAT, "a number", None),
    "number": (_FLOAT, "a number", None),
}


@dataclass(frozen=True)
class Finding:
    """One thing about an argv.

    Attributes:
        level: `error` where the engine refuses or misreads it, `warning` where it probably is not meant, else `note`.
        index: of the flag in the argv, from 0.
        flag: as written.
        fault: what is wrong.
        remedy: what to write; may be empty.
    """

    level: Level
    index: int
    flag: str
    fault: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.level}: argument {self.index + 1} ({self.flag}): {self.fault}{remedy}"


def check_argv(catalogue: Catalogue, argv: Sequence[str], gpus: int | None = None) -> list[Finding]:
    """Return what is wrong with an argv, in its order.

    Args:
        catalogue: the engine's options.
        argv: the arguments without the program's name.
        gpus: how many GPUs the engine will see; None where that is not known.
    """
    divided = list(words(catalogue, argv))
    findings = [finding for word in _told(divided) for finding in _word(catalogue, word, gpus)]
    findings += _overridden(divided)
    findings += _conflicts(catalogue, divided)
    return sorted(findings, key=lambda finding: finding.index)


def _told(divided: Sequence[Word]) -> Iterator[Word]:
    """Yield the words, without those that are likely the values of an unknown option."""
    after_unknown = False
    for word in divided:
        stray = word.option is None and not word.flag.startswith("-")
        if not (stray and after_unknown):
            yield word
            after_unknown = word.option is None


def _word(catalogue: Catalogue, word: Word, gpus: int | None) -> Iterator[Finding]:
    option = word.option
    if option is None:
        yield _unknown(catalogue, word)
        return
    if option.replacement:
        yield Finding("error", word.index, word.flag, "the engine no longer takes it", f"use {option.replacement}")
        return
    if option.note:
        yield Finding("note", word.index, word.flag, option.note)
    expected = option.values or ()
    if len(word.values) < len(expected):
        count = "a value" if len(expected) == 1 else f"{len(expected)} values"
        yield Finding("error", word.index, word.flag, f"needs {count}, and the command line ends")
        return
    kinds = expected or ("text",) * len(word.values)
    for kind, value in zip(kinds, word.values, strict=True):
        for level, fault, remedy in _value(catalogue, option, kind, value, gpus):
            yield Finding(level, word.index, word.flag, fault, remedy)


def _unknown(catalogue: Catalogue, word: Word) -> Finding:
    if not word.flag.startswith("-"):
        return Finding("error", word.index, word.flag, "is no option, and no option before it takes it")
    name, equals, _ = word.flag.partition("=")
    if equals and catalogue.option(name):
        return Finding(
            "error", word.index, word.flag, "unknown option", f"write the value as an argument of its own, after {name}"
        )
    return Finding("error", word.index, word.flag, "unknown option", nearest(spelling(word.flag), catalogue.by_name))


def _value(
    catalogue: Catalogue, option: Option, kind: str, value: str, gpus: int | None
) -> Iterator[tuple[Level, str, str]]:
    """Yield level, fault and remedy of what is wrong with one value."""
    if kind in _NUMBERS:
        yield from _number(kind, value)
    elif option.choices and (value.lower() if option.any_case else value) not in option.choices:
        yield "error", f"does not take {value!r}", _suggestion(value, option.choices)
    elif option.pattern and not re.fullmatch(option.pattern, value):
        yield "error", f"does not take {value!r}", f"write it as {option.form}"
    elif kind == "json":
        yield from _json(value)
    elif kind == "tensor_override":
        for fault, remedy in override_faults(value, gpus):
            yield "error", fault, remedy
    elif kind == "speculative":
        yield from _speculative(catalogue, value)
    elif option.name == "--split-mode" and value == "graph" and gpus == 1:
        yield "error", "split mode graph needs two or more GPUs, and there is one", "use layer, or leave it out"
    elif kind == "text" and catalogue.option(value) is not None and not option.choices:
        yield "warning", f"takes {value!r}, itself an option, as its value", "write the value that is missing"


def _suggestion(given: str, known: Sequence[str]) -> str:
    """Return the known word that is probably meant, or else all of them."""
    same = next((word for word in known if word.lower() == given.lower()), given)
    return nearest(same, known) or f"one of: {', '.join(known)}"


def _number(kind: str, value: str) -> Iterator[tuple[Level, str, str]]:
    pattern, name, limit = _NUMBERS[kind]
    if not pattern.fullmatch(value):
        start = pattern.match(value)
        misread = f"; the engine would read {start[0]}" if start else ""
        yield "error", f"{value!r} is not {name}{misread}", ""
    elif limit is not None and not -limit <= int(value) < limit:
        yield "error", f"{value} does not fit into {limit.bit_length()} bits", ""


def _json(value: str) -> Iterator[tuple[Level, str, str]]:
    try:
        json.loads(value)
    except ValueError as error:
        yield "error", f"{value!r} is not JSON ({error})", ""


def _speculative(catalogue: Catalogue, value: str) -> Iterator[tuple[Level, str, str]]:
    """Check `TYPE[:key=value,...]`; dashes and underscores are the same in both."""
    stage, colon, rest = value.partition(":")
    stages = [known.replace("-", "_") for known in catalogue.speculative_types]
    if stage.replace("-", "_") not in stages:
        yield "error", f"unknown speculative type {stage!r}", _suggestion(stage, catalogue.speculative_types)
    # A value may hold escaped or quoted commas.
    for pair in re.findall(r"(?:\\.|'[^']*'|\"[^\"]*\"|[^,\\])+|(?<=,)(?=,|$)|^$", rest) if colon else ():
        key, equals, setting = pair.partition("=")
        name = key.lstrip("-").replace("-", "_")
        if not equals:
            yield "error", f"{pair!r} is not KEY=VALUE", "write TYPE:key=value,key=value"
        elif name not in catalogue.speculative_keys:
            yield "error", f"unknown key {key!r}", _suggestion(name, tuple(catalogue.speculative_keys))
        elif (kind := catalogue.speculative_keys[name]) in _NUMBERS:
            for level, fault, remedy in _number(kind, setting):
                yield level, f"{key}: {fault}", remedy


def _overridden(divided: Sequence[Word]) -> Iterator[Finding]:
    """Yield a warning for each option whose effect a later one undoes."""
    last: dict[str, Word] = {}
    for word in reversed(divided):
        if word.option is None or word.option.repeatable or word.option.replacement:
            continue
        later = last.setdefault(word.option.sets, word)
        if later is not word:
            fault = f"has no effect: argument {later.index + 1} ({later.flag}) sets the same and wins"
            yield Finding("warning", word.index, word.flag, fault, "leave one out")


def _conflicts(catalogue: Catalogue, divided: Sequence[Word]) -> Iterator[Finding]:
    given = {word.option.name: word for word in reversed(divided) if word.option is not None}
    for conflict in catalogue.conflicts:
        if all(flag in given for flag in conflict.flags):
            word = max((given[flag] for flag in conflict.flags), key=lambda one: one.index)
            yield Finding("error", word.index, word.flag, conflict.fault, "leave one out")
