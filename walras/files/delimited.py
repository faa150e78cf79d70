"""Tables of text: CSV and TSV as spreadsheets write them, with quoted cells."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from walras.errors import InputError, UnknownNameError
from walras.escaping import one_line
from walras.files.contents import check_file, reading

LARGEST = 2**30
"""Bytes of a file."""
_HEADER = 2**20  # bytes of the first line
_TABS = (".tsv", ".tab")


def read_columns(
    path: str | Path, what: str, columns: Sequence[str], most: int, first: int | None = None
) -> dict[str, list[str]]:
    """Some columns of a table by name, their cells as texts; empty cells are "".

    The first row names the columns. Cells are parted by tabs in a file whose name ends with .tsv or .tab, and else by
    commas, or by semicolons or tabs where the first row has no comma. A mark of the byte order is passed over.

    A cell has at most 131,072 characters. Rows are read one by one, and only the columns asked for are kept.

    Args:
        path: of the file, in UTF-8.
        what: the kind of file, for errors: "table".
        columns: their names.
        most: rows that there may be.
        first: read the first so many rows and no more.

    Raises:
        InputError: a file that is missing, too large, not UTF-8, or no such table; more rows than there may be; a
            column that is asked for and there twice. UnknownNameError: one that is not there.
    """
    check_file(path, what, LARGEST)
    separator, names = _header(path, what)
    for name in columns:
        if names.count(name) != 1 and name in names:
            raise InputError(f"{what} {str(path)!r} has {names.count(name)} columns {name!r}; rename all but one")
        if name not in names:
            raise UnknownNameError(f"column of {what} {str(path)!r}", name, [one_line(own, 60) for own in names])
    places = [names.index(name) for name in columns]
    found: list[tuple[str, ...]] = []
    with _parsing(what, path), Path(path).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        next(reader)
        for row in reader:
            if len(found) == first:
                break
            if row and len(row) != len(names):
                where = f"{what} {str(path)!r}, line {reader.line_num}"
                raise InputError(f"{where}: {len(row)} cells, and the first row names {len(names)} columns")
            if len(found) == most:
                raise InputError(f"{what} {str(path)!r} has more than {most:,} rows, which is the most that is read")
            if row:
                found.append(tuple(row[place] for place in places))
    return {name: [row[i] for row in found] for i, name in enumerate(columns)}


@contextmanager
def _parsing(what: str, path: str | Path) -> Iterator[None]:
    """What is wrong with a file, in one sentence; a quote that is never closed is a cell that is too long."""
    with reading(what, path, csv.Error):
        try:
            yield
        except UnicodeDecodeError as error:
            told = f"byte {error.object[error.start]:#04x} is not UTF-8; save the file as UTF-8"
            raise InputError(f"cannot read {what} {str(path)!r}: {told}") from error


def _header(path: str | Path, what: str) -> tuple[str, list[str]]:
    """What parts the cells, and the names of the columns."""
    with _parsing(what, path), Path(path).open("rb") as file:
        raw = file.readline(_HEADER + 1)
        if len(raw) > _HEADER:
            raise InputError(f"the first line of {what} {str(path)!r} is longer than {_HEADER:,} bytes; is it a table?")
        text = raw.decode("utf-8-sig")
        if not text.strip():
            raise InputError(f"{what} {str(path)!r} is empty; its first row must name the columns")
        found = [mark for mark in (",", ";", "\t") if mark in text]
        separator = "\t" if Path(path).suffix.lower() in _TABS else (found or [","])[0]
        return separator, next(csv.reader([text], delimiter=separator))
