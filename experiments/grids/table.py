"""The table of a grid: a row per finished cell, first its labels and its seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from walras.experiments.grids.cell import SEED
from walras.files.tables import write_table

RESULT = (
    ("macs", pa.float64()),  # of the small model's layers, for one sequence
    ("parameters", pa.int64()),  # of the whole small model
    ("latency_ms", pa.float64()),  # of a batch; null where it was not measured
    ("value", pa.float64()),  # the task's metric of the small model
    ("dense", pa.float64()),  # and of the dense one
)
"""Columns of a run behind its labels and seed."""
FIGURES = (
    *RESULT,
    ("used", pa.float64()),  # of the last round, as all that follow
    ("price", pa.float64()),
    ("welfare", pa.float64()),
    ("revenue", pa.float64()),
    ("status", pa.string()),
)
"""The same with what the market came to."""
NEEDED = ("macs", "parameters", "value", "dense")
"""Columns that are empty in no row which has them."""


def axes_of(table: pd.DataFrame) -> list[str]:
    """The axes of a table: its columns before the seed."""
    return [str(name) for name in table.columns[: list(table.columns).index(SEED)]]


def schema(table: pd.DataFrame, labels: Mapping[str, Sequence[Any]]) -> pa.Schema:
    """Columns of a table with these labels by axis: an axis of numbers is a column of numbers, any other one of texts.

    Columns of `RESULT` have its types, and other ones those of their values; a column without any is one of numbers.
    """
    known = {**{axis: _kind(of_axis) for axis, of_axis in labels.items()}, SEED: pa.int64(), **dict(RESULT)}
    kinds = {str(name): known.get(str(name)) or pa.Array.from_pandas(table[name]).type for name in table.columns}
    return pa.schema([(name, pa.float64() if kind == pa.null() else kind) for name, kind in kinds.items()])


def parquet(table: pd.DataFrame, columns: pa.Schema) -> bytes:
    """The table as a parquet file; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    write_table(sink, pa.Table.from_pandas(table, schema=columns, preserve_index=False).replace_schema_metadata())
    content: bytes = sink.getvalue().to_pybytes()
    return content


def column(labels: Sequence[Any]) -> list[Any]:
    """Labels as a column holds them: texts where not all of them are numbers, or all of them switches."""
    return [str(label) for label in labels] if _kind(labels) == pa.string() else list(labels)


def _kind(labels: Sequence[Any]) -> pa.DataType:
    if all(isinstance(label, bool) for label in labels):
        return pa.bool_()
    if any(isinstance(label, bool) or not isinstance(label, (int, float)) for label in labels):
        return pa.string()
    return pa.int64() if all(isinstance(label, int) for label in labels) else pa.float64()
