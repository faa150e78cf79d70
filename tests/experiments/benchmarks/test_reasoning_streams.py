"""Streams of answers that come evenly or in bursts, on problems made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walras.experiments.benchmarks.reasoning import streams
from walras.experiments.queries.predictors import Problem


def problems(folder: Path, name: str, count: Any) -> list[Problem]:
    """Longer texts take longer answers; two thirds are right."""
    del folder, count
    draw = np.random.default_rng(len(name))
    words = draw.integers(1, 20, 60)
    return [
        Problem(f"{name} {'why ' * n}{i}", (int(10 * n + draw.integers(10)),), (i % 3 > 0,), (False,))
        for i, n in enumerate(words)
    ]


def test_arrivals_have_the_same_mean_rate_and_bursts_are_bursts() -> None:
    draw, n = np.random.default_rng(0), 200_000
    spread = {}
    for kind in streams.KINDS:
        at = streams.arrivals(kind, n, draw)
        assert (np.diff(at) >= 0).all()
        assert n / at[-1] == pytest.approx(streams.A_WINDOW / streams.SECONDS, rel=0.05)
        came = np.bincount((at // streams.SECONDS).astype(int))[:-1]
        spread[kind] = came.var() / came.mean()
    assert spread["poisson"] == pytest.approx(1.0, abs=0.1)
    assert spread["bursty"] > 10


def test_streams_are_played_once_and_compared_in_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("greedy", problems), ("tokenizer", lambda: None), ("BUDGETS", (60,)), ("CAPS", (50, 200)),
                        ("OTHER", (9,))):  # fmt: skip
        monkeypatch.setattr(streams, name, value)
    streams.main(tmp_path, tmp_path, streams=2, queries=12)
    table = pd.read_csv(tmp_path / "reasoning_streams.csv")
    assert len(table) == len(streams.KINDS) * len(streams.RULES)
    assert (table["streams"] == 2).all()
    assert ((table["low"] <= table["accuracy"]) & (table["accuracy"] <= table["high"])).all()
    assert (table["spent_max"] <= 1).all()
    assert (table["share_of_optimum"] <= 1).all()
    clear = table[table["policy"] == "clear"].set_index("arrivals")["accuracy"]
    apart = table["arrivals"].map(clear) - table["accuracy"]
    assert apart.to_numpy() == pytest.approx(table["clear_minus"].to_numpy(), abs=1e-4)
    assert set(table.loc[table["policy"] == "fixed-cap", "cap"]) <= {50.0, 200.0}
    first = (tmp_path / "reasoning_streams.csv").read_bytes()
    monkeypatch.setattr(streams, "greedy", None)  # nothing is left to play
    streams.main(tmp_path, tmp_path, streams=2, queries=12)
    assert (tmp_path / "reasoning_streams.csv").read_bytes() == first
