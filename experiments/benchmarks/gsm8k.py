"""Word problems of GSM8K (arXiv 2110.14168), and the number that ends an answer."""

import re
from collections.abc import Iterator
from pathlib import Path

from walras.errors import InputError
from walras.experiments.tasks.data.rows import json_rows
from walras.files.record import Record

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?", re.ASCII)


def first_problems(file: Path, count: int) -> list[tuple[str, float]]:
    """Question and solution of the first problems of a split's file.

    Raises:
        InputError: no such file, fewer problems, or a solution that is no number.
    """
    found = [problem for _, problem in zip(range(count), _problems(file), strict=False)]
    if len(found) < count:
        raise InputError(f"{str(file)!r} has {len(found)} problems; {count} are asked for")
    return found


def last_number(text: str) -> float | None:
    """The last number of a text, in which commas may part thousands; None if there is none."""
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _problems(file: Path) -> Iterator[tuple[str, float]]:
    for number, row in json_rows(file):
        record = Record(row, f"{file}, line {number}")
        solution = last_number(record.text("answer").rpartition("####")[2])
        if solution is None:
            raise InputError(f"{file}, line {number}: the answer has no number after ####")
        yield record.text("question"), solution
