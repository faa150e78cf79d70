"""Tables of everything that can be named."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from walras.entries import Entry


def catalogue_table(entries: Mapping[str, Sequence[Entry]]) -> Table:
    """One row per entry of every kind."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("list", "name", "about"):
        table.add_column(column)
    for kind, found in entries.items():
        for i, entry in enumerate(found):
            table.add_row(kind if i == 0 else "", Text(entry.name), Text(entry.about))
    return table


def kind_table(entries: Sequence[Entry]) -> Table:
    """One row per entry of one kind, with its parameters, their defaults, and where it is published."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("name", "about", "parameters", "source"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        parameters = ", ".join(f"{p.name}={p.default}" if p.default else p.name for p in entry.parameters)
        table.add_row(*(Text(text) for text in (entry.name, entry.about, parameters, entry.source)))
    return table
