"""Read a YAML document strictly: every fault at once, no surprises of YAML 1.1, no repeated keys.

Scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema): `on`, `off`, `yes`, `no`, dates
and `12:30` stay text, as llama-server's own flags (`--reasoning off`) expect.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from gpubox.errors import DocumentError, Fault

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 20
MAX_NODES = 50_000  # an alias counts as what it stands for, so that nested aliases can't explode
MAX_DEPTH = 64
_TOO_LARGE = "is nested too deep or too large"

_BaseLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it: 8 x faster


class _Loader(_BaseLoader):  # type: ignore[misc, valid-type]
    """A safe loader whose implicit types are those of YAML 1.2's core schema."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [c if c != "\0" else "" for c in _first]
    )


def _number(text: str, tag: str) -> int | float:
    plain = text.lower()
    if tag == "int":
        return int(plain, 0 if plain[:2] in {"0o", "0x"} else 10)
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))


def read_mapping(path: Path, *, shown_as: str | None = None) -> dict[str, Any]:
    """Return the mapping in the YAML file `path`.

    Args:
        path: the file.
        shown_as: how errors name it; its path by default.

    Raises:
        DocumentError: the file is missing, unreadable, too large, not UTF-8, not YAML, not a mapping, or repeats keys.
    """
    name = shown_as or str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DocumentError([Fault(name, "", "no such file", remedy="check the path")]) from None
    except IsADirectoryError:
        raise DocumentError([Fault(name, "", "is a folder, not a file", remedy="name one YAML file")]) from None
    except OSError as error:
        raise DocumentError([Fault(name, "", f"can't be read: {error.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        raise DocumentError([Fault(name, "", f"is larger than {MAX_BYTES // 1024} KiB", remedy="is it a YAML file?")])
    return parse_mapping(raw, name)


def parse_mapping(raw: bytes, name: str) -> dict[str, Any]:
    """Return the mapping in the YAML text `raw`; errors name it `name`. Raises DocumentError as `read_mapping` does."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fault = Fault(name, "", f"is not UTF-8 text (line {line})", remedy="save it as UTF-8")
        raise DocumentError([fault]) from None
    loader = _Loader(text)
    builder = _Builder(name, loader)
    try:
        value = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "can't be parsed"
        if "nesting depth" in problem:  # libyaml since 0.2.6 stops by itself, at 1000 brackets that it has read ahead
            raise DocumentError([Fault(name, "", _TOO_LARGE, remedy="is it a profile?")]) from None
        raise DocumentError([Fault(name, "", f"is not YAML{where}: {problem}")]) from None
    except yaml.YAMLError as error:
        problem = getattr(error, "reason", None) or "can't be parsed"
        raise DocumentError([Fault(name, "", f"is not YAML: {problem}")]) from None
    finally:
        loader.dispose()
    if builder.faults:
        raise DocumentError(builder.faults)
    if isinstance(value, dict):
        return value
    if value is None:
        raise DocumentError([Fault(name, "", "is empty", remedy="a document is a mapping of fields")])
    kind = "a list" if isinstance(value, list) else f"the text {str(value)[:40]!r}"
    raise DocumentError([Fault(name, "", "must be a mapping of fields", got=kind)])


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None  # every event of a parser has one
    return event.start_mark.line + 1


class _TooLargeError(Exception):
    """Building stopped: the fault is noted, the rest does not matter."""


class _Builder:
    """Turns a stream of YAML events into plain values, gathering faults.

    It works on events, not on PyYAML's node tree: that is composed by recursion in C and ends the process on a
    document of 100,000 brackets.
    """

    def __init__(self, name: str, loader: Any) -> None:  # noqa: ANN401  # PyYAML's loaders share no typed base
        self.name = name
        self.faults: list[Fault] = []
        self._loader = loader
        self._nodes = 0
        self._anchors: dict[str, tuple[object, int] | None] = {}

    def document(self) -> object:
        """Return the value of the only document in the stream."""
        self._next()  # stream start
        if self._loader.check_event(yaml.StreamEndEvent):
            return None
        self._next()  # document start
        try:
            value = self._value(self._next(), "", 0)
        except _TooLargeError:
            return None
        self._next()  # document end
        if not self._loader.check_event(yaml.StreamEndEvent):
            line = _line(self._loader.peek_event())
            self._fault("", f"line {line} starts a second document", remedy="keep one document in a file")
        return value

    def _next(self) -> yaml.Event:
        event: yaml.Event = self._loader.get_event()
        return event

    def _fault(self, field: str, fault: str, got: str | None = None, remedy: str = "") -> None:
        self.faults.append(Fault(self.name, field, fault, got, remedy))

    def _count(self, nodes: int, field: str, depth: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            self._fault(field[:80], _TOO_LARGE, remedy="is it a profile?")
            raise _TooLargeError

    def _value(self, event: yaml.Event, field: str, depth: int) -> object:
        self._count(1, field, depth)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, field, depth)
        before = self._nodes
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._anchors[anchor] = None  # not finished: an alias inside it would contain itself
        value: object
        if isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(field, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(field, depth)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            value = self._scalar(event, field)
        if anchor:
            self._anchors[anchor] = (value, self._nodes - before)
        return value

    def _alias(self, event: yaml.AliasEvent, field: str, depth: int) -> object:
        if event.anchor not in self._anchors:
            self._fault(field, f"the alias *{event.anchor} stands for nothing")
            return None
        known = self._anchors[event.anchor]
        if known is None:
            self._fault(field, "contains itself", remedy="write the values out without YAML aliases")
            return None
        value, nodes = known
        self._count(nodes, field, depth)
        return value

    def _sequence(self, field: str, depth: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, f"{field}[{len(items)}]", depth + 1))
        return items

    def _mapping(self, field: str, depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                self._fault(field, f"line {line}: a key must be text")
                self._value(event, field, depth + 1)
                self._value(self._next(), field, depth + 1)
                continue
            key = str(event.value)
            child = f"{field}.{key}" if field else key
            value = self._value(self._next(), child, depth + 1)
            if key == "<<" and not event.style:
                self._fault(field, f"line {line}: YAML merge keys are not used here", remedy="use `extends`")
            elif key in lines:
                where = f"lines {lines[key]} and {line}" if line != lines[key] else f"line {line}"
                self._fault(child, f"is given twice, on {where}", remedy="keep one")
            else:
                lines[key] = line
                result[key] = value
        return result

    def _scalar(self, event: yaml.ScalarEvent, field: str) -> object:
        text = str(event.value)
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, text, event.implicit)
        kind = tag.removeprefix("tag:yaml.org,2002:")
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind in {"int", "float"}:
            try:
                return _number(text, kind)
            except ValueError:  # more digits than Python converts, or a tag on something else
                self._fault(field, "is not a usable number", got=text if len(text) <= 20 else f"{text[:20]}…")
                return None
        self._fault(field, f"has the YAML tag {tag}, which is not used here", remedy="write a plain value")
        return None
