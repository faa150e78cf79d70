"""Whole sub-layers are valued as what they are made of."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from walras.agents import VALUATIONS
from walras.agents.valuations.fisher import Fisher
from walras.agents.valuations.magnitude import Magnitude
from walras.agents.valuations.partial_fisher import PartialFisher
from walras.models import inventory
from walras.models.objective import ModelLoss


@pytest.fixture
def blocks(network: Any) -> Any:
    """The network, whose units are whole sub-layers, with labels."""
    return as_blocks(network)


def as_blocks(network: Any) -> Any:
    batches = tuple({**b, "labels": torch.arange(len(next(iter(b.values())))) % 3} for b in network.batches)
    return replace(network, units=inventory(network.model, ["block"]), batches=batches)


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


NAMES = [name for name in VALUATIONS if name != "reap"]  # which values experts alone, and says so


@pytest.mark.spread
@pytest.mark.parametrize("name", NAMES)
def test_every_valuation_values_them(name: str, bert: Any) -> None:
    value_all(name, as_blocks(bert))


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_every_valuation_values_them_in_every_network(name: str, blocks: Any) -> None:
    value_all(name, blocks)


def value_all(name: str, blocks: Any) -> None:
    gates = torch.ones(len(blocks.units), dtype=torch.float64)
    gates[1] = 0
    value = VALUATIONS.make(name)(blocks.calibration(ModelLoss()), gates, draw())
    assert value.shape == (len(blocks.units),)
    assert bool(value.isfinite().all())
    assert bool((value >= 0).all())
    assert bool((value > 0).any())


def test_gradients_are_the_sums_of_those_of_the_finer_units(blocks: Any) -> None:
    fine = replace(blocks, units=inventory(blocks.model, block=6))
    slopes = [
        torch.cat([*n.calibration(ModelLoss()).sample_gradients(torch.ones(len(n.units), dtype=torch.float64), draw())])
        for n in (blocks, fine)
    ]
    summed = torch.stack([slopes[1][:, site.units].sum(-1) for site in fine.units.sites], -1)
    torch.testing.assert_close(slopes[0], summed)
    gates = torch.ones(len(blocks.units), dtype=torch.float64)
    value = Fisher()(blocks.calibration(ModelLoss()), gates, draw())
    torch.testing.assert_close(value, summed.square().mean(0))
    # nothing else of its sub-layer is left that could say it for a whole sub-layer
    torch.testing.assert_close(PartialFisher()(blocks.calibration(ModelLoss()), gates, draw()), value)


def test_magnitudes_are_those_of_all_their_weights(blocks: Any) -> None:
    fine = replace(blocks, units=inventory(blocks.model, block=6))
    sizes = [
        Magnitude()(n.calibration(ModelLoss()), torch.ones(len(n.units), dtype=torch.float64), draw())
        for n in (blocks, fine)
    ]
    summed = torch.stack([sizes[1][site.units].square().sum() for site in fine.units.sites])
    torch.testing.assert_close(sizes[0], summed.sqrt())
