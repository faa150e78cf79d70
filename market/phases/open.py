"""The first phase of a round: shocks strike, and the units that trade are chosen."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from walras.market.naming import naming
from walras.market.phases.phase import Phase, Turn

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class Open(Phase):
    """Opens a round: shocks strike, and then all units that have not left trade at once."""

    name: ClassVar[str] = "open"
    done: ClassVar[str] = "opened"

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """The turn of the market as the shocks left it."""
        return strike_shocks(market, turn)


def strike_shocks(market: "ComputeMarket", turn: Turn) -> Turn:
    """Let those shocks strike that are due before this round; every unit trades in the turn that is returned."""
    due = tuple(shock for shock in market.shocks if shock.at == turn.number)
    for shock in due:
        with naming(f"shock {type(shock).__name__}", shock):
            shock.strike(market)
    return Turn.from_market(market, due)
