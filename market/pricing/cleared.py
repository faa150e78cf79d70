"""Prices from a market that clears while the network is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.market.pricing.pricing import Pricing
from walras.market.schedule import Schedule, budget_path
from walras.mechanisms import Clearing, IndivisibleBids, Mechanism


@final
@dataclass(frozen=True)
class Cleared(Pricing):
    """Clears a market every so many steps: units bid their values for a shrinking supply of compute.

    Units that are not funded leave for good; the others pay the clearing's price until the next one, as a penalty in
    the loss: price * (cost - supply), the Lagrangian. Prices are in the loss's units where values are.

    With `even_price`, supply follows the price instead of the clock. Let r_i be what a bidder pays for a unit of
    compute at most, p(s) the price at which a supply s is sold, b the last supply, and k the rounds that are left:

        p* = p + (p(b) - p) / k,   supply = that whose price p(s) is nearest to p*, between b and the last supply

    with p the price of the last round, at first the least r_i. The price then rises by as much in every round, as far
    as the bids foretell it, and supply shrinks slowly where the price would jump.

    Raises:
        InputError: a mechanism that has settings, or has learnt something, that no checkpoint can keep.
    """

    mechanism: Mechanism
    supplies: tuple[float, ...]
    played: int = 0
    price: float = 0.0
    even_price: bool = False
    steered: bool = True

    def __post_init__(self) -> None:
        for name, value in _learnt(self.mechanism).items():
            if odd := _odd(value):
                raise InputError(
                    f"{name} of mechanism {type(self.mechanism).__name__} holds a {odd}; checkpoints keep what a rule "
                    "learns in training: use numbers, texts, tuples or lists"
                )

    @staticmethod
    def from_schedule(
        mechanism: Mechanism, budget: float, rounds: int, schedule: Schedule | str = "geometric"
    ) -> "Cleared":
        """A market of so many rounds, whose supply falls from the whole network down to the budget."""
        return Cleared(mechanism, tuple(budget_path(budget, rounds, schedule)))

    def supply(self, at: float) -> float:
        """The supply of the last round; 1 before the first."""
        del at
        return 1.0 if self.played == 0 else self.supplies[self.played - 1]

    def penalty(self, cost: Tensor, at: float) -> Tensor:
        """price * (cost - supply)."""
        return self.price * (cost - self.supply(at))

    def due(self, at: float) -> bool:
        """Whether the next round is to be played: round t of T at t / T of the training."""
        return self.played < len(self.supplies) and at >= self.played / len(self.supplies)

    def clear(self, value: Tensor, share: Tensor, reserved: float = 0.0) -> tuple["Cleared", Clearing]:
        """Play a round.

        Args:
            value: of each bidder `[n]`.
            share: of the dense network's compute that each bidder uses `[n]`.
            reserved: share that units which do not bid use.

        Raises:
            InputError: all rounds have been played.
        """
        if self.played == len(self.supplies):
            raise InputError(f"all {self.played} rounds of this market have been played")
        bids, cost = IndivisibleBids(value.double()), share.double()
        market = replace(self, supplies=self._laid_anew(value.double(), cost, reserved)) if self.even_price else self
        supply = max(market.supplies[self.played] - reserved, 0.0)
        clearing = self.mechanism(bids, supply, cost)
        rule = self.mechanism.after(bids, torch.tensor([supply]).double(), cost.unsqueeze(-1), clearing)
        return replace(market, mechanism=rule, played=self.played + 1, price=float(clearing.price[..., 0])), clearing

    def _laid_anew(self, value: Tensor, share: Tensor, reserved: float) -> tuple[float, ...]:
        """The supplies of all rounds, that of the next one by the bids for it."""
        last, end = self.supply(0.0), self.supplies[-1]
        order = (value / share).sort(descending=True)
        used = reserved + share[order.indices].cumsum(0)
        out = order.values[used > end]  # of those whom the last supply leaves out
        if not len(out):
            return self.supplies
        before = self.price if self.played else float(order.values[-1])
        price = before + (max(float(out[0]), before) - before) / (len(self.supplies) - self.played)
        marginal = int((order.values - price).abs().argmin())  # who is the first to be left out
        supply = min(max(float(used[marginal] - share[order.indices[marginal]]), end), last)
        return (*self.supplies[: self.played], supply, *self.supplies[self.played + 1 :])

    def state(self) -> dict[str, Any]:
        """Rounds played, the price, supplies, and the state of the rule."""
        own = {"supplies": list(self.supplies)} if self.even_price else {}
        return {"played": self.played, "price": self.price, "mechanism": _learnt(self.mechanism), **own}

    def restored(self, state: Mapping[str, Any]) -> "Cleared":
        """The same market in a state that was saved."""
        rule: Any = self.mechanism
        saved = {name: state["mechanism"][name] for name in _learnt(rule)}
        learnt = {n: v if isinstance(getattr(rule, n), list) else _with_tuples(v) for n, v in saved.items()}
        return replace(
            self, mechanism=replace(rule, **learnt), played=int(state["played"]), price=float(state["price"]),
            supplies=tuple(map(float, state.get("supplies", self.supplies))),
        )  # fmt: skip


def _learnt(rule: Any) -> dict[str, Any]:
    """Settings of a rule and what it has learnt, by field."""
    if not is_dataclass(rule):
        raise InputError(f"mechanism {type(rule).__name__} is no dataclass; a market in training needs it to be one")
    return {f.name: getattr(rule, f.name) for f in fields(rule) if f.init}


def _odd(value: Any) -> str:
    """The first type in it that is neither one of JSON's nor a tuple; empty where there is none."""
    if isinstance(value, (tuple, list)):
        return next(filter(None, map(_odd, value)), "")
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return _odd(list(value.values()))
    plain = value is None or isinstance(value, (bool, int, float, str))
    return "" if plain else type(value).__name__


def _with_tuples(value: Any) -> Any:
    """A value read from JSON, with tuples instead of lists, as frozen dataclasses have them."""
    if isinstance(value, dict):
        return {key: _with_tuples(own) for key, own in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, (tuple, list)) else value
