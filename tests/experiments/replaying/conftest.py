"""Small traces."""

import json
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from walras.experiments.replaying.requests import Requests

Row = tuple[float, int, bool]
Trace = Callable[..., Requests]


def trace_of(rows: Sequence[Row], threshold: float | Sequence[float] = 1.0, cap: float = inf) -> Requests:
    """Requests of arrival, tokens and whether the answer is correct."""
    n = len(rows)
    arrival, tokens, correct = zip(*rows, strict=True)
    return Requests(
        [f"r{i}" for i in range(n)], np.array(arrival, dtype=float), np.full(n, 1.0) * threshold, np.ones(n),
        np.full(n, cap), np.array(tokens, dtype=np.int64), np.array(correct, dtype=bool),
    )  # fmt: skip


@pytest.fixture
def trace() -> Trace:
    """`trace_of`."""
    return trace_of


@pytest.fixture
def write(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    """Writes records to a file of json lines."""

    def write(records: list[dict[str, Any]]) -> Path:
        path = tmp_path / "trace.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
        return path

    return write
