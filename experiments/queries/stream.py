"""`walras allocate --stream`: queries in, grants out, one json line each, while both pipes are open."""

import json
from collections.abc import Iterable
from typing import Any, TextIO

from walras.errors import InputError
from walras.experiments.queries.batch import Predict, predicted
from walras.experiments.queries.rows import Row, json_record, online, row_of
from walras.market.queries import Grant, OnlineMarket

MOST_TOGETHER = 2**16
"""Queries in one line."""


def answer(
    market: OnlineMarket, number: int, line: str, predict: Predict | None = None, reserve: float = 0.0
) -> list[dict[str, Any]]:
    """Answers to one line: a query {"id", "threshold"}, a list of queries that come together, or {"id", "used"}.

    The answer to a bad query or line says what is wrong with it; the stream goes on. An id is a text or a whole number,
    and comes back as it was given.
    """
    record = json_record(line)
    if isinstance(record, dict) and "used" in record:
        return [_refunded(market, record)]
    together = record if isinstance(record, list) else [record]
    if len(together) > MOST_TOGETHER:
        return [_bad(Row(number, "", problem=f"holds {len(together):,} queries; valid: {MOST_TOGETHER:,}"))]
    rows = [online(row_of(number, one, predict is not None, reserve)) for one in together]
    if predict is not None:
        rows = predicted(rows, predict)
    offers = [(str(row.id), row.least, row.weight, row.cap) for row in rows if not row.problem]
    grants = iter(market.offer_all(offers) if offers else [])
    return [_bad(row) if row.problem else _granted(row, next(grants)) for row in rows]


def filter_stream(
    market: OnlineMarket, lines: Iterable[str], out: TextIO, predict: Predict | None = None, reserve: float = 0.0
) -> dict[str, Any]:
    """Answer every line as it comes; ends with the input, or quietly once the output has no reader any more.

    Returns the figures of the whole stream.
    """
    counts = {"funded": 0, "abandoned": 0, "bad": 0, "refunded": 0}
    closed = False
    try:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            for given in answer(market, number, line, predict, reserve):
                counts[given["status"]] += 1
                out.write(json.dumps(given) + "\n")
            out.flush()
    except BrokenPipeError:
        closed = True
    return {
        **counts, "granted": market.granted, "returned": market.returned, "expired": market.expired,
        "over": market.over, "price": market.price, "live": len(market), "output_closed": closed,
    }  # fmt: skip


def _granted(row: Row, grant: Grant) -> dict[str, Any]:
    answer = {"id": row.id, "max_tokens": grant.max_tokens, "status": grant.status, "surplus": grant.surplus,
             "price": grant.price}  # fmt: skip
    return {**answer, "problem": "its id is live already"} if grant.status == "bad" else answer


def _bad(row: Row) -> dict[str, Any]:
    id = None if row.id == "" else row.id
    return {"id": id, "max_tokens": 0, "status": "bad", "problem": f"line {row.number} {row.problem}"}


def _refunded(market: OnlineMarket, record: dict[str, Any]) -> dict[str, Any]:
    given = record.get("id")
    id = given if isinstance(given, (str, int)) and not isinstance(given, bool) else None
    try:
        settled = market.refund(str(id), record["used"])
    except InputError as error:
        return {"id": id, "max_tokens": 0, "status": "bad", "problem": str(error)}
    return {
        "id": id, "status": "refunded", "returned": settled.returned, "expired": settled.expired, "over": settled.over,
        "price": market.price,
    }  # fmt: skip
