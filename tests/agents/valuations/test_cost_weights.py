"""Valuations that weigh by cost weigh by the leading resource, whichever it is."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from walras.agents import Calibration, Gradient, Michel, Random, Uniform
from walras.mechanisms import IndivisibleBids, ShadowPrice
from walras.models import RESOURCES, Inventory, Usage, Workload, inventory
from walras.models.objective import GivenLoss

LOSS = GivenLoss(lambda model, batch: model(**batch).logits.square().sum(-1).mean())
LEADING = ("macs", "parameters", "bytes")


def usage_of(network: Any, units: Inventory, resource: str) -> Usage:
    return RESOURCES.make(resource).measure(network.model, units, Workload(length=16))


def calibrated(network: Any, units: Inventory, cost: Any) -> Calibration:
    return Calibration(network.model, units, LOSS, network.batches, cost)


def kept(value: Tensor, usage: Usage, budget: float) -> Tensor:
    """The units that a market keeps that sells a share of what units use of the resource."""
    cost = torch.from_numpy(usage.share)
    return ShadowPrice()(IndivisibleBids(value), budget * float(cost.sum()), cost.unsqueeze(-1)).quantity > 0


def spread(units: Inventory, usage: Usage, stay: Tensor) -> tuple[float, float]:
    """Difference between the largest and the smallest share of a sub-layer's use that stays; largest unit's share."""
    own = [usage.own[site.units] for site in units.sites]
    shares = [float(cost @ stay[site.units].numpy() / cost.sum()) for cost, site in zip(own, units.sites, strict=True)]
    return max(shares) - min(shares), max(float(cost.max() / cost.sum()) for cost in own)


@pytest.mark.parametrize("resource", LEADING)
@pytest.mark.parametrize("budget", [0.75, 0.5, 0.3])
def test_uniform_keeps_the_same_share_of_the_leading_resource(
    bert: Any, generator: torch.Generator, resource: str, budget: float
) -> None:
    units = inventory(bert.model, block=1)
    usage = usage_of(bert, units, resource)
    ones = torch.ones(len(units), dtype=torch.float64)
    stay = kept(Uniform()(calibrated(bert, units, usage.share), ones, generator), usage, budget)
    difference, largest = spread(units, usage, stay)
    assert difference <= 2 * largest + 1e-9


def test_weighed_by_another_resource_the_shares_would_differ(llama: Any, generator: torch.Generator) -> None:
    """Heads of few parameters that compute much: what is fair in MACs takes them all in a market for parameters."""
    units = inventory(llama.model, block=1)
    usage = usage_of(llama, units, "parameters")
    ones = torch.ones(len(units), dtype=torch.float64)
    compute = usage.share * np.where(units.kind == "head", 4.0, 1.0)
    differences = [
        spread(units, usage, kept(Uniform()(calibrated(llama, units, cost), ones, generator), usage, 0.5))[0]
        for cost in (usage.share, compute)
    ]
    assert differences[1] > differences[0] + 0.2


@pytest.mark.parametrize("resource", LEADING)
def test_random_and_michel_per_cost_do_not_depend_on_the_resource(bert: Any, resource: str) -> None:
    cost = usage_of(bert, bert.units, resource).share
    calibration, ones = calibrated(bert, bert.units, cost), torch.ones(len(bert.units), dtype=torch.float64)
    draws = torch.rand(len(ones), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    value = Random()(calibration, ones, torch.Generator().manual_seed(5))
    torch.testing.assert_close(value, draws * torch.from_numpy(cost), rtol=1e-12, atol=0)
    score = Michel(per_cost=True)(calibration, ones, torch.Generator())
    value = Michel()(calibration, ones, torch.Generator())
    torch.testing.assert_close(value, score * torch.from_numpy(cost), rtol=1e-12, atol=0)
    assert not torch.equal(score, Gradient()(calibration, ones, torch.Generator()))
