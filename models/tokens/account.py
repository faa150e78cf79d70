"""Multiply-accumulates per token: of the dense network, of what cannot be sold, of the bids, and of what is bought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import nn

from walras.errors import InputError
from walras.models.resources.macs import macs
from walras.models.tokens.token_map import TokenMap
from walras.models.units.inventory import inventory


@final
@dataclass(frozen=True)
class TokenMacs:
    """Averages per token at one length of sequence, in multiply-accumulates of the layers.

    Attributes:
        dense: of the dense network, as `walras.models.resources.macs` counts it.
        traded: of the maps that are traded, all of them multiplied.
        bids: one multiplication per bidder.
    """

    dense: float
    traded: float
    bids: float

    @staticmethod
    def from_model(model: nn.Module, maps: Sequence[TokenMap], length: int) -> "TokenMacs":
        """Count a network at sequences of `length` tokens."""
        use = macs(model, inventory(model), length)
        dense = float(use.own.sum() + use.steps.sum() + use.fixed) / length
        return TokenMacs(
            dense, float(sum(m.bidders * m.cost for m in maps)), float(sum(m.bidders for m in maps))
        )  # fmt: skip

    @property
    def floor(self) -> float:
        """Share of the dense network's multiplications that bids and what is not traded take, whatever is bought."""
        return (self.dense - self.traded + self.bids) / self.dense

    def spent(self, maps: Sequence[TokenMap], bought: Mapping[str, float]) -> float:
        """Share of the dense network's multiplications that is spent, bids included.

        Args:
            maps: those that are traded.
            bought: share of the bidders that buy, by path of the map.
        """
        return self.floor + sum(bought[m.path] * m.bidders * m.cost for m in maps) / self.dense

    def for_sale(self, budget: float) -> float:
        """Share of the traded maps' multiplications that a budget leaves to be bought.

        Raises:
            InputError: a budget that bids and attention alone exceed, or one that is no share.
        """
        if not 0 < budget <= 1:
            raise InputError(f"budget is {budget}; it must be a share above 0 and at most 1")
        if budget <= self.floor:
            raise InputError(
                f"budget is {budget:g}; attention scores, what is not traded, and the bids alone take {self.floor:.3f} "
                "of the dense network's multiplications"
            )
        return min((budget - self.floor) * self.dense / self.traded, 1.0)
