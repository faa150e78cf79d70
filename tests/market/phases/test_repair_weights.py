"""Repairs are fitted on the data that are meant for them, which need not be those that units are valued on."""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from walras.agents import Calibration
from walras.market import ComputeMarket, RepairWeights
from walras.models.objective import Batch
from walras.models.repair.least_squares import LeastSquares
from walras.models.repair.repair import ModelPair


def other(batches: list[Batch]) -> list[Batch]:
    """Other tokens of the same shapes, in twice as many batches."""
    return [{**batch, "input_ids": batch["input_ids"].flip(-1).roll(n, -1)} for n in (1, 2) for batch in batches]


def repaired(floor: Any, fitted: list[Batch] | None) -> tuple[ComputeMarket, nn.Module]:
    given, model = floor.calibration, copy.deepcopy(floor.model)
    calibration = Calibration(
        model, given.inventory, given.objective, given.batches, given.cost, floor.model, repair_batches=fitted
    )
    floor.calibration = calibration
    market = floor.market(floor.rising(), budgets=(0.5,), phases=[RepairWeights(LeastSquares())])
    floor.calibration = given
    market.step()
    return market, model


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_data_of_their_own_change_weights_and_not_who_stays(floor: Any) -> None:
    batches = floor.calibration.batches
    usual, plain = repaired(floor, None)
    named, also_plain = repaired(floor, batches)
    apart, model = repaired(floor, other(batches))
    assert same(plain, also_plain)
    assert np.array_equal(usual.ledger.quantity, apart.ledger.quantity)
    assert not same(plain, model)
    wanted = copy.deepcopy(floor.model)
    with ModelPair.from_models(wanted, floor.model, floor.units, other(batches)) as pair:
        LeastSquares()(pair, apart.ledger.quantity > 0)
    assert same(wanted, model)
    del named


def test_a_view_from_a_layer_on_keeps_them(floor: Any) -> None:
    given, fitted = floor.calibration, other(floor.calibration.batches)
    calibration = Calibration(
        floor.model, given.inventory, given.objective, given.batches, given.cost, repair_batches=fitted
    )
    assert calibration.above(1).repair_batches is fitted
    assert given.repair_batches is given.batches
