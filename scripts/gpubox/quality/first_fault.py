"""Where a long answer of Python code first goes wrong, by what can be known without running it.

Four things are looked for, and the earliest counts:

- `broken text`: a character that no sane answer holds (U+FFFD, which is what is left of a broken one, or a control
  character).
- `loop`: the same words again and again, from the place where the first of them begins; `====` without an end too.
- `syntax`: the first line after which nothing that could follow would make it Python. Where the answer is cut by the
  limit, what is merely unfinished is no fault.
- `undefined name`: in code that was finished, a name that is read and bound nowhere: the typing error of "after 4k tokens
  small mistakes".

What is not found: code that is valid and wrong. So "no fault" means none of these, not that the code works, and the number
compares two servers of one model, not two models.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A unit that stands this often in a row, over so many characters, is no table of numbers any more.
LOOP_TIMES = 6
LOOP_CHARACTERS = 240
LONGEST_UNIT = 250  # words and signs of what is repeated
RULE_CHARACTERS = 160  # the longest line of `====` that somebody draws

_BROKEN = re.compile(r"[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_RULE = re.compile(rf"(\S)\1{{{RULE_CHARACTERS - 1},}}")
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n?", re.MULTILINE)
_MAY_GO_ON = 0x4000  # PyCF_ALLOW_INCOMPLETE_INPUT of CPython 3.11 and later, as `codeop` uses it
_INCOMPLETE = "incomplete input"
_IMPLIED = {"__file__", "__name__", "__doc__", "__builtins__", "__annotations__", "__spec__", "__class__"}


@dataclass(frozen=True)
class FirstFault:
    """Where an answer goes wrong.

    Attributes:
        kind: `broken text`, `loop`, `syntax`, `undefined name` or `no code`.
        character: of the answer, from 0.
        line: of the answer, from 1.
        detail: what is wrong there, one line.
    """

    kind: str
    character: int
    line: int
    detail: str

    @property
    def text(self) -> str:
        """The fault in words, without its place."""
        return f"{self.kind}: {self.detail}"


@dataclass(frozen=True)
class _Block:
    """Code between two fences: where it begins in the answer, and whether its end was reached."""

    start: int
    code: str
    finished: bool


def first_fault(answer: str, *, cut: bool) -> FirstFault | None:
    """Return the first fault of an answer that should be Python code in fences; None where none is found.

    Args:
        answer: its text, without what a model reasons before it answers.
        cut: whether the limit of tokens ended it, and not the model.
    """
    found = [*_broken(answer), *_loops(answer), *_code_faults(answer, cut=cut)]
    if not found:
        return None
    # The parser tells a line; in the same line, what tells its character says more.
    faults = [FirstFault(kind, at, answer.count("\n", 0, at) + 1, detail) for at, kind, detail in found]
    return min(faults, key=lambda fault: (fault.line, fault.kind == "syntax", fault.character))


def _broken(answer: str) -> Iterator[tuple[int, str, str]]:
    if match := _BROKEN.search(answer):
        yield match.start(), "broken text", f"the character U+{ord(match.group()):04X}"


def _loops(answer: str) -> Iterator[tuple[int, str, str]]:
    if match := _RULE.search(answer):
        yield match.start(), "loop", f"{match.group(1)!r} {len(match.group())} times"
    words = [(match.start(), match.group()) for match in _WORD.finditer(answer)]
    texts = [text for _, text in words]
    starts = [start for start, _ in words] + [len(answer)]
    found: tuple[int, str] | None = None
    for period in range(1, min(LONGEST_UNIT, len(words) // LOOP_TIMES) + 1):
        same = 0
        for index in range(period, len(words) + 1):
            if index < len(words) and texts[index] == texts[index - period]:
                same += 1
                continue
            if same >= (LOOP_TIMES - 1) * period:
                first = index - same - period
                characters = starts[index] - starts[first]
                unit = "".join(texts[first : first + period])
                # Blank space is drawn, indented and aligned with; a run of it alone is layout.
                if unit.strip() and characters >= LOOP_CHARACTERS and (found is None or starts[first] < found[0]):
                    found = starts[first], f"{_shown(unit)} {(same + period) // period} times"
            same = 0
    if found:
        yield found[0], "loop", found[1]


def _code_faults(answer: str, *, cut: bool) -> Iterator[tuple[int, str, str]]:
    blocks = list(_blocks(answer, cut=cut))
    if not blocks:
        yield 0, "no code", "the answer holds no code block"
    for block in blocks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is a warning of the compiler, not a fault of the code
            if (fault := _syntax(block)) is not None:
                yield block.start + fault[0], "syntax", fault[1]
                return
    if blocks and all(block.finished for block in blocks):
        yield from _undefined(blocks)


def _blocks(answer: str, *, cut: bool) -> Iterator[_Block]:
    fences = list(_FENCE.finditer(answer))
    for opening, closing in zip(fences[::2], fences[1::2], strict=False):
        yield _Block(opening.end(), answer[opening.end() : closing.start()], finished=True)
    if len(fences) % 2:
        code = answer[fences[-1].end() :]
        if cut:
            code = code[: code.rfind("\n") + 1]  # its last line may stop anywhere
        yield _Block(fences[-1].end(), code, finished=not cut)


def _syntax(block: _Block) -> tuple[int, str] | None:
    """Return where the code is beyond repair, as a character of the block, and what the parser says."""
    lines = block.code.splitlines(keepends=True)
    if (whole := _rejected(block.code, finished=block.finished)) is None:
        return None
    low, high = 0, len(lines)  # the first `low` lines can still become Python, the first `high` can't
    while high - low > 1:
        middle = (low + high) // 2
        if _rejected("".join(lines[:middle]), finished=False) is None:
            low = middle
        else:
            high = middle
    told = _rejected("".join(lines[:high]), finished=False) or whole
    return sum(map(len, lines[: high - 1])), told


def _rejected(code: str, *, finished: bool) -> str | None:
    """Return why the parser takes neither the code nor, where it may go on, anything that begins with it."""
    flags = ast.PyCF_ONLY_AST | (0 if finished else _MAY_GO_ON)
    try:
        compile(code, "<answer>", "exec", flags)
    except SyntaxError as error:
        return None if not finished and _INCOMPLETE in str(error.msg) else str(error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return None


def _undefined(blocks: list[_Block]) -> Iterator[tuple[int, str, str]]:
    """Give the first name that is read in some block and bound in none."""
    code = "\n".join(block.code for block in blocks)
    try:
        tree = ast.parse(code)
        top = symtable.symtable(code, "<answer>", "exec")
    except (SyntaxError, ValueError, RecursionError):  # valid each, but not one after the other
        return
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return
    bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    bound |= {name for table in _tables(top) for name in _made_global(table)}
    bound |= set(dir(builtins)) | _IMPLIED
    unknown = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table is top) and symbol.get_name() not in bound
    }
    for block in blocks:
        lines = block.code.splitlines(keepends=True)
        reads = [
            (node.lineno, node.col_offset, node.id)
            for node in ast.walk(ast.parse(block.code))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in unknown
        ]
        if reads:
            line, column, name = min(reads)
            before = len(lines[line - 1].encode()[:column].decode())  # the parser counts columns in bytes
            yield block.start + sum(map(len, lines[: line - 1])) + before, "undefined name", name
            return


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _made_global(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_declared_global() and symbol.is_assigned():
            yield symbol.get_name()


def _shown(unit: str) -> str:
    text = " ".join(unit.split())
    return repr(text if len(text) <= 40 else text[:37] + "...")
