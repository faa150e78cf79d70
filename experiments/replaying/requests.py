"""A trace: requests as they came, what each answer takes, and whether it is right."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, nan
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.queries.batch import BadRow, Predict, Tell, named, predicted_rows
from walras.experiments.queries.query_files import read_records
from walras.experiments.queries.rows import FIELDS, Row, number_of, online, row_of, slip
from walras.market.queries.limits import MOST_TOKENS, amount

Column = NDArray[np.float64]
LATEST = 1e12
"""Seconds of an arrival; clocks that count from 1970 are far below."""
_OWN = ("arrival", "tokens", "correct", "max_tokens")
_YES_NO = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


@final
@dataclass(frozen=True, eq=False)
class Requests:
    """The requests of a trace in order of arrival.

    Attributes:
        id: of each [n], as texts.
        arrival: seconds [n] since the first one.
        threshold: tokens [n] below which an answer is worth nothing, those that it is written with included.
        weight: of the bids [n].
        cap: the most tokens [n] that each may use.
        tokens: what each answer takes [n] where it may run to its end.
        correct: whether that answer is right [n]; true for all where the trace does not say.
        judged: whether the trace says which answers are right.
        sorted: rows that stood behind one that came later.
        bad: rows that were left out.
    """

    id: list[str]
    arrival: Column
    threshold: Column
    weight: Column
    cap: Column
    tokens: NDArray[np.int64]
    correct: NDArray[np.bool_]
    judged: bool = True
    sorted: int = 0
    bad: tuple[BadRow, ...] = ()

    def __len__(self) -> int:
        return len(self.id)

    @property
    def need(self) -> Column:
        """Tokens of a right answer [n]; inf where there is none that the request's own limit allows."""
        return np.where(self.correct & (self.tokens <= self.cap), self.tokens, inf)


@final
@dataclass(frozen=True)
class _Answer:
    """What a row says beside its query; `correct` is None where it does not say."""

    arrival: float = nan
    tokens: int = 0
    correct: bool | None = None


def read_requests(
    path: Path,
    *,
    predict: Predict | None = None,
    reserve: float = 0.0,
    skip_bad: bool = False,
    tell: Tell = lambda rows: None,
) -> Requests:
    """The requests of a jsonl, csv or parquet file, sorted by arrival; those that came together stay in their order.

    Args:
        path: of the file.
        predict: thresholds from texts, and chances, which are the weights; rows need `text`, and no `threshold`.
        reserve: tokens of each grant that are kept for the answer, beside the threshold, where a row does not say.
        skip_bad: leave out bad rows; otherwise they are an error.
        tell: is told how many rows were read, every 10,000 rows.

    Raises:
        InputError: bad rows, named, unless they are skipped; a file that cannot be read, or holds no request; rows of
            which some say whether they are correct, and others do not.
    """
    answers: list[_Answer] = []
    numbers: dict[str, int] = {}
    kept, bad = list[tuple[Row, _Answer]](), list[BadRow]()
    source = _rows(path, predict is not None, amount(reserve, "reserve", 0.0), answers)
    for row in predicted_rows(source, predict):
        problem = row.problem
        if not problem and str(row.id) in numbers:
            problem = f"has the id of row {numbers[str(row.id)]}"
        if problem:
            bad.append(BadRow(row.number, row.id, problem))
        else:
            numbers[str(row.id)] = row.number
            kept.append((row, answers[row.number - 1]))
        if row.number % 10_000 == 0:
            tell(row.number)
    if bad and not skip_bad:
        raise InputError(f"{named(bad)}. --on-bad skip leaves such rows out and goes on")
    if not kept:
        raise InputError(f"{str(path)!r} holds no request")
    return _requests(path, kept, tuple(bad))


def _rows(path: Path, texts: bool, reserve: float, answers: list[_Answer]) -> Iterator[Row]:
    """The queries of a file; what a row says beside is put into `answers`."""
    for number, record in enumerate(read_records(path, (*FIELDS, *_OWN), ("id", "arrival", "tokens")), 1):
        row, answer = _row(number, record, texts, reserve)
        answers.append(answer)
        yield row


def _row(number: int, record: Any, texts: bool, reserve: float) -> tuple[Row, _Answer]:
    """One query, and what else its row says; bad if either is."""
    row = online(row_of(number, record, texts, reserve))
    if row.problem or not isinstance(record, Mapping):
        if row.problem == "has no threshold" and record.get("text"):
            row = replace(row, problem="has a text and no threshold; give --predictor FOLDER, or thresholds")
        return row, _Answer()
    found, problems = dict[str, float](), list[str]()
    for name, most, whole in (("arrival", LATEST, False), ("tokens", MOST_TOKENS, True), ("max_tokens", inf, False)):
        given = record.get(name)
        if name == "max_tokens" and (given is None or given == ""):
            found[name] = inf
            continue
        found[name] = number_of(given)
        if given is None or given == "":
            problems.append(f"has no {name}{slip(record, name)}")
        elif not 0 <= found[name] <= most or (whole and not found[name].is_integer()):
            kind = "a whole number" if whole else "a number"
            problems.append(f"has {name} {shown(given)}; valid: {kind} from 0 to {most:g}")
    correct = record.get("correct")
    verdict = None if correct is None or correct == "" else _YES_NO.get(str(correct).lower(), "unknown")
    if isinstance(verdict, str):
        problems.append(f"has correct {shown(correct)}; valid: true or false")
    if problems or isinstance(verdict, str):
        return Row(number, row.id, problem=problems[0]), _Answer()
    cap = min(row.cap, found["max_tokens"])
    return replace(row, cap=cap), _Answer(found["arrival"], int(found["tokens"]), verdict)


def _requests(path: Path, kept: list[tuple[Row, _Answer]], bad: tuple[BadRow, ...]) -> Requests:
    """Columns, in order of arrival."""
    silent = [row for row, answer in kept if answer.correct is None]
    if 0 < len(silent) < len(kept):
        raise InputError(
            f"row {silent[0].number} of {str(path)!r} does not say whether its answer is correct, and other rows do; "
            "give it for all of them, or for none"
        )
    arrival = np.array([answer.arrival for _, answer in kept])
    order = np.argsort(arrival, kind="stable")
    ahead = np.maximum.accumulate(arrival)
    placed = [kept[i] for i in order]
    return Requests(
        [str(row.id) for row, _ in placed],
        arrival[order] - arrival.min(),
        np.array([row.least for row, _ in placed]),
        np.array([row.weight for row, _ in placed]),
        np.array([row.cap for row, _ in placed]),
        np.array([answer.tokens for _, answer in placed], dtype=np.int64),
        np.array([answer.correct is not False for _, answer in placed]),
        judged=not silent,
        sorted=int((arrival < ahead).sum()),
        bad=bad,
    )
