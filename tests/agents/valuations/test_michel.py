"""Scores by sub-layer, and the order in which a market cuts."""

from typing import Any

import pytest
import torch
from torch import Tensor

from walras.agents import Calibration, Gradient, Michel
from walras.models.objective import GivenLoss

LOSS = GivenLoss(lambda model, batch: model(**batch).logits.square().sum(-1).mean())


@pytest.fixture
def calibration(network: Any) -> Calibration:
    found: Calibration = network.calibration(LOSS)
    return found


def test_by_hand(bert: Any, generator: torch.Generator) -> None:
    """Scores of a sub-layer over the root of the sum of their squares."""
    calibration = bert.calibration(LOSS)
    raw = Gradient()(calibration, bert.gates, generator).tolist()
    found = Michel(per_cost=True)(calibration, bert.gates, generator).tolist()
    for first, last in ((0, 2), (2, 6), (6, 8), (8, 12)):  # 2 heads and 4 blocks a layer
        norm = sum(x**2 for x in raw[first:last]) ** 0.5
        assert found[first:last] == pytest.approx([x / norm for x in raw[first:last]], rel=1e-9)


def test_every_sub_layer_has_norm_1(network: Any, calibration: Calibration, generator: torch.Generator) -> None:
    score = Michel(per_cost=True)(calibration, network.gates, generator)
    assert score.dtype == torch.float64
    for site in network.units.sites:
        assert float(score[site.units].norm()) == pytest.approx(1, rel=1e-9)
    value = Michel()(calibration, network.gates, generator)
    torch.testing.assert_close(value / torch.from_numpy(calibration.cost), score)


def test_those_that_have_left_do_not_count_in_the_norm(bert: Any, generator: torch.Generator) -> None:
    gates = torch.ones(len(bert.units), dtype=torch.float64)
    gates[3:5] = 0
    gates[6:8] = 0  # a whole sub-layer
    score = Michel(per_cost=True)(bert.calibration(LOSS), gates, generator)
    assert float(score[[2, 5]].norm()) == pytest.approx(1, rel=1e-9)
    assert bool((score[3:5] > 0).all())
    assert float(score[6:8].norm()) == pytest.approx(1, rel=1e-9)


def test_a_sub_layer_that_does_not_matter_is_worth_nothing(bert: Any, generator: torch.Generator) -> None:
    with torch.no_grad():
        bert.model.bert.encoder.layer[1].output.dense.weight.zero_()
    value: Tensor = Michel()(bert.calibration(LOSS), bert.gates, generator)
    assert value[8:].tolist() == [0, 0, 0, 0]
    assert bool((value[:8] > 0).all())
