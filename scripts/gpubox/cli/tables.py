"""Tables for people: aligned columns, wrapped to a terminal, one line a row everywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

UNBOUNDED = 10_000


def print_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int] = (), optional: Sequence[int] = ()
) -> frozenset[int]:
    """Print a table to standard output.

    On a terminal, what does not fit is folded, but never the first column or a number; elsewhere each row is one line,
    whatever its length, so that it can be searched. Columns that are empty in every row are left out.

    Args:
        heads: the columns' names.
        rows: as many cells each, plain text.
        numbers: indices of the columns that are aligned to the right.
        optional: indices of the columns that a narrow terminal does without, the first to go first.

    Returns:
        The optional columns that were left out for want of room.
    """
    table, left_out = _fitting(heads, list(rows), numbers, optional)
    _print(table)
    return left_out


@contextmanager
def growing_table(
    heads: Sequence[str], *, optional: Sequence[int] = (), stays: bool = False
) -> Iterator[Callable[[Sequence[Sequence[str]], Sequence[str]], None] | None]:
    """Give a function that shows a table of some rows, and lines below it, in place of what it showed before.

    Elsewhere than on a terminal there is no such function, and the caller prints what is to last.

    Args:
        heads: the columns' names.
        optional: as `print_table` takes them.
        stays: whether what was shown last stays in the end; else it is gone, for the caller to print the final one.
    """
    console = _console()
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=not stays) as live:
        yield lambda rows, lines: live.update(
            Group(_fitting(heads, rows, (), optional)[0], *lines),
            refresh=True,
        )


def print_fields(fields: Mapping[str, object]) -> None:
    """Print `name  value` lines to standard output, the values below each other."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, str(value))
    _print(table)


def _fitting(
    heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int], optional: Sequence[int]
) -> tuple[Table, frozenset[int]]:
    """Return a table without what is empty, and on a terminal without the optional columns that it has no room for."""
    shown = [index for index in range(len(heads)) if any(row[index] not in {"", "-"} for row in rows)]
    console = _console()
    left_out: set[int] = set()
    table = _table(heads, rows, shown, numbers)
    for index in optional:
        if not console.is_terminal or _console(UNBOUNDED).measure(table).maximum <= console.width:
            break
        if index in shown:
            left_out.add(index)
            table = _table(heads, rows, [each for each in shown if each not in left_out], numbers)
    return table, frozenset(left_out)


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], shown: Sequence[int], numbers: Collection[int]
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index in shown:
        number = index in numbers
        whole = number or index == 0
        table.add_column(heads[index], justify="right" if number else "left", no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    return table


def _print(table: Table) -> None:
    console = _console()
    if console.is_terminal:
        console.print(table)
        return
    console = _console(UNBOUNDED)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _console(width: int | None = None) -> Console:
    return Console(markup=False, highlight=False, emoji=False, width=width)
