"""A tiny network to trade on, and valuations whose values are known beforehand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from walras.agents import Calibration, Valuation
from walras.market import ComputeMarket, TraceWriter
from walras.mechanisms import Mechanism, ShadowPrice
from walras.models import Inventory, inventory, macs
from walras.models.objective import GivenLoss

LENGTH, BLOCK = 8, 8


@final
@dataclass(frozen=True)
class Given(Valuation):
    """The first row's values while all gates are open, the last row's once some unit has left."""

    rows: Sequence[Sequence[float]]
    unit: ClassVar[str] = "points"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        return torch.tensor(self.rows[-1 if (gates == 0).any() else 0], dtype=torch.float64)


@dataclass
class Floor:
    """A two-layer BERT with 2 heads and 5 FFN blocks per layer (the last one narrower), and data for it."""

    model: nn.Module
    units: Inventory
    calibration: Calibration

    def market(
        self, valuation: Valuation, mechanism: Mechanism | None = None, budgets: Sequence[float] = (0.5,),
        trace: Path | str | None = None, **more: Any,
    ) -> ComputeMarket:  # fmt: skip
        """A market on the network, traced into a folder where one is given."""
        market = ComputeMarket(self.calibration, valuation, mechanism or ShadowPrice(), budgets, **more)
        if trace is not None:
            market.on("played", TraceWriter(trace))
        return market

    def given(self, *rows: Sequence[float]) -> Given:
        return Given(rows)

    def rising(self) -> Given:
        """Value per compute 1, 2, 3, ... in the order of the units."""
        return Given([(self.calibration.cost * np.arange(1, len(self.units) + 1)).tolist()])


def build() -> Floor:
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=36,
        max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model: nn.Module = BertModel(config)
    model.eval()
    batches = [{"input_ids": torch.randint(0, 40, (6, LENGTH))}, {"input_ids": torch.randint(0, 40, (4, LENGTH))}]
    objective = GivenLoss(lambda net, batch: net(**batch).last_hidden_state[:, 0].sin().sum(-1).mean())
    units = inventory(model, block=BLOCK)
    return Floor(model, units, Calibration(model, units, objective, batches, macs(model, units, LENGTH).share))


@pytest.fixture
def floor() -> Floor:
    return build()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save on models this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
