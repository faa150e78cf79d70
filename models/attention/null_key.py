"""The null key: an outside option among the bidders, which makes attention something that can be saved."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import Bids, EntropicBids, Mechanism, ShadowPrice
from walras.models.attention.rule import AttentionRule, Setting, masked_softmax


@final
@dataclass(frozen=True)
class NullKey(AttentionRule):
    """exp(score) / (exp(price) + sum of exp(scores)): softmax with one more key, which stands for no key.

    The working form of softmax(score - price), which is softmax(score) at any price (`Literal`). The null key's
    score is the price: the higher it is, the less attention goes to real keys (Miller 2023, "Attention is off by
    one", with price 0). `budget.price_for_mass` finds the price of a given mass. At -inf nothing goes to it.
    """

    price: Setting

    def __post_init__(self) -> None:
        if not self.price < torch.inf:
            raise InputError(f"price is {float(self.price)}; it must be a number, or -inf for no null key")

    def __call__(self, scores: Tensor) -> Tensor:
        """As `AttentionRule`; a row adds up to less than 1."""
        return masked_softmax(self._with_null(scores))[..., :-1]

    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """Entropic bidders for one unit, the null key after all others."""
        return ShadowPrice(price_floor=-torch.inf), EntropicBids(self._with_null(scores)), 1.0

    def settle(self, scores: Tensor, quantity: Tensor) -> Tensor:
        """What the null key bought is nobody's."""
        return quantity[..., : scores.shape[-1]]

    def _with_null(self, scores: Tensor) -> Tensor:
        null = torch.as_tensor(self.price, dtype=scores.dtype, device=scores.device)
        return torch.cat([scores, null.expand(*scores.shape[:-1], 1)], -1)
