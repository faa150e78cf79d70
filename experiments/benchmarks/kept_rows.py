"""Rows of a measurement that goes on where it was ended: a line of JSON each, written whole after every new one."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from walras.files.lines import read_lines
from walras.files.plain_data import parse_json, write_json
from walras.files.writing import write_whole


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where there is no file.

    Raises:
        InputError: a file that cannot be read.
    """
    return [parse_json(line) for line in read_lines(file, "rows")] if file.is_file() else []


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """All rows, whole or not at all; folders are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, "".join(write_json(row, None) for row in rows))
