"""The interface of a phase of a round, and the round in progress, which phases hand on to each other."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.agents import TradedUnits
from walras.errors import InputError
from walras.market.ledger import Column
from walras.market.session import Session
from walras.market.shocks import Shock
from walras.market.supply import Offer
from walras.mechanisms import Clearing, Mechanism

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

Mask = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class Turn:
    """The round in progress. Each phase reads it and returns it changed; nothing of it is kept after the round.

    Columns are `[n]`, one entry per unit in the ledger's order. Until a phase has set them, `value`, `report`,
    `quantity`, `price` and `payment` are those of the round before.

    Attributes:
        number: of the round, counted from 1.
        session: the budgets, and the sub-layer whose outcome is settled.
        calibration: the units, with the network, loss and data with which they are valued.
        mechanism: the rule that clears.
        before: quantities as the round began.
        bidding: units that bid.
        trading: units whose outcome this round settles; the others keep their quantity and pay nothing.
        revalued: units that are valued in this round; the others keep the value that they had.
        settled: quantities of units that do not bid, and stay; 0 elsewhere. What they use is not for sale.
        last_session: whether the budget's last units trade in this session.
        shocks: what struck before the round.
        value: what each unit is worth, in the valuation's unit.
        report: what is bid for it.
        quantity: its gate.
        price: what the whole unit costs.
        payment: what it pays.
        offer: costs and supplies that the rule was given; None before the market has been cleared.
        clearing: what the rule answered, one entry per bidder; None before the market has been cleared.
        deviation_gain: the largest gain from misreporting that was found; NaN where none was sought.
        figures: extra columns of the table of rounds, which phases before `settle` may add to.
    """

    number: int
    session: Session
    calibration: TradedUnits
    mechanism: Mechanism
    before: Column
    bidding: Mask
    trading: Mask
    revalued: Mask
    settled: Column
    value: Column
    report: Column
    quantity: Column
    price: Column
    payment: Column
    last_session: bool = True
    shocks: tuple[Shock, ...] = ()
    offer: Offer | None = None
    clearing: Clearing | None = None
    deviation_gain: float = float("nan")
    figures: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def from_market(market: "ComputeMarket", shocks: tuple[Shock, ...] = ()) -> "Turn":
        """The next round, in which all units trade and those that have not left bid."""
        ledger, everyone = market.ledger, np.ones(len(market.ledger), dtype=bool)
        return Turn(
            number=market.round + 1, session=market.sessions[market.round], calibration=market.calibration,
            mechanism=market.mechanism, before=ledger.quantity, bidding=market.may_bid.copy(), trading=everyone,
            revalued=everyone, settled=np.zeros(len(ledger)), value=ledger.value, report=ledger.report,
            quantity=ledger.quantity, price=ledger.price, payment=ledger.payment, shocks=shocks,
        )  # fmt: skip

    @property
    def outcome(self) -> tuple[Offer, Clearing]:
        """What was offered, and what the rule answered.

        Raises:
            InputError: the market has not been cleared yet.
        """
        if self.offer is None or self.clearing is None:
            raise InputError(f"round {self.number} has not been cleared: no phase has set `offer` and `clearing`")
        return self.offer, self.clearing


class Phase(ABC):
    """One step of a round. Concrete phases are final frozen dataclasses.

    A phase has no state of its own: what it needs in a later round it keeps in `market.memory`, under its name.
    """

    name: ClassVar[str]
    """What the phase does, as an imperative: `clear`. Hooks on this event are called before it."""

    done: ClassVar[str] = ""
    """The same as a participle: `cleared`. Hooks on this event are called after it; without it there is no event."""

    follows: ClassVar[str | None] = None
    """The phase after which an extra phase runs; None: after all others. A phase with the name of a default phase
    takes its place instead."""

    def prepare(self, market: "ComputeMarket") -> None:
        """Check that a market suits this phase, and set it up; called once, before the first round.

        A phase that needs several clearings per budget rewrites `market.sessions` here.
        """
        del market

    @abstractmethod
    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """Do this phase's part of a round, and return the round with what it has changed."""
