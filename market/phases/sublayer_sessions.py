"""One clearing per sub-layer instead of one for all units."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from walras.errors import InputError
from walras.market.phases.open import strike_shocks
from walras.market.phases.phase import Phase, Turn

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class SublayerSessions(Phase):
    """Opens one session per sub-layer, from the bottom to the top, and each settles that sub-layer alone.

    In a sub-layer's session the units below have settled already; those above bid as well, so that they count in the
    price, and trade when it is their turn, at values taken anew (as in K-prune: Park et al., ICLR 2024, arXiv
    2308.03449). Units of the layers below keep the value at which they traded. Takes the place of `open`.
    """

    name: ClassVar[str] = "open"
    done: ClassVar[str] = "opened"
    source: ClassVar[str] = "Park et al. 2024, arXiv 2308.03449"

    def prepare(self, market: "ComputeMarket") -> None:
        """Clear every budget in one session per sub-layer.

        Raises:
            InputError: the leading resource is sold in several markets, which sub-layers that trade one after the
                other do not have.
        """
        if len(market.supply.markets) > 1:
            raise InputError(
                f"scope is {market.supply.scope.name}, and sub-layers trade one after the other; choose one of the two"
            )
        sites = market.calibration.inventory.sites
        market.sessions = [replace(session, site=site) for session in market.sessions for site in sites]

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """The turn in which the session's sub-layer trades, and those above it bid."""
        turn, site = strike_shocks(market, turn), turn.session.site
        if site is None:
            raise InputError(f"the session of round {turn.number} has no sub-layer")
        units, place = site.units, np.arange(len(market.ledger))
        from_here = place >= units.start
        return replace(
            turn,
            calibration=turn.calibration.above(site.layer),
            bidding=turn.bidding & from_here,
            trading=from_here & (place < units.stop),
            revalued=market.ledger.layer >= site.layer,
            settled=np.where(from_here, 0.0, turn.before),
            last_session=bool(units.stop == len(place)),
        )
