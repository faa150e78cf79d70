"""Files of queries, one row per query, read in order and never whole: jsonl, csv and parquet."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any, final

from walras.errors import InputError

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_CHUNK = 2**15  # rows of a parquet file that are in memory at once


@final
@dataclass(frozen=True)
class Row:
    """One query of a file; `problem` says why it cannot be worked with, and is empty where it can."""

    number: int  # from 1
    id: str
    threshold: float = nan
    weight: float = 1.0
    headroom: float = nan
    cap: float = inf
    text: str = ""
    problem: str = ""


def format_of(path: Path) -> str:
    """The format that a file's name says.

    Raises:
        InputError: a name with another ending.
    """
    format_ = FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise InputError(f"{str(path)!r} ends in none of {', '.join(FORMATS)}; the ending says the format")
    return format_


def read_rows(path: Path, texts: bool = False) -> Iterator[Row]:
    """The rows of a file; `texts`: thresholds will be predicted, so that `text` must be there and `threshold` need not.

    Raises:
        InputError: no such file, another format, or a csv or parquet file that cannot be read.
    """
    kind = format_of(path)
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    records = {"jsonl": _json_lines, "csv": _csv, "parquet": _parquet}[kind](path)
    for number, record in enumerate(records, 1):
        yield record_row(number, record, texts)


def record_row(number: int, record: Any, texts: bool = False) -> Row:
    """A row from a record; a string in place of a record is what is wrong with it."""
    if not isinstance(record, Mapping):
        return Row(number, "", problem=record if isinstance(record, str) else "is no object with fields")
    id = record.get("id")
    if id is None or id == "" or isinstance(id, (list, dict, bool, float)):
        return Row(number, "", problem=f"has id {id!r}; valid: a string or a whole number")
    text = record.get("text")
    if texts and not isinstance(text, str):
        return Row(number, str(id), problem=f"has text {text!r}; a predictor needs one")
    numbers: dict[str, float] = {}
    for name, (default, valid, words) in _FIELDS.items():
        given = record.get(name)
        if given is None or given == "":
            if name == "threshold" and not texts:
                return Row(number, str(id), problem="has no threshold")
            numbers[name] = default
            continue
        numbers[name] = _number(given)
        if not valid(numbers[name]):
            return Row(number, str(id), problem=f"has {name} {given!r}; valid: a number {words}")
    threshold, weight, headroom, cap = (numbers[name] for name in _FIELDS)
    return Row(number, str(id), threshold, weight, headroom, cap, text if isinstance(text, str) else "")


# Default where a field is left out, and what is valid.
_FIELDS: dict[str, tuple[float, Callable[[float], bool], str]] = {
    "threshold": (nan, lambda x: x >= 0, "of 0 or more (inf: nothing helps)"),
    "weight": (1.0, lambda x: 0 < x < inf, "above 0"),
    "headroom": (nan, lambda x: 0 < x < inf, "above 0"),
    "cap": (inf, lambda x: x >= 0, "of 0 or more"),
}


def _number(given: Any) -> float:
    """A float; NaN for what is no number."""
    try:
        return nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        return nan


def json_record(line: str) -> Any:
    """The record of a line of json, or what is wrong with it."""
    try:
        return json.loads(line)
    except ValueError:
        return "is no JSON" + ("" if line.endswith("\n") else ", and the file ends within it")


def _json_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.strip():
                yield json_record(line)


def _csv(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is not None and "id" not in reader.fieldnames:
            raise InputError(
                f"{str(path)!r} has no column id in its first line; it has: {', '.join(reader.fieldnames)}"
            )
        for record in reader:
            yield "has more fields than the first line" if None in record else record


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if "id" not in file.schema_arrow.names:
                raise InputError(f"{str(path)!r} has no column id; it has: {', '.join(file.schema_arrow.names)}")
            names = [
                n for n in ("id", "threshold", "weight", "headroom", "cap", "text") if n in file.schema_arrow.names
            ]
            for batch in file.iter_batches(_CHUNK, columns=names):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{str(path)!r} cannot be read as parquet: {error}") from error
