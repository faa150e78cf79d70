"""The priced part of training: gates that are trained, what they are expected to cost, and the price."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import final

import numpy as np
import torch
from torch import Tensor

from walras.market.pricing import Pricing
from walras.mechanisms import IndivisibleBids, ShadowPrice
from walras.models import Inventory
from walras.models.hard_concrete import HardConcrete, odds_of

OPEN = 0.98  # chance of every gate to be open when training begins
SPREAD = 0.5  # standard deviation of the odds' logarithms, where gates begin in the order of values


@final
@dataclass
class Economy:
    """Units with gates of their own, and the pricing in its present state.

    `share` [n] is each unit's share of the dense model's compute. Units whose compute is not `taxed` stay.
    """

    gates: HardConcrete
    pricing: Pricing
    share: Tensor

    @staticmethod
    def of(units: Inventory, share: Tensor, pricing: Pricing, taxed: str, value: Tensor | None) -> "Economy":
        """All gates open, but for a chance of 2 %; where values [n] are given, odds rise with value per compute."""
        odds = torch.full_like(share, odds_of(OPEN))
        if value is not None:
            rank = torch.from_numpy(np.argsort(np.argsort((value.cpu() / share.cpu()).numpy(), kind="stable")))
            normal = NormalDist(0.0, SPREAD)
            odds += torch.tensor([normal.inv_cdf((int(r) + 0.5) / len(rank)) for r in rank]).to(odds)
        gates = HardConcrete(odds)
        if taxed != "both":
            kept = {"heads": "ffn", "ffn": "head"}[taxed]
            gates.fix(torch.from_numpy(units.kind == kept).to(share.device), 1.0)
        return Economy(gates, pricing, share)

    @property
    def floor(self) -> float:
        """Share of the dense model's compute that is left when every unit that can go has gone."""
        return float(self.share[self.gates.fixed == 1].sum())

    def cost(self) -> Tensor:
        """Expected share of the dense model's compute [], with gradients to the odds."""
        return (self.gates.chance() * self.share).sum()

    def settle(self, budget: float) -> Tensor:
        """Which units stay, bool [n]: all that are open or, where the price heads for a budget, as many as fit it.

        In that case units bid their chance of being open times their compute, and a shadow price clears, so that the
        likeliest stay; units that cannot be removed have no need to bid.
        """
        opened = self.gates.gates() > 0
        if not self.pricing.steered:
            return opened
        fixed = self.gates.fixed == 1
        supply = budget - self.floor
        bids = IndivisibleBids(torch.where(fixed, 0.0, self.gates.chance().detach() * self.share).double())
        clearing = ShadowPrice()(bids, max(supply, 0.0), self.share.double())
        return (clearing.quantity > 0) | fixed
