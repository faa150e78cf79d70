"""The result of a round: its row in the table of rounds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, final

from walras.market.supply import Supply
from walras.models.units.kinds.table import UNIT_KINDS

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket
    from walras.market.phases.phase import Turn

Figure = float | int | str

_OF_RESOURCES = ("budget", "used", "price", "residual")
ROUNDING = 1e-6
"""By what share of a budget a sum of shares may exceed it and still count as the budget."""


@final
@dataclass(frozen=True)
class Round:
    """The result of a round. Money is in the valuation's unit, compute in shares of the dense network's."""

    round: int  # counted from 1
    budget: float
    used: float
    price: float  # of the dense network's whole compute, at the prices of all markets
    welfare: float  # sum of values of the funded units
    revenue: float  # sum of payments
    surplus: float  # welfare less revenue
    funded: Mapping[str, int]  # units by kind
    left: int  # funded before, not now
    entered: int  # funded now, not before
    status: str
    residual: float  # excess demand at the price
    shock: str = ""  # what struck before it
    figures: Mapping[str, float] = field(default_factory=dict)  # of extra resources, local markets and own phases

    @staticmethod
    def from_turn(market: "ComputeMarket", turn: "Turn") -> "Round":
        """The round that a market's ledger has just booked."""
        ledger, supply, (_, clearing) = market.ledger, market.supply, turn.outcome
        funded, was = turn.quantity > 0, turn.before > 0
        used = [  # a sum may exceed the budget by rounding; before the last units have traded it does so by more
            budget if turn.last_session and budget < use <= budget * (1 + ROUNDING) else use
            for use, budget in zip(supply.used(turn.quantity), turn.session.budgets, strict=True)
        ]
        prices, residuals = supply.prices(clearing.price), supply.residuals(clearing.residual)
        columns = dict(zip(_OF_RESOURCES, (turn.session.budgets, used, prices, residuals), strict=True))
        extra = [float(column[k]) for k in range(1, len(supply.resources)) for column in columns.values()]
        local = clearing.price[: len(supply.markets)].tolist()
        more = dict(zip(more_columns(supply), [*extra, *(local if len(local) > 1 else ())], strict=True))
        return Round(
            round=turn.number, budget=turn.session.budget, used=used[0], price=prices[0], welfare=ledger.welfare,
            revenue=float(turn.payment.sum()), surplus=float(ledger.surplus.sum()),
            funded=market.calibration.inventory.counts(funded),
            left=int((was & ~funded).sum()), entered=int((funded & ~was).sum()),
            status=clearing.word, residual=residuals[0], shock="; ".join(shock.told for shock in turn.shocks),
            figures={**more, **turn.figures},
        )  # fmt: skip

    @property
    def row(self) -> dict[str, Figure]:
        """Its columns in the table of rounds, `figures` aside: one per kind of unit in the place of `funded`."""
        columns: dict[str, Figure] = {}
        for column in fields(self)[:-1]:
            if column.name == "funded":
                columns.update({column_of(kind): count for kind, count in self.funded.items()})
            else:
                columns[column.name] = getattr(self, column.name)
        return columns

    @staticmethod
    def columns(kinds: Iterable[str]) -> list[str]:
        """Names of the columns of `row`, where there are units of these kinds."""
        counts = [column_of(kind) for kind in kinds]
        names = [f.name for f in fields(Round)[:-1]]
        place = names.index("funded")
        return [*names[:place], *counts, *names[place + 1 :]]


def column_of(kind: str) -> str:
    """The column that counts the funded units of a kind: `heads`, `ffn`."""
    plural = UNIT_KINDS[kind].plural if kind in UNIT_KINDS else ""
    return plural or f"{kind}s"


def more_columns(supply: Supply) -> list[str]:
    """Columns of every resource but the leading one, and of the prices of local markets where there are several."""
    local = supply.markets if len(supply.markets) > 1 else ()
    extra = [f"{resource.name}_{name}" for resource in supply.resources[1:] for name in _OF_RESOURCES]
    return [*extra, *(f"price_{name}" for name in local)]
