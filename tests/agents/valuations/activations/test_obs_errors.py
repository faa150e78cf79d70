"""Rises of a sub-layer's error, as values."""

from typing import Any

import numpy as np
import pytest
import torch

from walras.agents import OBSErrors
from walras.errors import InputError
from walras.models.levels import NetworkLevels
from walras.models.objective import GivenLoss
from walras.models.resources.macs import macs

NO_LOSS = GivenLoss(lambda *_: torch.zeros(()))


def test_values_are_the_rises_of_levels(network: Any, generator: torch.Generator) -> None:
    gates = torch.ones(len(network.units), dtype=torch.float64)
    value = OBSErrors()(network.calibration(NO_LOSS), gates, generator)
    levels = NetworkLevels.from_model(network.model, macs(network.model, network.units, 7), network.batches)
    for sublayer in levels.sublayers:
        own, order = value[sublayer.site.units].numpy(), sublayer.surgeon.order
        assert own[order] == pytest.approx(np.maximum.accumulate(np.diff(sublayer.surgeon.errors)))
        assert own.sum() >= 1 - 1e-9


def test_a_unit_that_has_left_is_worth_nothing_and_the_others_more(bert: Any, generator: torch.Generator) -> None:
    gates = torch.ones(len(bert.units), dtype=torch.float64)
    site, calibration = bert.units.sites[1], bert.calibration(NO_LOSS)
    before = OBSErrors()(calibration, gates, generator)
    gates[site.units.start] = 0
    after = OBSErrors()(calibration, gates, generator)
    assert after[site.units.start] == 0
    assert float(after[site.units].sum()) >= 1 - 1e-9
    assert torch.equal(after[bert.units.sites[0].units], before[bert.units.sites[0].units])
    gates[site.units] = 0
    assert not OBSErrors()(calibration, gates, generator)[site.units].any()


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"damping is -1\.0"):
        OBSErrors(damping=-1.0)
