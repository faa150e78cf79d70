"""A file of queries and a budget of tokens: the grants of a batch, at any length of file."""

import operator
import os
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
from walras.escaping import shown
from walras.experiments.queries.grant_files import write_grants
from walras.experiments.queries.query_files import format_of, read_rows
from walras.experiments.queries.rows import Row
from walras.files.contents import reading
from walras.files.locks import one_writer
from walras.market.queries import Allocation, Allocator, Queries
from walras.market.queries.limits import LEAST_WEIGHT, amount

PIECE = 2**13  # rows at once
_NAMED = 3  # bad rows in an error
_TEXTS = 256  # predicted at once
Predict = Callable[[list[str]], Any]  # `predict` of a `FittedPredictor`
Tell = Callable[[int], object]


@final
@dataclass(frozen=True)
class BadRow:
    """A row that cannot be worked with, and why."""

    number: int
    id: str | int
    problem: str

    def __str__(self) -> str:
        return f"row {self.number}{'' if self.id == '' else f' (id {shown(self.id)})'} {self.problem}"


def allocate_file(
    source: Path,
    out: Path | None,
    allocator: Allocator,
    budget: float,
    *,
    skip_bad: bool = False,
    predict: Predict | None = None,
    reserve: float = 0.0,
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
        reserve: tokens of each grant that are kept for the answer, beside the threshold, where a row does not say.
        tell: is told how many rows were read, every 10,000 rows.

    Raises:
        InputError: bad rows, named, unless they are skipped; files that cannot be read; a file of queries that changes
            meanwhile; a place for grants to which another process writes.
    """
    reserve = amount(reserve, "reserve", 0.0)
    if out is None:
        return _allocate(source, out, allocator, budget, skip_bad, predict, reserve, tell)
    format_of(out)
    if os.path.realpath(out) == os.path.realpath(source):
        raise InputError(f"--out {str(out)!r} is the file of the queries")
    if out.is_dir():
        raise InputError(f"--out {str(out)!r} is a folder; valid: a file")
    with one_writer(out):
        return _allocate(source, out, allocator, budget, skip_bad, predict, reserve, tell)


def _allocate(
    source: Path, out: Path | None, allocator: Allocator, budget: float, skip_bad: bool, predict: Predict | None,
    reserve: float, tell: Tell,
) -> tuple[Allocation, list[BadRow]]:  # fmt: skip
    """As `allocate_file`, whose place for grants is free."""
    version = _version(source)
    columns = {name: array("d") for name in ("least", "weight", "headroom", "cap")}
    add = [(operator.attrgetter(name), column.append) for name, column in columns.items()]
    marks, bad = array("Q"), list[BadRow]()
    for row in predicted_rows(read_rows(source, predict is not None, reserve), predict):
        for get, append in add:
            append(get(row))
        marks.append(_mark("" if row.problem else row.id, row.number))
        if row.problem:
            bad.append(BadRow(row.number, row.id, row.problem))
        if row.number % 10_000 == 0:
            tell(row.number)
    threshold = np.frombuffer(columns["least"]) if marks else np.zeros(0)
    for again in _duplicates(source, np.array(marks, dtype=np.uint64)):
        bad.append(again)
        threshold[again.number - 1] = np.nan
    bad.sort(key=lambda row: row.number)
    if bad and not skip_bad:
        raise InputError(f"{named(bad)}. --on-bad skip gives such rows nothing and goes on")
    allocation = allocator(_queries(threshold, columns), budget)
    write_grants(out, _grants(source, allocation, version))
    return allocation, bad


def named(bad: list[BadRow]) -> str:
    """The first bad rows in words, and how many more there are."""
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    return f"{'; '.join(map(str, bad[:_NAMED]))}{more}"


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


def _grants(source: Path, allocation: Allocation, version: object) -> Iterator[dict[str, Any]]:
    """A row for each query, of the file that was read before."""
    status = allocation.status

    def outcome() -> Iterator[tuple[int, str, float]]:
        for start in range(0, len(status), PIECE):
            piece = slice(start, start + PIECE)
            yield from zip(
                allocation.tokens[piece].tolist(),
                status[piece].tolist(),
                allocation.surplus[piece].tolist(),
                strict=True,
            )

    for row, (tokens, told, surplus) in zip(read_rows(source), outcome(), strict=False):
        yield {"id": row.id, "max_tokens": tokens, "status": told, "surplus": surplus}
    if _version(source) != version:
        raise InputError(f"{str(source)!r} was changed while it was read; start again")


def _version(source: Path) -> object:
    """What changes when somebody writes to the file of queries."""
    if not source.exists():
        return None  # `read_rows` says so
    with reading("queries", source):
        found = source.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def predicted_rows(rows: Iterator[Row], predict: Predict | None) -> Iterator[Row]:
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
        weighed.append(replace(row, threshold=threshold, weight=max(row.weight * chance, LEAST_WEIGHT)))
    return weighed


def _mark(id: str | int, number: int) -> int:
    """64 bits of an id; of the row's number where there is none."""
    content = b"\\0" + number.to_bytes(8, "big") if id == "" else str(id).encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def _duplicates(source: Path, marks: NDArray[np.uint64]) -> Iterator[BadRow]:
    """Rows whose id an earlier row has. Ids are compared only where their marks are alike."""
    order = np.argsort(marks, kind="stable")
    alike = marks[order][1:] == marks[order][:-1]
    suspects = set((order[1:][alike] + 1).tolist()) | set((order[:-1][alike] + 1).tolist())
    if not suspects:
        return
    first: dict[str, int] = {}
    for row in read_rows(source):
        if row.number in suspects and row.id != "":
            id = str(row.id)
            if id in first:
                yield BadRow(row.number, row.id, f"has the id of row {first[id]}")
            first.setdefault(id, row.number)
