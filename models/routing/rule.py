"""The interface of every rule by which tokens and experts of a mixture find each other."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import Bids, Mechanism


@final
@dataclass(frozen=True, eq=False)
class Allotment:
    """Which experts each token gets, bool [tokens, experts], and what a place at each costs, [experts].

    There is no such price where every token has a market of its own.
    """

    chosen: Tensor
    price: Tensor | None = None


@final
@dataclass(frozen=True, eq=False)
class RoutingMarket:
    """What a rule does, as a market of `walras.mechanisms`: who sells what to whom, by which mechanism."""

    mechanism: Mechanism
    bids: Bids
    supply: Tensor | float | list[float]
    cost: Tensor | None = None


class RoutingRule(ABC):
    """The router's logits, one for each token and expert, become an allotment of experts to tokens.

    Concrete rules are final frozen dataclasses whose fields are the settings. `__call__` is the fast kernel; `market`
    and `settle` state the same thing as a clearing of the general mechanisms, which the tests hold it to:

        market = rule.market(logits, k)
        cleared = market.mechanism(market.bids, market.supply, market.cost)
        rule.settle(cleared.quantity, logits.shape)    # equals rule(logits, k).chosen

    What a rule learns from one batch to the next is its field `learned` [experts], in the rule that `after` hands on.
    """

    name: ClassVar[str] = ""
    causal: ClassVar[bool] = True
    """Whether a token's experts depend on no later token. A rule that is not causal must not be judged by what it does
    in training: a decoder could not do it token by token, and it tells tokens of what follows."""

    learned: Tensor | None = None

    @abstractmethod
    def __call__(self, logits: Tensor, k: int) -> Allotment:
        """Experts for each token.

        Args:
            logits: [tokens, experts], finite, without a graph.
            k: experts that a token has on average.

        Raises:
            InputError: k is no number from 1 to the number of experts.
        """

    @abstractmethod
    def market(self, logits: Tensor, k: int) -> RoutingMarket:
        """The market whose clearing decides the allotment."""

    def settle(self, quantity: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Bool [tokens, experts] from what the market sold."""
        return quantity.reshape(shape) > 0

    def after(self, allotment: Allotment) -> "RoutingRule":
        """The rule for the next batch, which knows the outcome of this one. Most rules learn nothing."""
        del allotment
        return self

    def knowing(self, learned: Tensor) -> "RoutingRule":
        """The same rule with what it has learned before, such as out of a checkpoint.

        Raises:
            InputError: a rule that learns nothing.
        """
        this: Any = self
        if "learned" not in {field.name for field in fields(this)}:
            raise InputError(f"{type(self).__name__} learns nothing; what it has learned cannot be given back to it")
        found: RoutingRule = replace(this, learned=learned)
        return found

    def at_evaluation(self) -> "RoutingRule":
        """The rule by which the network is evaluated and generates: a causal one that learns nothing."""
        return self


def check_k(k: int, experts: int) -> None:
    """Refuse more experts for a token than there are.

    Raises:
        InputError: as said.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= experts:
        raise InputError(f"each token is to have k = {k!r} of {experts} experts; valid: 1 to {experts}")


def check_capacity(capacity: float, least: float) -> None:
    """Refuse a capacity that is no number of at least `least`.

    Raises:
        InputError: as said.
    """
    if not least <= capacity < math.inf:
        raise InputError(f"capacity is {capacity}; it must be a number of at least {least:g}, in equal shares")


def places(logits: Tensor, k: int, capacity: float) -> int:
    """Tokens that an expert takes: `capacity` times an equal share of all, rounded up, and at most all."""
    tokens, experts = logits.shape
    return min(math.ceil(round(capacity * k * tokens / experts, 9)), tokens)


def highest(logits: Tensor, k: int) -> Tensor:
    """Bool [tokens, experts]: the k greatest of each token; ties by position."""
    order = logits.sort(dim=-1, descending=True, stable=True).indices[..., :k]
    return torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, order, True)
