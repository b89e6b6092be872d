"""Tables for people: aligned columns, wrapped to a terminal, one line a row everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

UNBOUNDED = 10_000


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int] = ()) -> None:
    """Print a table to standard output.

    On a terminal long words are folded to its width but numbers never are; elsewhere each row is one line, whatever its
    length, so that it can be searched. Columns that are empty in every row are left out.

    Args:
        heads: the columns' names.
        rows: as many cells each, plain text.
        numbers: indices of the columns that are aligned to the right.
    """
    kept = list(rows)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    shown = [index for index in range(len(heads)) if any(row[index] not in {"", "-"} for row in kept)]
    for index in shown:
        number = index in numbers
        table.add_column(heads[index], justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in kept:
        table.add_row(*(row[index] for index in shown))
    _print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print `name  value` lines to standard output, the values below each other."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, str(value))
    _print(table)


def _print(table: Table) -> None:
    console = Console(markup=False, highlight=False, emoji=False)
    if console.is_terminal:
        console.print(table)
        return
    console = Console(markup=False, highlight=False, emoji=False, width=UNBOUNDED)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
