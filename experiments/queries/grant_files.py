"""Files of grants, one row per query, written in pieces; a file appears whole or not at all."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from walras.experiments.queries.query_files import format_of
from walras.files.writing import whole_file

COLUMNS = ("id", "max_tokens", "status", "surplus")
Grants = Iterable[dict[str, Any]]


def write_grants(path: Path | None, grants: Grants) -> None:
    """Write grants to a file in the format of its name, or as json lines to standard output."""
    if path is None:  # in ASCII: a terminal may know no other letters, and obeys some
        sys.stdout.writelines(json.dumps(grant) + "\n" for grant in grants)
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

    from walras.files.tables import PIECE, write_pieces

    types = (pa.string(), pa.int64(), pa.string(), pa.float64())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))

    def pieces() -> Iterator[Any]:
        rows = iter(grants)
        while piece := list(islice(rows, PIECE)):
            for grant in piece:
                grant["id"] = str(grant["id"])
            yield pa.Table.from_pylist(piece, schema)

    write_pieces(path, schema, pieces())
