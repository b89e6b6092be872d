"""Tables for people: aligned columns, wrapped to a terminal, one line a row everywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
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
    kept = list(rows)
    shown = [index for index in range(len(heads)) if any(row[index] not in {"", "-"} for row in kept)]
    console = _console()
    left_out: set[int] = set()
    table = _table(heads, kept, shown, numbers)
    for index in optional:
        if not console.is_terminal or _console(UNBOUNDED).measure(table).maximum <= console.width:
            break
        if index in shown:
            left_out.add(index)
            table = _table(heads, kept, [each for each in shown if each not in left_out], numbers)
    _print(table)
    return frozenset(left_out)


@contextmanager
def growing_table(heads: Sequence[str]) -> Iterator[Callable[[Sequence[Sequence[str]]], None]]:
    """Give a function that shows a table of these rows on a terminal, in place of the one that it showed before.

    At the end it is gone, for the caller to print the final one. Elsewhere than on a terminal nothing is shown.
    """
    console = _console()
    if not console.is_terminal:
        yield lambda _rows: None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda rows: live.update(_table(heads, rows, range(len(heads)), ()), refresh=True)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print `name  value` lines to standard output, the values below each other."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, str(value))
    _print(table)


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
