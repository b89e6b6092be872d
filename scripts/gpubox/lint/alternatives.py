"""The alternatives inside a regular expression, one at a time: `a(b|cd)e` is `abe` and `acde`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PATTERN = 4096


@dataclass(frozen=True)
class Alternative:
    """One alternative of a group.

    Attributes:
        text: as written.
        only: the whole pattern with this alternative alone in its group.
        at: where it begins in `only`.
    """

    text: str
    only: str
    at: int

    def replaced(self, text: str) -> str:
        """Return `only` with another text in the alternative's place."""
        return self.only[: self.at] + text + self.only[self.at + len(self.text) :]


def alternatives(pattern: str) -> Iterator[Alternative]:
    """Yield every alternative of every group that has several, and of the pattern itself where it has."""
    if len(pattern) > MAX_PATTERN:
        return
    for start, end, bars in _groups(pattern):
        if not bars:
            continue
        prefix = _marker(pattern, start)
        edges = [start + prefix - 1, *bars, end]
        for left, right in pairwise(edges):
            text = pattern[left + 1 : right]
            yield Alternative(text, pattern[: start + prefix] + text + pattern[end:], start + prefix)


def split_in_two(text: str) -> Iterator[str]:
    """Yield an alternative with a `|` put in at every place where one may be missing: between two whole items."""
    depth_ends = [end for end, depth in _items(text) if depth == 0]
    for end in depth_ends:
        if 0 < end < len(text):
            yield f"{text[:end]}|{text[end:]}"


def _marker(pattern: str, start: int) -> int:
    """Return the length of `?:`, `?=` or `?!` behind a group's bracket."""
    return 2 if pattern[start : start + 2] in {"?:", "?=", "?!"} else 0


def _groups(pattern: str) -> Iterator[tuple[int, int, list[int]]]:
    """Yield start, end and the bars of each group's content; the whole pattern is one as well."""
    stack: list[tuple[int, list[int]]] = [(0, [])]
    index = 0
    while index < len(pattern):
        sign = pattern[index]
        if sign == "\\":
            index += 1
        elif sign == "[":
            index = _class_end(pattern, index)
        elif sign == "(":
            stack.append((index + 1, []))
        elif sign == ")" and len(stack) > 1:
            start, bars = stack.pop()
            yield start, index, bars
        elif sign == "|":
            stack[-1][1].append(index)
        index += 1
    if len(stack) == 1:
        yield 0, len(pattern), stack[0][1]


def _items(text: str) -> Iterator[tuple[int, int]]:
    """Yield the end of each item (a character, escape, class or group with its quantifier) and the depth there."""
    index = depth = 0
    while index < len(text):
        sign = text[index]
        if sign == "\\":
            index += 1
        elif sign == "[":
            index = _class_end(text, index)
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        index += 1
        if index >= len(text) or text[index] not in "*+?{":
            yield index, depth


def _class_end(pattern: str, start: int) -> int:
    """Return where a bracket expression ends."""
    index = start + 1
    while index < len(pattern) and pattern[index] != "]":
        if pattern[index] == "\\":
            index += 1
        elif pattern.startswith("[:", index):
            closing = pattern.find(":]", index)
            index = closing + 1 if closing > 0 else index
        index += 1
    return index
