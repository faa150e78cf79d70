"""Files of queries, one row per query, read in order and never whole: jsonl, csv and parquet."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from walras.errors import InputError
from walras.experiments.queries.rows import FIELDS, Row, Unreadable, json_record, misspelt, row_of, slip
from walras.files.contents import check_file, reading
from walras.files.lines import LONGEST, fault, lines_of, read_lines

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_WHAT = "queries"


def format_of(path: Path) -> str:
    """The format that a file's name says.

    Raises:
        InputError: a name with another ending.
    """
    format_ = FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise InputError(f"{str(path)!r} ends in none of {', '.join(FORMATS)}; the ending says the format")
    return format_


def read_rows(path: Path, texts: bool = False, reserve: float = 0.0) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: of the file.
        texts: thresholds will be predicted, so that `text` must be there and `threshold` need not.
        reserve: tokens kept for the answer, where a row does not say.

    Raises:
        InputError: no such file, another format, columns that no row can do with, or a file that cannot be read.
    """
    for number, record in enumerate(read_records(path), 1):
        yield row_of(number, record, texts, reserve)


def read_records(path: Path, fields: Sequence[str] = FIELDS, needed: Sequence[str] = ("id",)) -> Iterator[Any]:
    """What the rows of a file say by name, or `Unreadable`.

    Args:
        path: of the file.
        fields: names that count; others may be left out.
        needed: columns without which a table is of no use.

    Raises:
        InputError: as `read_rows`.
    """
    kind = format_of(path)
    if not path.exists():
        raise InputError(f"there is no file {str(path)!r}")
    read = {"jsonl": _json_lines, "csv": _csv, "parquet": _parquet}[kind]
    yield from read(path, fields, needed)


def _json_lines(path: Path, fields: Sequence[str], needed: Sequence[str]) -> Iterator[Any]:
    del fields, needed  # each row is looked at for itself
    for line in read_lines(path, _WHAT):
        if line.strip():
            yield json_record(line)


def _csv(path: Path, fields: Sequence[str], needed: Sequence[str]) -> Iterator[Any]:
    check_file(path, _WHAT)
    with reading(_WHAT, path, csv.Error), path.open("rb") as file:
        lines = (line if len(line) <= LONGEST else f"{line}\0" for line in lines_of(file, newline=""))
        reader = csv.reader(lines, strict=True)
        header = next(reader, None)
        if header is None:
            return
        _check_columns(path, header, fields, needed)
        places = [(name, header.index(name)) for name in fields if name in header]
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Unreadable(f"is no csv that can be worked with ({error})")
                continue
            if row:
                yield _csv_record(row, len(header), places)


def _csv_record(row: list[str], columns: int, places: list[tuple[str, int]]) -> Any:
    """The fields of a row; a row may be shorter than the first line."""
    if len(row) > columns:
        return Unreadable("has more fields than the first line")
    whole = "".join(row)
    if "\0" in whole:
        return Unreadable("holds bytes that are 0")
    if not whole.isascii() and (problem := fault(whole)):
        return Unreadable(problem)
    return {name: row[place] for name, place in places if place < len(row)}


def _check_columns(path: Path, names: list[str], fields: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse columns with which no row could be worked with.

    Raises:
        InputError: no column that is needed, one of ours twice, or a name that is almost one of ours.
    """
    listed = ", ".join(names)
    listed = ascii(listed if len(listed) <= 200 else f"{listed[:200]}...")
    missing = next((name for name in needed if name not in names), None)
    if missing is not None:
        raise InputError(f"{str(path)!r} has no column {missing}; it has: {listed}{slip(names, missing)}")
    twice = next((name for name in fields if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{str(path)!r} has the column {twice} twice; it has: {listed}")
    if problem := misspelt(names):
        raise InputError(f"{str(path)!r} {problem.replace('field', 'column')}")


def _parquet(path: Path, fields: Sequence[str], needed: Sequence[str]) -> Iterator[Any]:
    import pyarrow as pa

    from walras.files.tables import PIECE, open_table

    with open_table(path, _WHAT) as file:
        names = [str(name) for name in file.schema_arrow.names]
        _check_columns(path, names, fields, needed)
        for batch in file.iter_batches(PIECE, columns=[name for name in fields if name in names]):
            with reading(_WHAT, path, pa.ArrowException):
                records = _records(batch)
            yield from records


def _records(batch: Any) -> list[Any]:
    """The rows of a piece of a table; those with text that is no UTF-8 are told apart."""
    import pyarrow as pa

    batch.validate()
    try:
        batch.validate(full=True)
        found: list[Any] = batch.to_pylist()
        return found
    except (pa.ArrowInvalid, UnicodeDecodeError):
        columns = {name: _texts(batch.column(name)) for name in batch.schema.names}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [
        Unreadable("holds text that is no UTF-8") if any(type(v) is bytes for v in row.values()) else row
        for row in rows
    ]


def _texts(column: Any) -> list[Any]:
    """The values of a column, those that are no UTF-8 as bytes."""
    import pyarrow as pa

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column.validate(full=True)
        return list(column.to_pylist())
    as_bytes = column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
    return [None if value is None else _decoded(value) for value in as_bytes.to_pylist()]


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
