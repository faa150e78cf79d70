"""A file of queries and a budget of tokens: the grants of a batch, at any length of file."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.experiments.queries.grant_files import write_grants
from walras.experiments.queries.query_files import Row, format_of, read_rows
from walras.market.queries import Allocation, Allocator, Queries

_NAMED = 3  # bad rows in an error
_TEXTS = 256  # predicted at once
Predict = Callable[[list[str]], Any]  # `predict` of a `FittedPredictor`
Tell = Callable[[int], object]


@final
@dataclass(frozen=True)
class BadRow:
    """A row that cannot be worked with, and why."""

    number: int
    id: str
    problem: str

    def __str__(self) -> str:
        return f"row {self.number}{f' (id {self.id!r})' if self.id else ''} {self.problem}"


def allocate_file(
    source: Path,
    out: Path | None,
    allocator: Allocator,
    budget: float,
    *,
    skip_bad: bool = False,
    predict: Predict | None = None,
    tell: Tell = lambda rows: None,
) -> tuple[Allocation, list[BadRow]]:
    """Allocate a budget to the queries of a file and write a row for each, bad ones too, in the file's order.

    The file is read twice, a row at a time: once for the numbers, of which 40 bytes a row are kept, and once for the
    ids that go out with the grants.

    Args:
        source: queries; jsonl, csv or parquet.
        out: grants; None writes json lines to standard output.
        allocator: the rule.
        budget: tokens.
        skip_bad: give bad rows nothing and go on; otherwise they are an error, and nothing is written.
        predict: thresholds from texts, and chances, which are the weights; rows need `text`, and no `threshold`.
        tell: is told how many rows were read, every 10,000 rows.

    Raises:
        InputError: bad rows, named, unless they are skipped; files that cannot be read.
    """
    if out is not None:
        format_of(out)
        if out.resolve() == source.resolve():
            raise InputError(f"--out {str(out)!r} is the file of the queries")
    columns = {name: array("d") for name in ("threshold", "weight", "headroom", "cap")}
    marks, bad = array("Q"), []
    for row in _predicted(read_rows(source, predict is not None), predict):
        for name, column in columns.items():
            column.append(float("nan") if row.problem and name == "threshold" else getattr(row, name))
        marks.append(_mark(row.id, row.number) if not row.problem else _mark("", row.number))
        if row.problem:
            bad.append(BadRow(row.number, row.id, row.problem))
        if row.number % 10_000 == 0:
            tell(row.number)
    threshold = np.frombuffer(columns["threshold"]) if marks else np.zeros(0)
    for again in _duplicates(source, np.array(marks, dtype=np.uint64)):
        bad.append(again)
        threshold[again.number - 1] = np.nan
    bad.sort(key=lambda row: row.number)
    if bad and not skip_bad:
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise InputError(
            f"{'; '.join(map(str, bad[:_NAMED]))}{more}. --on-bad skip gives such rows nothing and goes on"
        )
    allocation = allocator(_queries(threshold, columns), budget)
    write_grants(out, _grants(source, allocation))
    return allocation, bad


def _queries(threshold: NDArray[np.float64], columns: "dict[str, array[float]]") -> Queries:
    """Columns that hold their default everywhere are left out."""
    if len(threshold) == 0:
        return Queries(threshold)
    weight, headroom, cap = (np.frombuffer(columns[name]) for name in ("weight", "headroom", "cap"))
    return Queries(
        threshold,
        None if (weight == 1).all() else np.where(weight > 0, weight, 1.0),
        None if np.isnan(headroom).all() else headroom,
        None if np.isposinf(cap).all() else cap,
    )


def _grants(source: Path, allocation: Allocation) -> Iterator[dict[str, Any]]:
    sources = read_rows(source, texts=False)
    rows = zip(sources, allocation.tokens, allocation.status, allocation.surplus, strict=True)
    for row, tokens, status, surplus in rows:
        yield {"id": row.id, "max_tokens": int(tokens), "status": str(status), "surplus": float(surplus)}


def _predicted(rows: Iterator[Row], predict: Predict | None) -> Iterator[Row]:
    """The rows, with thresholds from their texts where there is a predictor."""
    if predict is None:
        yield from rows
        return
    while piece := list(islice(rows, _TEXTS)):
        yield from predicted(piece, predict)


def predicted(rows: list[Row], predict: Predict) -> list[Row]:
    """Rows with thresholds and weights from their texts; their own weights multiply the chances."""
    fine = [row for row in rows if not row.problem]
    if not fine:
        return rows
    told = predict([row.text for row in fine])
    known = iter(zip(told.threshold.tolist(), told.chance.tolist(), strict=True))
    weighed = []
    for row in rows:
        threshold, chance = (row.threshold, 1.0) if row.problem else next(known)
        weighed.append(replace(row, threshold=threshold, weight=row.weight * chance))
    return weighed


def _mark(id: str, number: int) -> int:
    """64 bits of an id; of the row's number where there is none."""
    content = id.encode() if id else b"\\0" + number.to_bytes(8, "big")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def _duplicates(source: Path, marks: NDArray[np.uint64]) -> Iterator[BadRow]:
    """Rows whose id an earlier row has. Ids are compared only where their marks are alike."""
    order = np.argsort(marks, kind="stable")
    alike = marks[order][1:] == marks[order][:-1]
    suspects = set((order[1:][alike] + 1).tolist()) | set((order[:-1][alike] + 1).tolist())
    if not suspects:
        return
    first: dict[str, int] = {}
    for row in read_rows(source, texts=False):
        if row.number in suspects and row.id:
            if row.id in first:
                yield BadRow(row.number, row.id, f"has the id of row {first[row.id]}")
            first.setdefault(row.id, row.number)
