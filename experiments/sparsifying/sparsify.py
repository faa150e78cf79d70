"""The main job: worths and prices for a network, the network that decodes by them, and what it costs in quality."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd
import torch
from torch import nn

from walras.errors import InputError
from walras.experiments.progress import Progress
from walras.experiments.registries import registry
from walras.experiments.sparsifying.config import SparsifyConfig
from walras.experiments.sparsifying.saving import save
from walras.experiments.sparsifying.token_trace import token_traces
from walras.experiments.subjects.data import SubjectData
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.base import on_device
from walras.models.tokens.account import TokenMacs
from walras.models.tokens.calibrate import Calibration, find_prices
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.offers import Tally
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.runtime import check_same, opened, settle
from walras.models.tokens.token_map import token_maps
from walras.models.tokens.trading import token_markets
from walras.models.tokens.worths import worths_of
from walras.models.units.tradable import check_tradable


@final
@dataclass(frozen=True)
class SparsifySummary:
    """The figures, as `sparsify.json` has them. Shares are of the dense network's multiplications per token."""

    model: str
    task: str
    length: int
    seed: int
    budget: float
    spent: float  # on the calibration data
    measured: float  # on the task's evaluation split
    floor: float  # what bids and what is not traded take
    dense_macs: float  # per token, in the layers
    token_valuation: str
    price_policy: str
    prefill: str
    sequences: int  # of calibration, as many as there are where the settings ask for more
    limit: int  # rows of the evaluation split that are measured on, at most
    rounds: int  # how often prices were found anew
    metric: dict[str, Any]  # name, dense, value, direction
    protocol: dict[str, Any]  # how the metric is measured
    transposed_bytes: int  # of weights, which replace the others in a folder
    maps: list[dict[str, Any]]  # layer, map, price per multiplication, share of the bidders that buy
    seconds: dict[str, float]  # by step

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@final
@dataclass(frozen=True, eq=False)
class Sparsified:
    """A network whose tokens buy what they are computed with.

    Attributes:
        model: decodes by the prices; weights that are not traded are shared with `dense`.
        dense: the network that it was made of.
        tokenizer: its tokenizer.
        network: maps, worths and calibration data.
        calibration: prices, and what was spent at them.
        data: what it was calibrated and measured on.
        config: the settings.
        summary: the figures.
    """

    model: nn.Module
    dense: nn.Module
    tokenizer: Any
    network: Calibrated
    calibration: Calibration
    data: SubjectData
    config: SparsifyConfig
    summary: SparsifySummary

    def save(self, folder: str | Path, overwrite: bool = False, trace: bool = False) -> dict[str, Any]:
        """Write a folder that transformers loads, whole or not at all; its figures come back.

        Args:
            folder: where to.
            overwrite: replace an export that is there.
            trace: write what every token of a few sequences buys, too; of the training data, drawn by another seed.

        Raises:
            InputError: a folder that must not be written to, a full disk, a trace of a network that buys everything.
        """
        check_trace(self.config, trace)
        return save(
            self.model, self.network, self.tokenizer, self.summary.as_dict(), folder, overwrite=overwrite,
            traces=self.traces() if trace else (),
        )  # fmt: skip

    def traces(self) -> Iterator[pd.DataFrame]:
        """What every token of a few sequences buys, a table per sequence; see `trace_table.SCHEMA`."""
        drawn = self.data.batches(self.config.traced, self.config.seed + 1)
        batches = [on_device(batch, self.dense) for batch in drawn]
        return token_traces(self.network, self.calibration.prices, self.tokenizer, batches, self.config.seed)


def check_trace(config: SparsifyConfig, wanted: bool) -> None:
    """Refuse to trace purchases where nothing is sold.

    Raises:
        InputError: as said.
    """
    if wanted and config.market.budget == 1:
        raise InputError("a trace is wanted, and budget is 1, at which nothing is dropped, and so nothing is sold")


def sparsified(subject: Subject, config: SparsifyConfig, progress: Progress) -> Sparsified:
    """Find worths and prices, and measure the network at them.

    Raises:
        InputError: a budget that bids and attention alone exceed, a network that cannot be traded in, activations that
            are not finite numbers.
    """
    model, data, market = subject.model, subject.data, config.market
    seconds: dict[str, float] = {}
    check_tradable(model)
    maps = token_maps(model)
    account = TokenMacs.from_model(model, maps, subject.length)
    account.for_sale(market.budget)
    batches = [on_device(batch, model) for batch in data.batches(config.sequences, config.seed)]
    step = progress.add_task("Worths", total=3)
    if market.budget == 1:  # nothing is dropped, so nothing is sold: the stock maps stay, and with them every bit
        maps, network = (), Calibrated(model, (), {}, batches)
        calibration = Calibration({}, {}, 1.0, 0)
    else:
        with _timed(seconds, "worths"):
            valuation = registry("token valuation").make(market.token_valuation)
            worths = worths_of(valuation, model, maps, batches, data.objective(model, label_free=False), config.seed)
        network = Calibrated(model, maps, worths, batches)
        progress.update(step, advance=1, description="Prices")
        with _timed(seconds, "prices"):
            policy = registry("price policy").make(market.price_policy)
            calibration = find_prices(network, market.budget, policy, account)
    progress.update(step, completed=2, description="Measuring")
    with _timed(seconds, "measuring"):
        value, spent = measured(subject, network, calibration, account)
    sparse = opened(model, maps, market.prefill)
    check_same(model, sparse, batches[0])
    settle(sparse, maps, network.worths, calibration.prices)
    progress.update(step, completed=3, description=f"{data.metric} {value:.3f}")
    summary = _summary(subject, config, network, calibration, account, (value, spent), seconds)
    return Sparsified(sparse, model, subject.tokenizer, network, calibration, data, config, summary)


def measured(
    subject: Subject, network: Calibrated, calibration: Calibration, account: TokenMacs
) -> tuple[float, float]:
    """The task's metric where every token of the evaluation split buys, and the share that they spend."""
    if not network.maps:
        return subject.dense, 1.0
    seen = Tally()
    with torch.no_grad():
        rule = PriceRule(calibration.prices)
        with token_markets(network.model, network.maps, network.worths, rule, seen):
            value = subject.data.evaluate(network.model)
    return value, account.spent(network.maps, seen.bought)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Note the seconds that a step takes."""
    started = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - started, 2)


def _summary(
    subject: Subject, config: SparsifyConfig, network: Calibrated, calibration: Calibration, account: TokenMacs,
    found: tuple[float, float], seconds: dict[str, float],
) -> SparsifySummary:  # fmt: skip
    data, market, (value, spent) = subject.data, config.market, found
    rows = [
        {"layer": m.layer, "map": m.name, "price": calibration.prices[m.path], "bought": calibration.bought[m.path]}
        for m in network.maps
    ]
    size = next(subject.model.parameters()).element_size()
    return SparsifySummary(
        model=subject.name, task=data.name, length=subject.length, seed=config.seed, budget=market.budget,
        spent=calibration.spent, measured=spent, floor=account.floor, dense_macs=account.dense,
        token_valuation=str(registry("token valuation").spelled(market.token_valuation)),
        price_policy=str(registry("price policy").spelled(market.price_policy)), prefill=market.prefill,
        sequences=sum(len(next(iter(batch.values()))) for batch in network.batches), limit=config.limit,
        rounds=calibration.rounds,
        metric={"name": data.metric, "dense": subject.dense, "value": value, "higher_is_better": data.higher_is_better},
        protocol=data.protocol(), maps=rows, seconds=seconds,
        transposed_bytes=sum(m.inputs * m.outputs * size for m in network.maps if not m.signal),
    )  # fmt: skip
