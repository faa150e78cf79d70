"""How much agents could have gained by misreporting."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from walras.errors import InputError
from walras.market.economics import deviation_gain
from walras.market.phases.phase import Phase, Turn

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class Probes(Phase):
    """Samples agents in every round and estimates the largest gain from misreporting, the column `deviation_gain`.

    NaN where what a unit uses depends on who else is funded, and so on every report.
    """

    name: ClassVar[str] = "probe"
    done: ClassVar[str] = "probed"
    follows: ClassVar[str | None] = "clear"

    agents: int = 8

    def __post_init__(self) -> None:
        if isinstance(self.agents, bool) or not isinstance(self.agents, int) or self.agents < 1:
            raise InputError(f"agents of probes is {self.agents!r}; it must be a whole number of at least 1")

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """The round with the gain that was found; nothing else changes."""
        offer, _ = turn.outcome
        bidders = np.flatnonzero(turn.bidding)
        if len(bidders) == 0 or offer.before is not None:
            return turn
        sample = np.random.default_rng([market.seed, turn.number - 1]).permutation(len(bidders))[: self.agents]
        value, report, cost = turn.value[bidders], turn.report[bidders], offer.cost[bidders]
        gain = deviation_gain(turn.mechanism, value, report, offer.supply, cost, sample)
        return replace(turn, deviation_gain=float(gain.max()))
