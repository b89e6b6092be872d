"""Reads `llama-server --help` of ik_llama.cpp and llama.cpp into a catalogue.

A help text knows less than the sources: ik_llama.cpp's leaves out the values of many options (`-mla,  --mla-use`), and
neither tells an integer from a float. What it does not say stays open in the catalogue, and is not checked.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from gpubox.catalogue.options import Catalogue, Option, spelling
from gpubox.errors import GpuboxError

_ENTRY = re.compile(r" {0,12}(?=--?[A-Za-z])")
_NAME = re.compile(r" *(--?[A-Za-z][\w-]*)(\(s\))?(,|(?= |$))")
_CHOICES = re.compile(r"[{\[(<]([\w.+-]+(?:[|,][\w.+-]+)+)[}\])>]")
_DEFAULT = re.compile(r"\bdefault: '?([^\s,;)']+)'?(?=\)|, |;|$)")
_REPEATABLE = re.compile(r"can be repeated|\brepeat (to|for)\b|more than once|multiple times")
# Values whose syntax is the same in all builds, and more than a help text says.
_SYNTAX = {"--override-tensor": "tensor_override", "--chat-template-kwargs": "json"}
_OFF_OR_ON = {"true": True, "false": False, "enabled": True, "disabled": False}


def parse_help(text: str, engine: str = "", commit: str = "") -> Catalogue:
    """Return the catalogue that a help text describes.

    Args:
        text: what `llama-server --help` prints.
        engine: `ik_llama` or `llama_cpp`, for the catalogue.
        commit: the build's commit, for the catalogue.

    Raises:
        GpuboxError: if the text describes no option.
    """
    lines = text.splitlines()
    column = _description_column(lines)
    # Only llama.cpp heads its sections so, and only it prints a hint for every value.
    complete = any(re.fullmatch(r"-+ .* -+", line) for line in lines)
    options: dict[tuple[str, ...], Option] = {}
    for spec, description in _entries(lines, column):
        for option in _options(spec, description, complete=complete):
            # Some options are described again for another program of the family.
            options.setdefault(option.names, option)
    if not options:
        raise GpuboxError("--help", "describes no option", "capture the output of `llama-server --help`")
    return Catalogue(engine, commit, tuple(options.values()))


def _description_column(lines: list[str]) -> int:
    """Return where descriptions start: the commonest deep indentation."""
    indents = Counter(len(line) - len(line.lstrip()) for line in lines if line.strip())
    deep = Counter({indent: times for indent, times in indents.items() if indent >= 20})
    return deep.most_common(1)[0][0] if deep else 40


def _entries(lines: list[str], column: int) -> list[tuple[str, str]]:
    """Return each entry's names and value hints, and its description on one line."""
    entries: list[tuple[str, list[str]]] = []
    for line in lines:
        if _ENTRY.match(line):
            beside = line[column - 2 : column] == "  " and line[:column].strip() and line[column:].strip()
            spec, description = (line[:column], line[column:]) if beside else (line, "")
            entries.append((spec.strip(), [description.strip()]))
        elif entries and line.startswith(" " * column):
            entries[-1][1].append(line.strip())
    return [(spec, " ".join(description).strip()) for spec, description in entries]


def _options(spec: str, description: str, *, complete: bool) -> list[Option]:
    names: list[str] = []
    at = 0
    while match := _NAME.match(spec, at):
        name = spelling(match[1])
        names += [name, f"{name}s"] if match[2] else [name]
        at = match.end()
    hints = spec[at:].strip()
    shown = _CHOICES.search(hints)
    choices = tuple(re.split(r"[|,]", shown[1])) if shown else ()
    default = _default(description, choices)
    values = _values(hints, default, names, complete=complete)
    option = Option(
        names=(),
        values=values,
        choices=choices,
        default=None if values and isinstance(default, bool) else default,
        repeatable=_REPEATABLE.search(description) is not None,
        note="is deprecated" if "DEPRECATED" in description else "",
    )
    if "argument has been removed" in description:
        option = replace(option, replacement=f"what its help says: {description}")
    return [replace(option, names=group, setting=setting) for group, setting in _groups(names)]


def _groups(names: list[str]) -> list[tuple[tuple[str, ...], str]]:
    """Divide names into what switches on and what off (`--mmap, --no-mmap`), canonical name first, and what they set."""
    groups: dict[bool, list[str]] = {False: [], True: []}
    shorts: list[str] = []
    longs = [name for name in names if name.startswith("--")]
    for name in names:
        if name.startswith("--"):
            off = name.startswith("--no-") and f"--{name[5:]}" in longs
            groups[off] += [*shorts, name]
            shorts = []
        else:
            shorts.append(name)
    groups[bool(groups[True]) and not groups[False]] += shorts
    ordered = [tuple(sorted(group, key=_is_short)) for group in groups.values() if group]
    setting = ordered[0][0].lstrip("-") if len(ordered) > 1 else ""
    return [(group, setting) for group in ordered]


def _is_short(name: str) -> bool:
    return not name.startswith("--")


def _values(hints: str, default: object, names: list[str], *, complete: bool) -> tuple[str, ...] | None:
    """Return the kinds of the values that the hints (`N`, `FNAME SCALE`, `{a,b}`) announce."""
    # Hints in angle brackets may hold spaces.
    hints = re.sub(r"<[^<>]*>", lambda match: match[0].replace(" ", "_"), hints)
    if hints:
        other = next((_SYNTAX[name] for name in names if name in _SYNTAX), "text")
        return tuple("number" if hint in {"N", "SEED", "PORT"} else other for hint in hints.split())
    if complete or isinstance(default, bool) or any(name.startswith("--no-") for name in names):
        return ()
    return None


def _default(description: str, choices: tuple[str, ...]) -> float | str | bool | None:
    """Return the default where it is a number, a choice or a switch's state; other defaults are told in prose."""
    match = _DEFAULT.search(description)
    if match is None:
        return None
    text = match[1]
    if re.fullmatch(r"-?\d+", text) and text not in choices:
        return int(text)
    if re.fullmatch(r"-?\d+\.\d+", text):
        return float(text)
    return text if text in choices else _OFF_OR_ON.get(text)
