"""One layer a session: SLEB against an exhaustive search for each layer that leaves."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from walras.agents import Calibration, LayerLoss
from walras.errors import InputError
from walras.market import ComputeMarket, LayerByLayer, Session
from walras.mechanisms import ShadowPrice
from walras.models import gated, inventory, macs
from walras.models.objective import GivenLoss

LAYERS = 6


@pytest.fixture
def decoder() -> Any:
    """A Llama of six layers, its blocks and data for it."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=16, initializer_range=0.4,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.eval()
    batches = [{"input_ids": torch.randint(0, 40, (5, 9))}, {"input_ids": torch.randint(0, 40, (3, 9))}]
    loss = GivenLoss(lambda net, batch: net(**batch, labels=batch["input_ids"]).loss)
    units = inventory(model, ["block"])
    return model, Calibration(model, units, loss, batches, macs(model, units, 9).share)


def market_of(calibration: Calibration, budget: float, **more: Any) -> ComputeMarket:
    return ComputeMarket(calibration, LayerLoss(**more), ShadowPrice(), [budget], phases=[LayerByLayer()])


def loss_without(calibration: Calibration, gone: list[int]) -> float:
    """By plain passes."""
    gates = torch.from_numpy(~np.isin(calibration.inventory.layer, gone)).float()
    total, count = 0.0, 0
    with torch.no_grad(), gated(calibration.model, calibration.inventory, gates):
        for batch in calibration.batches:
            rows = len(batch["input_ids"])
            total += rows * float(calibration.objective(calibration.model, batch, torch.Generator()))
            count += rows
    return total / count


@pytest.mark.parametrize(("spared", "budget"), [(0, 0.5), (1, 1 / 3)])
def test_each_time_the_layer_leaves_that_is_missed_least(spared: int, budget: float, decoder: Any) -> None:
    model, calibration = decoder
    market = market_of(calibration, budget, spared_first=spared, spared_last=spared)
    gone: list[int] = []
    assert len(market.sessions) == round(LAYERS * (1 - budget))
    for _ in market.remaining():
        market.step()
        left = [layer for layer in range(spared, LAYERS - spared) if layer not in gone]
        gone.append(min(left, key=lambda layer: loss_without(calibration, [*gone, layer])))
        assert sorted(gone) == np.unique(market.ledger.layer[market.ledger.quantity == 0]).tolist()
        assert (market.ledger.quantity[np.isin(market.ledger.layer, gone)] == 0).all()
    assert market.rounds[-1].used == pytest.approx(budget)
    assert isinstance(model, LlamaForCausalLM)


def test_a_budget_may_end_within_a_layer(decoder: Any) -> None:
    model, calibration = decoder
    market = market_of(calibration, 0.7)
    assert [session.budget for session in market.sessions] == [pytest.approx(5 / 6, abs=1e-8), 0.7]
    for _ in market.remaining():
        market.step()
    gone = market.ledger.quantity == 0
    assert len(np.unique(market.ledger.layer[gone])) == 2
    assert market.rounds[-1].used <= 0.7
    assert market.sessions[-1] == Session(0.7)
    del model


def test_several_resources_are_refused(decoder: Any) -> None:
    _, calibration = decoder
    usage = macs(calibration.model, calibration.inventory, 9)
    with pytest.raises(InputError, match="phase LayerByLayer lets one budget fall; give one resource"):
        ComputeMarket(calibration, LayerLoss(), ShadowPrice(), [0.5], phases=[LayerByLayer()],
                      resources=(usage, usage), extra_budgets=[[0.5]])  # fmt: skip
