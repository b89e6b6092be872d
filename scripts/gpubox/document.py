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
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "can't be parsed"
        raise DocumentError([Fault(name, "", f"is not YAML{where}: {problem}")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "reason", None) or "can't be parsed"
        raise DocumentError([Fault(name, "", f"is not YAML: {problem}")]) from None
    finally:
        loader.dispose()
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value == ""):
        raise DocumentError([Fault(name, "", "is empty", remedy="a document is a mapping of fields")])
    if not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else f"the text {root.value[:40]!r}"
        raise DocumentError([Fault(name, "", "must be a mapping of fields", got=kind)])
    builder = _Builder(name)
    value = builder.build(root, "", ())
    if builder.faults:
        raise DocumentError(builder.faults)
    assert isinstance(value, dict)
    return value


class _Builder:
    """Turns YAML nodes into plain values, gathering faults."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self._nodes = 0

    def _fault(self, field: str, fault: str, got: str | None = None, remedy: str = "") -> None:
        self.faults.append(Fault(self.name, field, fault, got, remedy))

    def build(self, node: yaml.Node, field: str, above: tuple[int, ...]) -> object:
        self._nodes += 1
        if id(node) in above or len(above) > MAX_DEPTH or self._nodes > MAX_NODES:
            what = "contains itself" if id(node) in above else "is nested too deep or too large"
            if not any(fault.fault == what for fault in self.faults):
                self._fault(field, what, remedy="write the values out without YAML aliases")
            return None
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, field, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, f"{field}[{index}]", above) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, field)

    def _mapping(self, node: yaml.MappingNode, field: str, above: tuple[int, ...]) -> dict[str, object]:
        result: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(field, f"line {line}: a key must be text")
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                self._fault(field, f"line {line}: YAML merge keys are not used here", remedy="use `extends`")
                continue
            child = f"{field}.{key}" if field else key
            value = self.build(value_node, child, above)
            if key in lines:
                where = f"lines {lines[key]} and {line}" if line != lines[key] else f"line {line}"
                self._fault(child, f"is given twice, on {where}", remedy="keep one")
                continue
            lines[key] = line
            result[key] = value
        return result

    def _scalar(self, node: yaml.ScalarNode, field: str) -> object:
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        if tag == "str":
            return node.value
        if tag == "null":
            return None
        if tag == "bool":
            return node.value.lower() == "true"
        if tag in {"int", "float"}:
            try:
                return _number(node.value, tag)
            except ValueError:  # more digits than Python converts
                self._fault(field, "is not a usable number", got=f"{node.value[:20]}…")
                return None
        self._fault(field, f"has the YAML tag {node.tag}, which is not used here", remedy="write a plain value")
        return None
