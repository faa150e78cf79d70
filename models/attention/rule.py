"""The interface of every rule by which the keys of an attention head share out one unit of attention."""

from abc import ABC, abstractmethod
from typing import TypeAlias

import torch
from torch import Tensor

from walras.errors import InputError
from walras.mechanisms import Bids, Mechanism

# A number, or a tensor [] through which gradients flow.
Setting: TypeAlias = float | Tensor


class AttentionRule(ABC):
    """A row of scores, one a key, becomes a row of weights: the keys are bidders, attention is what they buy.

    Concrete rules are final frozen dataclasses whose fields are the settings. `__call__` is the fast kernel;
    `market` and `settle` state the same thing as a clearing of the general mechanisms, which the tests hold it to:

        mechanism, bids, supply = rule.market(scores)
        rule.settle(scores, mechanism(bids, supply).quantity)    # equals rule(scores)
    """

    @abstractmethod
    def __call__(self, scores: Tensor) -> Tensor:
        """Weights [..., keys], at least 0, of scores [..., keys].

        A key with a score of -inf is closed and gets exactly 0; a row without an open key gets zeros.
        """

    @abstractmethod
    def market(self, scores: Tensor) -> tuple[Mechanism, Bids, float]:
        """The mechanism, the bids and the supply whose clearing decides the weights."""

    def settle(self, scores: Tensor, quantity: Tensor) -> Tensor:
        """Weights [..., keys] from what the market allotted; the quantity itself, but for rules that say otherwise."""
        del scores
        return quantity


def masked_softmax(scores: Tensor) -> Tensor:
    """Softmax [..., keys]; zeros, and no NaN slope, in rows where every score is -inf."""
    empty = (scores == -torch.inf).all(-1, keepdim=True)
    return scores.masked_fill(empty, 0.0).softmax(-1).masked_fill(empty, 0.0)


def softmax_over(scores: Tensor, chosen: Tensor) -> Tensor:
    """Softmax over the chosen keys, bool [..., keys], and zeros elsewhere: the softmax of all, renormalised."""
    return masked_softmax(scores.masked_fill(~chosen, -torch.inf))


def scaled(scores: Tensor, temperature: Setting) -> Tensor:
    """Scores [..., keys] over the temperature."""
    if not isinstance(temperature, Tensor):
        return scores if temperature == 1 else scores / temperature
    closed = scores == -torch.inf  # the slope of -inf / T in T is NaN
    return (scores.masked_fill(closed, 0.0) / temperature).masked_fill(closed, -torch.inf)


def check_temperature(temperature: Setting) -> None:
    """Raise InputError unless the temperature is a positive number."""
    if not 0 < temperature < torch.inf:
        raise InputError(f"temperature is {float(temperature)}; it must be a positive number")


def check_keys(k: int) -> None:
    """Raise InputError unless a number of keys is whole and at least 1."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InputError(f"k is {k!r}; it must be a whole number of keys, at least 1")
