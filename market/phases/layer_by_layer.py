"""One round for every layer that leaves."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from walras.errors import InputError
from walras.market.phases.open import strike_shocks
from walras.market.phases.phase import Phase, Turn

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

HAIR = 1e-9
"""By what share of the dense network a step's budget exceeds what is left, so that rounding costs no unit."""


@final
@dataclass(frozen=True)
class LayerByLayer(Phase):
    """Lets the budget fall by one layer a session, so that everybody is valued anew whenever a layer has left.

    A step is the cost of the layer that uses least, down to the budget, which may end in the middle of a layer. With
    valuation `layer-loss` this is the greedy elimination of SLEB. Takes the place of `open`.
    """

    name: ClassVar[str] = "open"
    done: ClassVar[str] = "opened"
    source: ClassVar[str] = "Song et al. 2024 (SLEB), arXiv 2402.09025"

    def prepare(self, market: "ComputeMarket") -> None:
        """Put the steps before every budget.

        Raises:
            InputError: budgets of several resources.
        """
        if any(session.extra_budgets for session in market.sessions):
            raise InputError("phase LayerByLayer lets one budget fall; give one resource")
        layers = np.bincount(market.ledger.layer, weights=market.ledger.cost)
        step, before, found = float(layers[layers > 0].min()), 1.0, list(market.sessions[:0])
        for session in market.sessions:
            steps = int(np.ceil((before - session.budget) / step - HAIR))
            found += [replace(session, budget=before - step * i + HAIR) for i in range(1, steps)]
            found.append(session)
            before = session.budget
        market.sessions = found

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """The turn as shocks left it; all units trade that have not left."""
        return strike_shocks(market, turn)
