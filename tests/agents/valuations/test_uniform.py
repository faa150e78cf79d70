"""Equal shares in every sub-layer at every budget, by magnitude within."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from walras.agents import Calibration, Magnitude, Uniform
from walras.mechanisms import IndivisibleBids, UniformPriceAuction
from walras.models import inventory, macs
from walras.models.objective import GivenLoss

NO_LOSS = GivenLoss(lambda *_: torch.zeros(()))
BUDGETS = (0.9, 0.75, 0.6, 0.5, 0.4, 0.2)


def calibration_of(network: Any, block: int) -> Calibration:
    units = inventory(network.model, block=block)
    return Calibration(network.model, units, NO_LOSS, network.batches, macs(network.model, units, 16).share)


def kept(value: Tensor, cost: Tensor, budget: float) -> Tensor:
    """Served while all fit: `ShadowPrice` would go on with those whose units are small."""
    return UniformPriceAuction()(IndivisibleBids(value), budget, cost.unsqueeze(-1)).quantity > 0


def shares(calibration: Calibration, stay: Tensor) -> tuple[Tensor, Tensor]:
    """Of every sub-layer, the share of its compute that stays and that of its largest unit."""
    cost = torch.from_numpy(calibration.cost)
    sites = [site.units for site in calibration.inventory.sites]
    whole = torch.stack([cost[s].sum() for s in sites])
    left = torch.stack([cost[s] @ stay[s].double() for s in sites])
    return left / whole, torch.stack([cost[s].max() for s in sites]) / whole


@pytest.mark.parametrize("block", [1, 2, 6])
def test_one_share_fits_every_sub_layer_within_a_unit(network: Any, block: int, generator: torch.Generator) -> None:
    calibration = calibration_of(network, block)
    cost, n = torch.from_numpy(calibration.cost), len(calibration.inventory)
    value = Uniform()(calibration, torch.ones(n, dtype=torch.float64), generator)
    assert bool((value > 0).all())
    for budget in BUDGETS:
        stay = kept(value, cost, budget)
        assert float(cost @ stay.double()) > budget - float(cost.max())
        share, unit = shares(calibration, stay)
        assert float((share - unit).max()) <= float((share + unit).min()) + 1e-9


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_budget_is_every_sub_layers_share(budget: float, generator: torch.Generator) -> None:
    """On a network with as many units as MiniLM has, within one unit a sub-layer."""
    config = BertConfig(
        vocab_size=8, hidden_size=96, num_hidden_layers=6, num_attention_heads=12, intermediate_size=384,
        max_position_embeddings=8,
    )  # fmt: skip
    model = BertModel(config)
    units = inventory(model, block=8)
    calibration = Calibration(model, units, NO_LOSS, [{}], macs(model, units, 32).share)
    value = Uniform()(calibration, torch.ones(len(units)), generator)
    share, unit = shares(calibration, kept(value, torch.from_numpy(calibration.cost), budget))
    assert bool(((share - budget).abs() <= unit * (1 + 1e-9)).all())


def test_by_hand(bert: Any, generator: torch.Generator) -> None:
    """Two heads and blocks of 6, 6, 6 and 2 neurons: shares from the bottom up to a quarter below each unit's top."""
    calibration = bert.calibration(NO_LOSS)
    layer = bert.model.bert.encoder.layer[0]
    with torch.no_grad():
        layer.attention.output.dense.weight[:, :6] = 0.1
        layer.attention.output.dense.weight[:, 6:] = 0.2
        for first, last, size in ((0, 6, 0.3), (6, 12, 0.1), (12, 18, 0.2), (18, 20, 0.4)):
            layer.output.dense.weight[:, first:last] = size
    per_cost = Uniform()(calibration, torch.ones(12), generator)[:6].numpy() / calibration.cost[:6]
    # Of the last block, 2 x 12 weights of 0.4 over a third of the cost are the largest norm per cost.
    expected = [0.75 / 2, 1.75 / 2, 16.5 / 20, 4.5 / 20, 10.5 / 20, 19.5 / 20]
    assert per_cost.tolist() == pytest.approx(expected, rel=1e-9)


def test_the_order_within_a_sub_layer_is_that_of_magnitude(network: Any, generator: torch.Generator) -> None:
    calibration = network.calibration(NO_LOSS)
    ones = torch.ones(len(network.units), dtype=torch.float64)
    cost = calibration.cost
    size, value = (v(calibration, ones, generator).numpy() / cost for v in (Magnitude(), Uniform()))
    for site in network.units.sites:
        assert np.array_equal(np.argsort(size[site.units]), np.argsort(value[site.units]))


def test_those_that_have_left_rank_last(bert: Any, generator: torch.Generator) -> None:
    """A repair may change magnitudes: those that are there must still hold equal shares among themselves."""
    calibration = bert.calibration(NO_LOSS)
    ones = torch.ones(12, dtype=torch.float64)
    best = int(Uniform()(calibration, ones, generator)[2:5].argmax()) + 2
    ones[best] = 0
    per_cost = Uniform()(calibration, ones, generator) / torch.from_numpy(calibration.cost)
    assert int(per_cost[2:6].argmin()) + 2 == best
