"""FLAP's metric against its formula, and the order in which units leave."""

from typing import Any

import numpy as np
import pytest
import torch

from walras.agents import Fluctuation
from walras.agents.valuations.activations.fluctuation import fluctuations
from walras.agents.valuations.activations.moments import Moments
from walras.models import output_weights
from walras.models.objective import GivenLoss
from walras.models.repair.layerwise_runner import LayerwiseRunner

NO_LOSS = GivenLoss(lambda *_: torch.zeros(()))


def ones(network: Any) -> torch.Tensor:
    return torch.ones(len(network.units), dtype=torch.float64)


def by_hand(network: Any) -> list[float]:
    """Variance times squared norm of the column, mean over a unit's features, standardised in the sub-layer."""
    found: list[float] = []
    for site, weight in output_weights(network.model, network.units):
        with LayerwiseRunner(network.model, network.batches) as runner:
            x = np.concatenate([seen.features.double().numpy() for seen in runner.read(site)])
        column = x.var(0, ddof=1) * (weight.detach().double().numpy() ** 2).sum(0)
        owner = site.owner.numpy()
        own = np.array([column[owner == unit].mean() for unit in range(len(site))])
        found += ((own - own.mean()) / own.std(ddof=1)).tolist()
    return found


def test_scores(network: Any) -> None:
    found = fluctuations(network.calibration(NO_LOSS), ones(network))
    assert found.tolist() == pytest.approx(by_hand(network), rel=1e-4, abs=1e-6)
    for site in network.units.sites:
        assert float(found[site.units].mean()) == pytest.approx(0, abs=1e-9)


def test_units_of_all_sub_layers_leave_in_one_order(network: Any, generator: torch.Generator) -> None:
    calibration = network.calibration(NO_LOSS)
    cost = torch.from_numpy(calibration.cost)
    per_cost = Fluctuation()(calibration, ones(network), generator) / cost
    score = fluctuations(calibration, ones(network))
    assert float(score[per_cost.argsort()].diff().min()) > -1e-9  # of two units, scores are equal but for rounding
    assert per_cost.sort().values.tolist() == pytest.approx([(i + 1) / len(cost) for i in range(len(cost))])
    gates = ones(network)
    gates[int(per_cost.argmax())] = 0
    again = Fluctuation()(calibration, gates, generator) / cost
    assert int(again.argmin()) == int(per_cost.argmax())


def test_moments_are_those_of_numpy_over_batches_and_padding() -> None:
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
    seen = Moments(*torch.zeros(2, 4, dtype=torch.float64))
    for rows in (slice(0, 1), slice(1, 3)):
        seen.add({"attention_mask": mask[rows]}, x[rows])
    real = x[mask.bool()].double().numpy()
    assert seen.tokens == 9
    assert seen.variance.tolist() == pytest.approx(real.var(0, ddof=1).tolist())
    alone = Moments(*torch.zeros(2, 4, dtype=torch.float64))
    alone.add({}, x[:1, :1])
    assert alone.variance.tolist() == [0] * 4
