"""The books of a market: one row per agent, columns of arrays, and money that is conserved exactly."""

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.models import Inventory

Column = NDArray[np.float64]
Quanta = NDArray[Any]  # of int64, or of Python integers where those are too large for it


@final
class Ledger:
    """Columns [n] of what is known of every agent after the last round, and everybody's money.

    Columns are read by agents, strategies and the trace. Money is counted in whole quanta, so that wealth and
    treasury together are the same number every round, to the last bit. A quantum is 2^-32 of the power of two at or
    above the largest value of the first round: values may be squared gradients of 1e-8 or losses of 10.

    The treasury stands for the network. It buys the service of every funded unit at the unit's value and sells it
    compute at the clearing price, so that an agent's wealth is its endowment and the surplus it has earned.
    """

    def __init__(self, inventory: Inventory, cost: Column, strategies: Sequence[str], endowment: float = 0.0) -> None:
        n = len(inventory)
        if len(cost) != n:
            raise InputError(f"{len(cost)} costs for {n} units")
        if not 0 <= endowment < math.inf:
            raise InputError(f"endowment is {endowment}; it must be a number of at least 0")
        self.name = np.array([inventory.name(i) for i in range(n)])
        self.kind, self.layer, self.index = inventory.kind, inventory.layer, inventory.index
        self.cost = cost
        self.strategy = np.array(strategies, dtype=object)
        self.value, self.report, self.quantity = np.zeros(n), np.zeros(n), np.ones(n)
        self.price, self.payment, self.surplus = np.zeros(n), np.zeros(n), np.zeros(n)
        self.quantum = 0.0  # known once the first values are
        self.treasury = 0  # in quanta; a Python integer, which cannot overflow
        self._endowment = endowment
        self._wealth: Quanta = np.zeros(n, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.cost)

    @property
    def wealth(self) -> Column:
        """What each agent owns [n], in the valuation's unit."""
        return self._wealth.astype(np.float64) * self.quantum if self.quantum else np.full(len(self), self._endowment)

    @property
    def money(self) -> int:
        """All money there is, in quanta: the same after every round."""
        return _total(self._wealth) + self.treasury

    @property
    def welfare(self) -> float:
        """Sum of the true values of what is funded."""
        return float((self.value * self.quantity).sum())

    def open(self, value: Column) -> None:
        """Write this round's values [n]; the first ones set the quantum."""
        if not self.quantum:
            largest = max(float(value.max(initial=0.0)), self._endowment)
            exponent = math.ceil(math.log2(largest)) if largest > 0 else 0
            self.quantum = 2.0 ** max(exponent - 32, -1022)  # the smallest normal number
            self._wealth = self._quanta(np.full(len(self), self._endowment))
        self.value = value

    def settle(
        self,
        report: Column,
        quantity: Column,
        price: Column,
        payment: Column,
        trading: NDArray[np.bool_] | bool = True,
    ) -> None:
        """Book a cleared round: the treasury pays each unit that traded its service's value and takes its payment."""
        income = np.where(trading, self.value * quantity, 0.0)
        net = self._quanta(income) - self._quanta(payment)
        self._wealth = _compact(self._wealth + net)
        self.treasury -= _total(net)
        self.report, self.quantity, self.price, self.payment = report, quantity, price, payment
        self.surplus = income - payment

    def _quanta(self, amount: Column) -> Quanta:
        """Money [n] in whole quanta, to the nearest."""
        with np.errstate(over="ignore"):  # told below
            quanta = np.rint(amount / self.quantum)
        if not np.isfinite(quanta).all():
            worst = float(np.abs(amount).max())
            raise InputError(
                f"an amount of {worst:g} cannot be counted in {self.quantum:g}, which is 2^-32 of the largest value "
                "of this market's first round"
            )
        return _compact(quanta)


def _total(quanta: Quanta) -> int:
    """The exact sum: of int64 in two halves of 32 bits, neither of which 2^31 agents can overflow."""
    if quanta.dtype == object:
        return int(quanta.sum())
    return (int((quanta >> 32).sum()) << 32) + int((quanta & 0xFFFFFFFF).sum())


def _compact(quanta: NDArray[Any]) -> Quanta:
    """Whole numbers [n] in int64 where sums of a few cannot overflow it, else as Python integers, which never do.

    Values that grow by 2^28 over the rounds are rare, but a sure model's first gradients can be that small.
    """
    if (np.abs(quanta) < 2**60).all():
        return quanta.astype(np.int64)
    return np.array([int(q) for q in quanta], dtype=object)
