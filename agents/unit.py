"""Mesa agents of a transformer's units. An agent is a view of its row in the market's ledger."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, final

import mesa
import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


class Books(Protocol):
    """The columns [n] that an agent reads its row from; `walras.market.Ledger` has them."""

    name: NDArray[np.str_]
    kind: NDArray[np.str_]
    layer: NDArray[np.int64]
    index: NDArray[np.int64]
    cost: Column
    value: Column
    report: Column
    quantity: Column
    price: Column
    payment: Column
    surplus: Column

    @property
    def wealth(self) -> Column:
        """Each agent's money [n]."""


@final
@dataclass(frozen=True)
class UnitOutcome:
    """What a round brought one unit; money is in the valuation's unit."""

    round: int  # counted from 1
    quantity: float  # its gate: 1 where it was funded in full, 0 where it was not
    price: float  # what the whole unit cost, whether it was bought or not
    payment: float
    surplus: float  # value of what was bought, less the payment
    value: float  # what the whole unit was worth in this round


class UnitAgent(mesa.Agent):
    """A unit that trades compute, by its `row` in the ledger of the market that it belongs to.

    Override `bid` in a subclass to let agents decide one by one; the market's strategy bids for the others, all at
    once. Override `after` as well to let them learn from what their bids brought.
    """

    def __init__(self, model: mesa.Model, row: int) -> None:
        super().__init__(model)
        self.row = row

    @property
    def books(self) -> Books:
        """The market's ledger."""
        ledger: Books = self.model.ledger
        return ledger

    def bid(self) -> float:
        """What this agent says that its unit is worth to it; called once per round where a subclass overrides it."""
        return self.value

    def after(self, outcome: UnitOutcome) -> None:
        """Learn from a round that has been settled; called once per round where a subclass overrides it.

        Agents that have left the market are told as well: their quantity is 0.
        """
        del outcome

    @property
    def name(self) -> str:
        """The unit's name as in the trace: `L3.H7` is head 7 of layer 3, `L2.F12` block 12 of layer 2's FFN."""
        return str(self.books.name[self.row])

    @property
    def kind(self) -> str:
        """Name of the kind of unit: `head`, `ffn`, `expert`, `block`, or one of a user's own."""
        return str(self.books.kind[self.row])

    @property
    def layer(self) -> int:
        """Layer, from 0."""
        return int(self.books.layer[self.row])

    @property
    def index(self) -> int:
        """Number within its layer and kind, from 0."""
        return int(self.books.index[self.row])

    @property
    def cost(self) -> float:
        """Share of the dense network's amount of the leading resource that the unit uses."""
        return float(self.books.cost[self.row])

    @property
    def value(self) -> float:
        """What the unit is worth this round, in the valuation's unit."""
        return float(self.books.value[self.row])

    @property
    def report(self) -> float:
        """The last bid for the unit."""
        return float(self.books.report[self.row])

    @property
    def quantity(self) -> float:
        """The unit's gate after the last clearing."""
        return float(self.books.quantity[self.row])

    @property
    def price(self) -> float:
        """What the whole unit costs at the last clearing's price."""
        return float(self.books.price[self.row])

    @property
    def payment(self) -> float:
        """What the agent paid in the last round."""
        return float(self.books.payment[self.row])

    @property
    def surplus(self) -> float:
        """Value of what the agent bought in the last round, less its payment."""
        return float(self.books.surplus[self.row])

    @property
    def wealth(self) -> float:
        """The agent's money."""
        return float(self.books.wealth[self.row])


class HeadAgent(UnitAgent):
    """An attention head; under grouped-query attention a key-value head with the query heads that share it."""


class FFNBlockAgent(UnitAgent):
    """A block of neighbouring FFN neurons."""


class ExpertAgent(UnitAgent):
    """An expert of a mixture-of-experts layer."""


class SublayerAgent(UnitAgent):
    """A whole sub-layer, attention or FFN, which is kept or lost as one."""


AGENTS = MappingProxyType({"head": HeadAgent, "ffn": FFNBlockAgent, "expert": ExpertAgent, "block": SublayerAgent})
"""Agent classes of kinds of unit that have one of their own."""


def agent_class(kind: str) -> type[UnitAgent]:
    """The standard class of agents of a kind of unit, by its name: `UnitAgent` for kinds without one of their own."""
    return AGENTS.get(kind, UnitAgent)
