"""What a mechanism returns: how much each agent gets, at which price, and what it pays."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, final

from torch import Tensor

_LEFT_OUT: Any = None


class Status(IntEnum):
    """How a market ended."""

    CLEARED = 0  # at the price, demand meets supply up to the marginal agent
    SLACK = 1  # all demand at the price floor (or posted price) is served and supply is left over
    RATIONED = 2  # some that would buy at the price, or pay just as much as others that were served, get nothing
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

    A rule's `clear` returns `Clearing(quantity, price)` at the least. Whatever else it leaves out is None only until
    calling the rule has filled it in (`completed` says how), so every clearing that a call returns is complete.

    Args:
        quantity: the level [..., n] that each agent gets.
        price: of a unit of each resource [..., K].
        payment: what each agent pays [..., n].
        status: a code of `Status` for each market [...].
        residual: excess demand at the price [..., K]: negative where supply is left unsold, positive where demand was
            rationed, -inf where the supply is infinite.
        method: how the rule found its outcome, where it knows several ways.
    """

    quantity: Tensor
    price: Tensor
    payment: Tensor = _LEFT_OUT
    status: Tensor = _LEFT_OUT
    residual: Tensor = _LEFT_OUT
    method: str = ""

    def lacks(self, part: str) -> bool:
        """Whether the rule has left a part out, and no call has filled it in."""
        return getattr(self, part) is None

    def detached(self) -> "Clearing":
        """A complete clearing, for who takes no gradients through it: none of its parts requires one."""
        sold, booked = (self.quantity.detach(), self.price.detach()), (self.payment.detach(), self.status.detach())
        return Clearing(*sold, *booked, self.residual.detach(), self.method)

    @property
    def revenue(self) -> Tensor:
        """Sum of payments [...]."""
        return self.payment.sum(-1)

    @property
    def word(self) -> str:
        """Status of a single market in a word; of a batch, the gravest one."""
        return Status(int(self.status.max())).word
