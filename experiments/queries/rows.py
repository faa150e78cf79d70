"""One query of a file or a stream: its fields, typed and within limits, or what is wrong with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from math import inf, isinf, isnan, nan
from typing import Any, final

from walras.escaping import shown
from walras.files.contents import brief
from walras.files.lines import fault
from walras.files.plain_data import parse_json
from walras.market.queries.limits import LEAST_HEADROOM, LEAST_WEIGHT, MOST_TOKENS, MOST_WEIGHT

# The least and the most of a number, and whether it may be infinite.
_LIMITS: dict[str, tuple[float, float, bool]] = {
    "threshold": (0.0, MOST_TOKENS, True), "weight": (LEAST_WEIGHT, MOST_WEIGHT, False),
    "headroom": (LEAST_HEADROOM, MOST_TOKENS, False), "cap": (0.0, MOST_TOKENS, True),
    "reserve": (0.0, MOST_TOKENS, False),
}  # fmt: skip
NUMBERS = tuple(_LIMITS)
LONGEST_ID = 1000  # characters
FIELDS = ("id", *NUMBERS, "text")
_KNOWN = frozenset(FIELDS)
_ALIKE = 0.8  # of two names, from 0 to 1, from which on one is taken for a slip of the other


@final
@dataclass(frozen=True)
class Row:
    """One query; `problem` says why it cannot be worked with, and is empty where it can.

    The id is a text or a whole number, as it was given. `reserve`: tokens of the grant that are kept for the answer.
    """

    number: int  # from 1
    id: str | int
    threshold: float = nan
    weight: float = 1.0
    headroom: float = nan
    cap: float = inf
    text: str = ""
    problem: str = ""
    reserve: float = 0.0

    @property
    def least(self) -> float:
        """Tokens below which the answer is worth nothing: to think, and to write it; inf where nobody has so many."""
        both = self.threshold + self.reserve
        return inf if both > MOST_TOKENS else both


@final
@dataclass(frozen=True)
class Unreadable:
    """What stands in a file where a query should, and why it is none."""

    problem: str


def row_of(number: int, record: Any, texts: bool = False, reserve: float = 0.0) -> Row:
    """The row of a record.

    Args:
        number: of the row, from 1.
        record: fields by name, or `Unreadable`.
        texts: thresholds will be predicted, so that `text` must be there and `threshold` need not.
        reserve: tokens kept for the answer, where the row does not say.
    """
    if not isinstance(record, Mapping):
        return Row(number, "", problem=record.problem if isinstance(record, Unreadable) else "is no object with fields")
    id = record.get("id")
    if not (isinstance(id, str) and id and "\0" not in id) and (not isinstance(id, int) or isinstance(id, bool)):
        return Row(number, "", problem=f"has id {shown(id)}; valid: a text or a whole number{slip(record, 'id')}")
    if isinstance(id, str) and len(id) > LONGEST_ID:
        return Row(number, "", problem=f"has an id of {len(id):,} characters; valid: up to {LONGEST_ID:,}")
    if problem := misspelt(record):
        return Row(number, id, problem=problem)
    text = record.get("text")
    if texts and not isinstance(text, str):
        return Row(number, id, problem=f"has text {shown(text)}; a predictor needs one{slip(record, 'text')}")
    numbers: list[float] = []
    for name, default in (
        ("threshold", nan), ("weight", 1.0), ("headroom", nan), ("cap", inf), ("reserve", reserve)
    ):  # fmt: skip
        given = record.get(name)
        if given is None or given == "":
            if name == "threshold" and not texts:
                return Row(number, id, problem=f"has no threshold{slip(record, name)}")
            numbers.append(default)
            continue
        found = number_of(given)
        least, most, unlimited = _LIMITS[name]
        if not (least <= found <= most or (unlimited and found == inf)):
            ends = f"from {least:g} to {most:g}{', or inf' if unlimited else ''}"
            return Row(number, id, problem=f"has {name} {shown(given)}; valid: a number {ends}")
        numbers.append(found)
    threshold, weight, headroom, cap, kept = numbers
    return Row(number, id, threshold, weight, headroom, cap, text if isinstance(text, str) else "", "", kept)


def online(row: Row) -> Row:
    """The row, bad where it asks for what a stream has not."""
    if row.problem or isnan(row.headroom):
        return row
    return Row(row.number, row.id, problem=f"has headroom {row.headroom:g}; a stream has one for all, --headroom")


def json_record(line: str) -> Any:
    """The record of a line of json, or what is wrong with it."""
    if problem := fault(line):
        return Unreadable(problem)
    try:
        return parse_json(line)
    except ValueError as error:
        cut = "" if line.endswith("\n") else ", and the file ends within it"
        return Unreadable(f"is no JSON{cut}: {brief(error)}")


def misspelt(names: Iterable[Any]) -> str:
    """What to say of fields whose names are almost those of fields that count and are not given; mostly nothing.

    Other fields are nobody's business: files often hold more than is asked for.
    """
    return "" if _KNOWN.issuperset(names) else _misspelt(*names)


@lru_cache(maxsize=1024)
def _misspelt(*names: Any) -> str:
    for name in names:
        if isinstance(name, str) and name not in _KNOWN:
            near = get_close_matches(name.lower(), [known for known in NUMBERS if known not in names], 1, _ALIKE)
            if near:
                return f"has a field {shown(name)}, and no {near[0]}; give {near[0]}, or name the other one differently"
    return ""


def slip(names: Iterable[Any], missing: str) -> str:
    """Which name was perhaps meant for a field that is missing."""
    near = get_close_matches(missing, [n.lower() for n in names if isinstance(n, str)], 1, _ALIKE)
    return f". Is {shown(near[0])} the {missing}?" if near and near[0] != missing else ""


def number_of(given: Any) -> float:
    """A float; NaN for what is no number."""
    kind = type(given)
    if kind is float:
        return float(given)
    try:
        if kind is str:
            found = nan if "_" in given else float(given)  # Python takes 1_000 for a number, other programs do not
            return nan if isinf(found) and "inf" not in given.lower() else found  # a number of 400 digits
        return float(given) if kind is int or kind is Decimal else nan
    except (ValueError, OverflowError):
        return nan
