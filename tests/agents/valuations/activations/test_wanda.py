"""Sizes of weights times sizes of features, against sums written out by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from walras.agents import Calibration, WandaSP
from walras.agents.valuations.activations.wanda import wanda_scores
from walras.models import output_weights
from walras.models.objective import GivenLoss
from walras.models.repair.layerwise_runner import LayerwiseRunner

NO_LOSS = GivenLoss(lambda *_: torch.zeros(()))


def ones(network: Any) -> torch.Tensor:
    return torch.ones(len(network.units), dtype=torch.float64)


def by_hand(network: Any) -> list[float]:
    """Sum over columns and outputs of |W_ij| |x_j|, number by number."""
    found = []
    for site, weight in output_weights(network.model, network.units):
        with LayerwiseRunner(network.model, network.batches) as runner:
            x = np.concatenate([seen.features.double().numpy() for seen in runner.read(site)])
        size = np.sqrt((x**2).sum(0))
        for unit in range(len(site)):
            columns = np.flatnonzero(site.owner.numpy() == unit)
            found.append(sum(abs(float(w)) * size[j] for j in columns for w in weight[:, j].detach().double()))
    return found


def test_scores(network: Any, generator: torch.Generator) -> None:
    calibration = network.calibration(NO_LOSS)
    assert wanda_scores(calibration, ones(network)).tolist() == pytest.approx(by_hand(network), rel=1e-5)
    del generator


def test_every_sub_layer_keeps_the_same_share_of_the_largest(network: Any, generator: torch.Generator) -> None:
    calibration: Calibration = network.calibration(NO_LOSS)
    score = wanda_scores(calibration, ones(network))
    value = WandaSP()(calibration, ones(network), generator) / torch.from_numpy(calibration.cost)
    for site in calibration.inventory.sites:
        assert torch.equal(value[site.units].argsort(), score[site.units].argsort())
        assert 0 < float(value[site.units].min()) < float(value[site.units].max()) <= 1


def test_who_has_left_is_valued_last(network: Any, generator: torch.Generator) -> None:
    gates = ones(network)
    first = network.units.sites[0].units
    gates[first.start] = 0
    value = WandaSP()(network.calibration(NO_LOSS), gates, generator)
    assert int((value / torch.from_numpy(network.calibration(NO_LOSS).cost))[first].argmin()) == 0
