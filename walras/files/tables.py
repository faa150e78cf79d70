"""Parquet files: tables of columns."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walras.errors import InputError
from walras.escaping import one_line
from walras.files.contents import check_file, reading

MOST_ROWS = 2**31
"""Rows of a table."""
PIECE = 2**15
"""Rows that are in memory at once, where a table is read in pieces."""
_MOST_BYTES = 2**26  # of texts that are in memory at once


@contextmanager
def open_table(
    path: str | Path, what: str, most: int = MOST_ROWS, compact: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    """A parquet file, of which pages that were changed are noticed.

    Args:
        path: of the file.
        what: the kind of file, for errors: "part of a trace".
        most: rows that it may have: a few bytes can tell of billions.
        compact: columns of texts that are kept as numbers of different texts, as they are in the file.

    Raises:
        InputError: a file that is missing or no sound parquet, now or while the context reads it.
    """
    check_file(path, what)
    with (
        reading(what, path, pa.ArrowException),
        pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=[*compact]) as file,
    ):
        if file.metadata.num_rows > most:
            raise InputError(f"{what} {str(path)!r} has {file.metadata.num_rows:,} rows; valid: {most:,}")
        yield file


def read_table(path: str | Path, what: str, columns: Sequence[str] | None = None, most: int = MOST_ROWS) -> pa.Table:
    """A whole table of so many rows at most; some of its columns, where they are named.

    Raises:
        InputError: a file that is missing, no sound parquet, or lacks a column.
    """
    with open_table(path, what, most) as file:
        missing = [name for name in columns or () if name not in file.schema_arrow.names]
        if missing:
            raise InputError(
                f"{what} {str(path)!r} has no column {missing[0]!r}; it has: {', '.join(file.schema_arrow.names)}"
            )
        found = file.read(columns=None if columns is None else [*columns])
        found.validate(full=True)
    return found.replace_schema_metadata(None)  # what pandas once noted there is not trusted


def read_part(path: str | Path, what: str, schema: pa.Schema, most: int = MOST_ROWS) -> pa.Table:
    """A table that has exactly the columns of a schema, of fitting types, and at least one row.

    Raises:
        InputError: as `read_table`, or another table than the schema's.
    """
    found = read_table(path, what, most=most)
    if found.column_names != schema.names:
        raise InputError(
            f"{path} is not a {what}: its columns are {one_line(', '.join(found.column_names), 300)}, "
            f"not {', '.join(schema.names)}"
        )
    if len(found) == 0:
        raise InputError(f"{path} is not a {what}: it has no rows")
    for field in schema:
        column = found[field.name]
        if not fits(column.type, field.type):
            raise InputError(f"{path}: column {field.name} is of type {column.type}; it must be {field.type}")
    return found


def fits(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column is of the wanted type; texts may be encoded in any way, whole numbers of any size."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_dictionary(wanted) or pa.types.is_string(wanted):
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if pa.types.is_boolean(wanted):
        return bool(pa.types.is_boolean(kind))
    whole = pa.types.is_integer(wanted)
    return bool(pa.types.is_integer(kind) if whole else pa.types.is_floating(kind))


def write_table(path: "str | Path | pa.BufferOutputStream", table: pa.Table, compression: str = "snappy") -> None:
    """Write a table to a place that `whole_file` gave, or to memory, with checksums of its pages."""
    pq.write_table(table, path, compression=compression, write_page_checksum=True)


def write_pieces(path: str | Path, schema: pa.Schema, pieces: Iterable[pa.Table]) -> None:
    """Write a table that comes in pieces to a place that `whole_file` gave, with checksums of its pages."""
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for piece in pieces:
            writer.write_table(piece)


def rows_of(path: str | Path, what: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a table one by one; columns that it has not are left out.

    Raises:
        InputError: a file that is missing or no sound parquet, once that is noticed.
    """
    with open_table(path, what) as file:
        schema = file.schema_arrow
    names = [name for name in columns if name in schema.names]
    texts = [name for name in names if pa.types.is_string(schema.field(name).type)]
    with open_table(path, what, compact=texts) as file:
        for batch in file.iter_batches(PIECE, columns=names):
            with reading(what, path, pa.ArrowException):
                batch.validate(full=True)
            for piece in _pieces(batch):
                with reading(what, path, pa.ArrowException):
                    rows: list[dict[str, Any]] = piece.to_pylist()
                yield from rows


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Parts of a batch whose texts, written out, fit the memory: one text may stand for thousands of rows."""
    waiting = [batch]
    while waiting:
        piece = waiting.pop()
        if piece.num_rows > 1 and _written_out(piece) > _MOST_BYTES:
            half = piece.num_rows // 2
            waiting += [piece.slice(half), piece.slice(0, half)]
        else:
            yield piece


def _written_out(piece: pa.RecordBatch) -> int:
    """Bytes of all texts of a piece."""
    total = 0
    for column in piece.columns:
        if pa.types.is_dictionary(column.type) and fits(column.type, pa.string()):
            lengths = pc.binary_length(column.dictionary).take(column.indices)
            total += pc.sum(lengths).as_py() or 0
    return int(total)
