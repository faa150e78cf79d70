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

    Raises:
        InputError: a mechanism that has settings, or has learnt something, that no checkpoint can keep.
    """

    mechanism: Mechanism
    supplies: tuple[float, ...]
    played: int = 0
    price: float = 0.0
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
        supply = max(self.supplies[self.played] - reserved, 0.0)
        bids, cost = IndivisibleBids(value.double()), share.double()
        clearing = self.mechanism(bids, supply, cost)
        rule = self.mechanism.after(bids, torch.tensor([supply]).double(), cost.unsqueeze(-1), clearing)
        return replace(self, mechanism=rule, played=self.played + 1, price=float(clearing.price[..., 0])), clearing

    def state(self) -> dict[str, Any]:
        """Rounds played, the price, and the state of the rule."""
        return {"played": self.played, "price": self.price, "mechanism": _learnt(self.mechanism)}

    def restored(self, state: Mapping[str, Any]) -> "Cleared":
        """The same market in a state that was saved."""
        rule: Any = self.mechanism
        saved = {name: state["mechanism"][name] for name in _learnt(rule)}
        learnt = {n: v if isinstance(getattr(rule, n), list) else _with_tuples(v) for n, v in saved.items()}
        return replace(
            self, mechanism=replace(rule, **learnt), played=int(state["played"]), price=float(state["price"])
        )


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
