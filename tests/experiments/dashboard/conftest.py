"""Frames of made-up markets, and launches that open no network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walras.experiments.dashboard.launch import Launch
from walras.experiments.market_model.toy import toy
from walras.experiments.store.run_folder import ROUNDS, write_table
from walras.market import TraceWriter
from walras.market.trace import SCHEMA

Agents = Callable[..., pd.DataFrame]


def drawn(heads: int = 4, neurons: int = 16, layers: int = 3, round_: int = 1, seed: int = 0) -> pd.DataFrame:
    """One round of a market: half of the units are funded, and the first head of layer 0 is out."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"L{layer}.{'H' if kind == 'head' else 'F'}{index}", kind, layer, index)
        for layer in range(layers)
        for kind, count in (("head", heads), ("ffn", neurons))
        for index in range(count)
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["agent", "kind", "layer", "index"])
    value = rng.lognormal(size=len(frame))
    frame = frame.assign(
        round=round_, strategy="truthful", cost=1 / len(frame), value=value, bid=value, price=np.median(value),
        quantity=(value > np.median(value)).astype(float), payment=0.0, surplus=0.0, wealth=value - value.min(),
    )  # fmt: skip
    frame.loc[0, ["bid", "quantity"]] = (-np.inf, 0.0)
    return frame.loc[:, list(SCHEMA.names)]


@pytest.fixture
def agents() -> Agents:
    return drawn


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """A dashboard of 24 made-up units."""
    return Launch(toy=24, runs=tmp_path)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run's folder with three rounds of a made-up market."""
    folder = tmp_path / "a run"
    (folder / "trace").mkdir(parents=True)
    market = toy(24, rounds=3, seed=1)
    writer = TraceWriter(folder / "trace")
    for _ in market.remaining():
        market.step()
        writer(market)
    write_table(folder / ROUNDS, market.frame)
    return folder
