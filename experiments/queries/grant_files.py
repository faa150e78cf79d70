"""Files of grants, one row per query, written in pieces; a file appears whole or not at all."""

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from walras.experiments.queries.query_files import format_of
from walras.files.writing import whole_file

COLUMNS = ("id", "max_tokens", "status", "surplus")
Grants = Iterable[dict[str, Any]]
_CHUNK = 2**15


def write_grants(path: Path | None, grants: Grants) -> None:
    """Write grants to a file in the format of its name, or as json lines to standard output."""
    if path is None:
        _json_lines(sys.stdout, grants)
        sys.stdout.flush()
        return
    kind = format_of(path)
    with whole_file(path) as partial:
        if kind == "parquet":
            _parquet(partial, grants)
            return
        with partial.open("w", encoding="utf-8", newline="") as file:
            (_json_lines if kind == "jsonl" else _csv)(file, grants)


def _json_lines(file: TextIO, grants: Grants) -> None:
    file.writelines(json.dumps(grant, ensure_ascii=False) + "\n" for grant in grants)


def _csv(file: TextIO, grants: Grants) -> None:
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(grants)


def _parquet(path: Path, grants: Grants) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.string(), pa.int64(), pa.string(), pa.float64())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    with pq.ParquetWriter(path, schema) as writer:
        piece: list[dict[str, Any]] = []
        for grant in grants:
            piece.append(grant)
            if len(piece) == _CHUNK:
                writer.write_table(pa.Table.from_pylist(piece, schema))
                piece = []
        writer.write_table(pa.Table.from_pylist(piece, schema))
