"""The priced part of training: gates that are trained, what they are expected to cost, and the price."""

from dataclasses import dataclass
from math import log
from statistics import NormalDist
from typing import final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.market.pricing import Cleared, Pricing
from walras.mechanisms import IndivisibleBids, ShadowPrice
from walras.models import Inventory, UnitKind
from walras.models.units.hard_concrete import HardConcrete

OPEN = 0.98  # probability of a gate to be open when training begins
SPREAD = 2.0  # standard deviation of the gates' logits, where they begin in the order of values
MIN_KEPT_GATE = 0.1  # least gate of a unit that stays: a unit whose gate is 0 cannot learn


@final
@dataclass(frozen=True)
class Step:
    """The gates of one step: each one's logit of being open, with gradients, and what that is expected to cost."""

    logits: Tensor  # [n]
    cost: Tensor  # [], share of the dense model's compute
    left: Tensor  # [], what the pricing had left to sell; holds the slope of the loss after the backward pass


@final
@dataclass
class Economy:
    """Units with gates of their own, and the pricing in its present state.

    `share` [n] is each unit's share of the dense model's compute, in float64: in float32 all shares may come to more
    than 1. Units whose compute is not taxed stay.
    """

    gates: HardConcrete
    pricing: Pricing
    share: Tensor

    @staticmethod
    def start(
        units: Inventory, share: Tensor, pricing: Pricing, taxed: str | None = None, value: Tensor | None = None
    ) -> "Economy":
        """Gates that are open with a probability of 98 %.

        Args:
            units: n of them.
            share: of each one [n].
            pricing: in its first state.
            taxed: the kind of units whose compute is priced; the others cannot leave. None: all kinds.
            value: where given [n], logits rise with value per compute. They are spread normally, by rank, so that
                neither the values' unit nor their outliers count.
        """
        logits = torch.full_like(share, log(OPEN / (1 - OPEN)), dtype=torch.float32)
        if value is not None:
            rank = np.argsort(np.argsort((value.cpu() / share.cpu()).numpy(), kind="stable"))
            normal = NormalDist(0.0, SPREAD)
            logits += torch.tensor([normal.inv_cdf((int(r) + 0.5) / len(rank)) for r in rank]).to(logits)
        gates = HardConcrete(logits)
        if taxed is not None:
            gates.fix(torch.from_numpy(units.kind != taxed).to(share.device), 1.0)
        return Economy(gates, pricing, share)

    @property
    def reserved(self) -> float:
        """Share of the dense model's compute that units use which cannot leave."""
        return float(self.share[self.gates.fixed == 1].sum())

    def step(self, at: float) -> Step:
        """Probabilities at the present price, `at` so much of the priced training."""
        free = self.gates.free
        share = self.share.to(self.gates.logits)
        left = share.new_tensor(self.pricing.supply(at) - self.reserved).requires_grad_()
        logits = self.gates.logits.clone()
        logits[free] = self.pricing.logits(self.gates.logits[free], share[free], left, at).to(logits)
        return Step(logits, (self.gates.chance(logits) * share).sum(), left)

    def clear(self, value: Tensor) -> float:
        """Play a round of a market that clears; a unit that can leave and is not funded has left for good.

        Args:
            value: of every unit [n].

        Returns:
            The surplus of those that are funded: what they are worth, less what they pay.
        """
        assert isinstance(self.pricing, Cleared)
        free = self.gates.free
        self.pricing, clearing = self.pricing.clear(value[free], self.share[free], self.reserved)
        left, funded = torch.zeros_like(free), clearing.quantity.to(free.device) > 0
        left[free] = ~funded
        self.gates.fix(left, 0.0)
        paid = clearing.payment.to(value.device, torch.float64)
        return float((value[free].double() - paid)[funded].sum())

    def check_reach(self, budget: float, taxed: str) -> None:
        """Refuse a budget below what is left when everything that is taxed has gone.

        Raises:
            InputError: as said.
        """
        if self.pricing.steered and budget < self.reserved - 1e-9:
            raise InputError(
                f"budget {budget:g} cannot be reached: {taxed} alone are taxed, and what is not taxed uses "
                f"{self.reserved:.4f} of the dense model's compute; valid: from {self.reserved:.4f} on"
            )

    @torch.no_grad()
    def kept_gates(self, keep: Tensor) -> Tensor:
        """The gates [n] with which units stay that settle now; 1 where they do not (bool `keep` [n])."""
        gates = self.gates.at_rest(self.step(1.0).logits)
        return torch.where(keep, gates.clamp(min=MIN_KEPT_GATE), 1.0)

    def settle(self, budget: float) -> tuple[Tensor, Tensor]:
        """Which units stay, bool [n], and the gates [n] with which they do.

        All that are open stay or, where the price leads to a budget, as many as fit it: units bid their probability of
        being open times their compute, and a shadow price clears, so that the likeliest stay, and of the others whoever
        fits into what these leave. Units that cannot be removed, or have left already, do not bid.
        """
        with torch.no_grad():
            logits = self.step(1.0).logits
        gates, free = self.gates.at_rest(logits), self.gates.free
        keep = gates > 0
        if self.pricing.steered:
            share = self.share[free]
            bids = IndivisibleBids(self.gates.chance(logits)[free] * share)
            keep = self.gates.fixed == 1
            keep[free] = ShadowPrice()(bids, max(budget - self.reserved, 0.0), share).quantity > 0
        return keep, self.kept_gates(keep)


def check_foldable(units: Inventory) -> None:
    """Refuse gates that could not be written into weights once units settle.

    Raises:
        InputError: as said.
    """
    for kind in units.unit_kinds:
        if type(kind).fold is UnitKind.fold:
            raise InputError(
                f"units of kind {kind.name} cannot be priced during training: their gates cannot be written into "
                "weights; use --recipe, or other --units"
            )
