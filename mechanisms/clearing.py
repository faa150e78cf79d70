"""What a mechanism answers: who gets how much, at which price, and who pays what."""

from dataclasses import dataclass
from enum import IntEnum
from typing import final

from torch import Tensor


class Status(IntEnum):
    """How a market ended."""

    CLEARED = 0  # at the price, demand meets supply up to the marginal agent
    SLACK = 1  # all demand at the floor (or posted) price is served and supply is left over
    RATIONED = 2  # some who would buy at the price, or pay as much as others who got it, get nothing
    INFEASIBLE = 3  # the supply is too small for any agent that wants to buy
    NOT_CONVERGED = 4  # the price had not settled when the rule stopped
    NO_EQUILIBRIUM = 5  # units are indivisible, and no price clears the market

    @property
    def word(self) -> str:
        """The name as it is printed and written to files."""
        return self.name.lower()


@final
@dataclass(frozen=True)
class Clearing:
    """The outcome of one market, or of a batch of separate ones.

    quantity [..., n] is the level each agent gets, price [..., K] the price of a unit of each resource, payment
    [..., n] what each agent pays, status [...] a code of `Status`, and residual [..., K] the excess demand at the
    price: negative where supply is left unsold, positive where demand was rationed. `method` is how the rule found
    its outcome, where it knows several ways.
    """

    quantity: Tensor
    price: Tensor
    payment: Tensor
    status: Tensor
    residual: Tensor
    method: str = ""

    @property
    def revenue(self) -> Tensor:
        """Sum of payments [...]."""
        return self.payment.sum(-1)

    @property
    def word(self) -> str:
        """Status of a single market in a word; of a batch, the gravest one."""
        return Status(int(self.status.max())).word
